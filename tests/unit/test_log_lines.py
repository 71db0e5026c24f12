"""A line of the log: the same from our loggers and the standard library's, on one line, and never a request's end."""

import json
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import pytest

CONFIGURE = """
import logging, structlog
from api.logs import configure_logs
from api.settings import Settings
configure_logs(Settings())
ours, others = structlog.get_logger("api.room"), logging.getLogger("somebody")
"""
HARD = "a\nb\x1b[2J\u2028\ud800"


def run(program: str, stderr: IO[Any] | int = subprocess.PIPE, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {"DATABASE_URL": "postgresql://a@b/c", "JWT_SECRET": "x" * 32, **settings}
    command = [sys.executable, "-c", CONFIGURE + program]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True, check=False)


def test_ours_and_others_say_the_same() -> None:
    program = f"ours.warning({HARD!r}, number=2**70, found=object); others.warning('%s', {HARD!r})"
    ours, others = (json.loads(line) for line in run(program).stderr.splitlines())
    assert ours["event"] == others["event"] == HARD
    assert (ours.pop("number"), ours.pop("found")) == (2**70, "<class 'object'>")
    assert (ours["logger"], others["logger"]) == ("api.room", "somebody")
    assert ours.keys() == others.keys() == {"event", "level", "logger", "timestamp"}


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_each_stays_on_its_line_and_below_the_level_there_is_none(log_format: str) -> None:
    program = f"for log in (ours, others):\n  for each in (log.debug, log.info, log.warning, log.error): each({HARD!r})"
    ended = run(program, LOG_LEVEL="warning", LOG_FORMAT=log_format)
    assert len(ended.stderr.splitlines()) == 4, ended.stderr


def test_what_a_request_is_known_by_is_in_its_lines() -> None:
    [line] = run("structlog.contextvars.bind_contextvars(request_id='abc'); ours.info('x')").stderr.splitlines()
    assert json.loads(line)["request_id"] == "abc"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_full_disk_ends_nobody() -> None:
    with Path("/dev/full").open("w") as full:
        ended = run("ours.info('x'); others.info('x'); ours.error('x'); print('still here')", full)
    assert ended.stdout == "still here\n"
