"""What a session would cost is what it costs: the preview is the rating of the assumed session."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.accounting.preview import preview
from api.accounting.rating import rate
from api.accounting.samples import Sample
from api.accounting.tariff import Element, PriceComponent, Restrictions, Tariff, flat_tariff
from tests.unit.api.accounting.strategies import FIRST, PRAGUE, steadily, tariffs

HOUR = timedelta(hours=1)
NIGHT = Tariff(
    "CZK",
    (
        Element((PriceComponent("ENERGY", 35_000),), Restrictions(start_time=time(22), end_time=time(6))),
        Element((PriceComponent("ENERGY", 55_000), PriceComponent("PARKING_TIME", 600_000))),
    ),
    idle_grace_s=1800,
)
TONIGHT = datetime(2026, 11, 22, 22, tzinfo=ZoneInfo(PRAGUE))


@steadily
@given(tariffs(), st.integers(0, 20_000), st.integers(1, 30_000), st.integers(0, 30_000))
def test_equals_the_rating_of_the_assumed_session(tariff: Tariff, energy_wh: int, charging_s: int, idle_s: int) -> None:
    charging, connected = timedelta(seconds=charging_s), timedelta(seconds=charging_s + idle_s)
    assumed = preview(
        tariff, energy_wh=energy_wh, started_at=FIRST, connected=connected, charging=charging, time_zone=PRAGUE
    )
    rated = rate(
        tariff,
        meter_start_wh=0,
        meter_stop_wh=energy_wh,
        started_at=FIRST,
        stopped_at=FIRST + connected,
        samples=[Sample(FIRST + charging, energy_wh)],
        time_zone=PRAGUE,
    )
    assert assumed.lines == rated.lines
    assert assumed.segments == rated.segments


def test_tonight_at_ten_for_three_hours() -> None:
    record = preview(NIGHT, energy_wh=18_000, started_at=TONIGHT, connected=3 * HOUR, time_zone=PRAGUE)
    assert (record.energy_wh, record.total_minor) == (18_000, 6300)
    early = preview(NIGHT, energy_wh=18_000, started_at=TONIGHT - HOUR, connected=3 * HOUR, time_zone=PRAGUE)
    assert early.total_minor == 4200 + 3300


def test_the_car_rests_when_it_is_full() -> None:
    record = preview(
        NIGHT, energy_wh=18_000, started_at=TONIGHT, connected=4 * HOUR, charging=3 * HOUR, time_zone=PRAGUE
    )
    assert [(line.type, line.volume) for line in record.lines] == [("ENERGY", 18_000), ("PARKING_TIME", 1800)]


def test_three_hours_are_three_hours_when_the_clocks_are_put_back() -> None:
    start = datetime(2026, 10, 25, 1, 30, tzinfo=ZoneInfo(PRAGUE))
    record = preview(NIGHT, energy_wh=9000, started_at=start, connected=3 * HOUR, time_zone=PRAGUE)
    assert record.stopped_at == datetime(2026, 10, 25, 2, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("energy_wh", "connected", "charging"),
    [(-1, HOUR, None), (1, -HOUR, None), (1, HOUR, 2 * HOUR), (1, HOUR, -HOUR), (1, HOUR, timedelta(0))],
)
def test_what_cannot_be(energy_wh: int, connected: timedelta, charging: timedelta | None) -> None:
    with pytest.raises(ValueError, match=r"does not fit|back to|longer than"):
        preview(flat_tariff(1, "CZK"), energy_wh=energy_wh, started_at=FIRST, connected=connected, charging=charging)


def test_nothing_for_no_time_costs_nothing() -> None:
    nothing = preview(flat_tariff(1, "CZK"), energy_wh=0, started_at=FIRST, connected=HOUR, charging=timedelta(0))
    assert nothing.total_minor == 0
    at_once = preview(flat_tariff(10_000, "CZK"), energy_wh=1000, started_at=FIRST, connected=timedelta(0))
    assert at_once.total_minor == 100
