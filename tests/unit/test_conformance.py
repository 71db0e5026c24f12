"""The certification cases watch themselves: every id has its one test, and a flawed frame is found."""

import re
from pathlib import Path

import pytest

from tests.conformance.cases import CASES
from tests.conformance.frames import flaws

FOLDER = Path(__file__).parents[1] / "conformance"


def test_every_case_has_one_test() -> None:
    text = "\n".join(path.read_text() for path in FOLDER.glob("test_*.py"))
    written = re.findall(r"^async def test_tc_(\d{3}(?:_\d)?)_[a-z]", text, re.MULTILINE)
    assert sorted(written) == sorted(CASES)
    assert len(CASES) == 77


GOOD = '[2,"1","ChangeConfiguration",{"key":"HeartbeatInterval","value":"300"}]'
NESTED = '[2,"1","GetLog",{"log":{"remoteLocation":"https://x","oldestTimestamp":"%s"},"logType":"SecurityLog"}]'


def test_a_good_frame_has_no_flaw() -> None:
    assert flaws(GOOD, "ChangeConfiguration") == []
    assert flaws(NESTED % "2026-05-04T09:00:00Z", "GetLog") == []


@pytest.mark.parametrize(
    ("frame", "action", "found"),
    [
        (GOOD.replace(",", ", "), "ChangeConfiguration", "not compact"),
        (GOOD.replace('"1"', '"' + "1" * 37 + '"'), "ChangeConfiguration", "message id of 37"),
        ('[2,"1","ChangeConfiguration",{"value":"300","key":"A"}]', "ChangeConfiguration", "the schema has"),
        (
            '[2,"1","GetLog",{"log":{"oldestTimestamp":"2026-05-04T09:00:00Z","remoteLocation":"x"}}]',
            "GetLog",
            "GetLog.log",
        ),
        (NESTED % "2026-05-04T09:00:00+00:00", "GetLog", "does not end in Z"),
        ('[3,"1",{"interval":1,"currentTime":"2026-05-04T09:00:00Z"}]', "BootNotification", "the schema has"),
    ],
)
def test_a_flawed_frame_is_found(frame: str, action: str, found: str) -> None:
    [flaw] = flaws(frame, action)
    assert found in flaw
