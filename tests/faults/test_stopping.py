"""A campaign or benchmark that is stopped leaves nothing behind: no server, no service, no network."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from standalone.databases import REPOSITORY
from tests.harness.campaigns import INTERRUPTED
from tests.harness.stack import eventually

PROGRAMS = {
    "tests.faults.campaign": ["--sessions", "1000000", "--charge-points", "2", "--minutes", "10"],
    "tests.overload": ["--seconds", "600", "--in-flight", "1", "--charge-points", "1"],
    "bench.scale": ["--rounds", "1000", "--seconds", "0.5", "--connections", "4"],
}
DEADLINE_S = 90.0


def alive(family: list[psutil.Process]) -> list[str]:
    return [" ".join(one.cmdline()) for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.slow
@pytest.mark.parametrize("module", PROGRAMS)
async def test_sigterm_ends_all_that_was_started(module: str, tmp_path: Path) -> None:
    said = tmp_path / "said"
    with said.open("wb") as output:
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, *PROGRAMS[module]),
            cwd=REPOSITORY,
            env={"PATH": os.environ["PATH"], "TMPDIR": os.environ["TEST_FOLDER"]},
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
        )

    async def shows_progress() -> bool:
        assert program.returncode is None, said.read_text()
        return b"\n" in said.read_bytes()

    await eventually(shows_progress, "the program to be under way", DEADLINE_S)
    family = psutil.Process(program.pid).children(recursive=True)
    commands = " ".join(alive(family))
    assert all(part in commands for part in ("postgres", "redis-server", "api.listener", "ocpp_gateway"))
    program.send_signal(signal.SIGTERM)
    try:
        assert await asyncio.wait_for(program.wait(), DEADLINE_S) == INTERRUPTED, said.read_text()
        assert alive(family) == []
    finally:
        for one in family:
            with suppress(psutil.NoSuchProcess):
                one.kill()
