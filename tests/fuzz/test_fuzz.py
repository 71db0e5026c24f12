"""The small campaign: some thousand frames of a fixed seed. `make fuzz` throws as many as one wants."""

import json
from pathlib import Path

import pytest

from ocpp_gateway import frames, validation
from ocpp_gateway.frames import Call
from tests.fuzz import campaign
from tests.fuzz.frames import Frames

FRAMES = 4000


async def test_some_thousand_frames(tmp_path: Path, redis_url: str) -> None:
    report = await campaign.run(
        total=FRAMES, seed=7, charge_points=8, redis_url=redis_url, folder=tmp_path, progress=lambda _: None
    )
    assert report.problems == []
    assert report.counts["frames"] == FRAMES
    refusals = {"FormationViolation", "TypeConstraintViolation", "PropertyConstraintViolation", "SecurityError"}
    assert refusals <= set(report.counts)
    assert report.counts["ChargePointCall"] > FRAMES / 20


def test_the_same_seed_gives_the_same_frames() -> None:
    one, other = Frames(3), Frames(3)
    assert [one.next() for _ in range(300)] == [other.next() for _ in range(300)]


def test_valid_frames_are_valid() -> None:
    made = Frames(5)
    for _ in range(1000):
        frame = made.valid()
        call = frames.parse(frame)
        assert isinstance(call, Call), frame
        assert validation.call_flaw(call.action, call.payload) is None, frame


def test_mutated_frames_are_mostly_refused() -> None:
    made = Frames(5)
    parsed = [frames.parse(made.mutated()) for _ in range(1000)]
    flaws = [validation.call_flaw(one.action, one.payload) for one in parsed if isinstance(one, Call)]
    assert sum(flaw is not None for flaw in flaws) > 600
    assert json.dumps([flaw.code for flaw in flaws if flaw]).count("Occurence") > 20


@pytest.mark.parametrize(
    "line",
    [
        b"Traceback (most recent call last):",
        b"ERROR asyncio Task exception was never retrieved",
        b"CRITICAL asyncio Fatal error",
        b"2026-05-04 [error    ] broken",
    ],
)
def test_an_uncaught_error_is_found_in_the_log(tmp_path: Path, line: bytes) -> None:
    log = tmp_path / "log"
    for text, wrong in ((b"2026-05-04 [warning  ] redis was away", False), (line, True)):
        log.write_bytes(b"a\n" + text + b"\nb\n")
        report = campaign.Report(memory_kib=[(1, 1000), (10, 1000)])
        campaign.judge(report, 0, log)
        assert bool(report.problems) is wrong


def test_what_else_is_wrong_is_found(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"")
    growing = campaign.Report(memory_kib=[(sent, sent * 1000) for sent in range(101)])
    leaking = campaign.Report(memory_kib=[(1, 1000)], tasks=(7, 8))
    fine = campaign.Report(memory_kib=[(10, 90_000), (50, 100_000), (100, 101_000)], tasks=(7, 7))
    for report, status, problems in ((growing, 0, 1), (leaking, 0, 1), (fine, 1, 1), (fine, 0, 1)):
        campaign.judge(report, status, log)
        assert len(report.problems) == problems
