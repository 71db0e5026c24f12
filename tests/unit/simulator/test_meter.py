"""The meter counts exactly and never backwards."""

from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from simulator.meter import Meter, meter_value, timestamp

HOUR_NS = 3_600 * 10**9


def test_an_hour_at_a_kilowatt_is_a_kilowatt_hour() -> None:
    meter = Meter.at(500)
    meter.advance(1000, HOUR_NS)
    assert meter.register_wh == 1500


@given(st.lists(st.integers(min_value=-HOUR_NS, max_value=HOUR_NS), max_size=50), st.integers(0, 350_000))
def test_small_steps_add_up_and_never_go_back(steps: list[int], power_w: int) -> None:
    meter, last_wh = Meter(), 0
    for step in steps:
        meter.advance(power_w, step)
        assert meter.register_wh >= last_wh
        last_wh = meter.register_wh
    assert last_wh == sum(step for step in steps if step > 0) * power_w // HOUR_NS


def test_current_has_one_decimal() -> None:
    samples = meter_value("t", 0, 11_000, "Trigger")["sampled_value"]
    assert [s["value"] for s in samples if s["measurand"] == "Current.Import"] == ["15.9"] * 3


def test_timestamps_are_utc() -> None:
    prague = timezone(timedelta(hours=2))
    assert timestamp(datetime(2026, 7, 1, 2, tzinfo=prague)) == "2026-07-01T00:00:00.000Z"
