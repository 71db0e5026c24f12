"""Which samples rating uses: a register that never falls, one point a second, nothing that raises (docs/adr/0007)."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.accounting.samples import Point, Sample, usable_points, whole_second
from tests.unit.api.accounting.strategies import steadily

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
START = Point(NOON, 100)
STOP = Point(NOON + timedelta(seconds=100), 200)


def at(seconds: float, energy_wh: int | None, power_w: int | None = None) -> Sample:
    return Sample(NOON + timedelta(seconds=seconds), energy_wh, power_w)


def used(*samples: Sample) -> tuple[list[tuple[int, int]], dict[str, int]]:
    points, ignored = usable_points(samples, START, STOP)
    return [((point.at - NOON).seconds, point.energy_wh) for point in points], ignored


@pytest.mark.parametrize(
    ("samples", "kept", "ignored"),
    [
        ([at(50, 150), at(10, 110)], [(10, 110), (50, 150)], {}),
        ([at(10, 110), at(10, 110)], [(10, 110)], {}),
        ([at(10, 110), at(10, 120), at(10, 115)], [(10, 120)], {"same_second": 2}),
        ([at(10.2, 110), at(10.9, 111)], [(10, 111)], {"same_second": 1}),
        ([at(10, None), at(11, None)], [], {"no_register": 2}),
        ([at(0, 110), at(100, 190), at(-1, 110), at(101, 190)], [], {"outside_session": 4}),
        ([at(1, 100), at(99, 200)], [(1, 100), (99, 200)], {}),
        ([at(10, 99), at(20, 201)], [], {"outside_registers": 2}),
        ([at(10, 110), at(20, 190), at(30, 120), at(40, 130)], [(10, 110), (30, 120), (40, 130)], {"register_fell": 1}),
        ([at(10, 150), at(20, 110), at(30, 150), at(40, 160)], [(20, 110), (30, 150), (40, 160)], {"register_fell": 1}),
        ([at(10, 110), at(20, 110), at(30, 110)], [(10, 110), (20, 110), (30, 110)], {}),
        ([at(1000, None), at(500, 5)], [], {"no_register": 1, "outside_session": 1}),
        ([], [], {}),
    ],
)
def test_which_samples_are_used(samples: list[Sample], kept: list[tuple[int, int]], ignored: dict[str, int]) -> None:
    assert used(*samples) == (kept, ignored)
    assert used(*reversed(samples)) == (kept, ignored)


def test_of_equal_registers_in_a_second_the_highest_power_stays() -> None:
    for samples in ([at(10, 110, 0), at(10, 110)], [at(10, 110, 3700), at(10, 110, 0), at(10, 110)]):
        points, _ = usable_points(samples, START, STOP)
        assert [point.power_w for point in points] == [samples[0].power_w]


SAMPLES = st.lists(st.builds(at, st.integers(-5, 110), st.none() | st.integers(90, 210)), max_size=30)


@steadily
@given(SAMPLES)
def test_what_is_used_never_falls_and_each_sample_is_accounted_for(samples: list[Sample]) -> None:
    points, ignored = usable_points(samples, START, STOP)
    for one, two in pairwise((START, *points, STOP)):
        assert one.at < two.at
        assert one.energy_wh <= two.energy_wh
    assert len(points) + sum(ignored.values()) == len(set(samples))


@steadily
@given(SAMPLES)
def test_no_more_are_dropped_than_must_be(samples: list[Sample]) -> None:
    points, _ = usable_points(samples, START, STOP)
    highest: dict[datetime, int] = {}
    for sample in samples:
        if sample.energy_wh is not None and START.at < sample.at < STOP.at and 100 <= sample.energy_wh <= 200:
            highest[sample.at] = max(highest.get(sample.at, 0), sample.energy_wh)
    registers = [highest[second] for second in sorted(highest)]
    longest: list[int] = []
    for index, register in enumerate(registers):
        longest.append(1 + max((longest[i] for i in range(index) if registers[i] <= register), default=0))
    assert len(points) == max(longest, default=0)


def test_a_whole_second_is_one_of_utc() -> None:
    local = datetime.fromisoformat("2026-11-22T13:00:00.999+01:00")
    assert whole_second(local) == NOON
    assert whole_second(local).tzinfo is UTC
