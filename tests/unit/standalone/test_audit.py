"""`make audit` is never green for what was not looked up, and an exception ends on its day."""

from datetime import date
from typing import Any

import pytest

from standalone.audit import EXCEPTIONS, NOT_AUDITED, Known, judge, read_exceptions

TODAY = date(2026, 5, 4)
CLEAN = {"name": "redis", "version": "1.0", "vulns": []}
SKIPPED = {"name": "redis", "skip_reason": "could not be audited"}
MINERVA = {"name": "ecdsa", "version": "0.19", "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-2024-23342"]}]}
LIVED_WITH = Known("CVE-2024-23342", "ecdsa", "never called", date(2026, 6, 1))


@pytest.mark.parametrize(
    ("dependencies", "exceptions", "status"),
    [
        ([CLEAN], [], 0),
        ([], [], NOT_AUDITED),
        ([CLEAN, SKIPPED], [], NOT_AUDITED),
        ([MINERVA], [], 1),
        ([MINERVA, SKIPPED], [], 1),
        ([MINERVA], [LIVED_WITH], 0),
        ([{**MINERVA, "name": "other"}], [LIVED_WITH], 1),
        ([MINERVA], [Known("CVE-2024-23342", "ecdsa", "never called", date(2026, 5, 3))], 1),
    ],
)
def test_status(dependencies: list[dict[str, Any]], exceptions: list[Known], status: int) -> None:
    assert judge({"dependencies": dependencies}, exceptions, TODAY).status == status


def test_every_exception_has_a_reason_and_an_end() -> None:
    for known in read_exceptions(EXCEPTIONS):
        assert known.reason.endswith(".")
        assert isinstance(known.until, date)
