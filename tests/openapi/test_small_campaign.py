"""The small form of `make schemathesis`: a case per operation as each role, sequences as the owner, a fixed seed."""

import re

import pytest

from tests.harness.stack import Stack
from tests.openapi import campaign

PHASES = {"owner": "fuzzing,stateful", "guest": "fuzzing", "operator": "fuzzing"}


@pytest.mark.parametrize("role", campaign.ROLES)
async def test_no_operation_departs_from_its_description(stack: Stack, role: str) -> None:
    arguments = ["--phases", PHASES[role], "--max-examples", "1", "--no-shrink"]
    [outcome] = await campaign.run(stack, seed=7, arguments=arguments, roles=(role,))
    assert outcome.status == 0, outcome.text
    tested = re.search(r"Tested: (\d+)", outcome.text)
    assert tested is not None
    assert int(tested[1]) > 150
