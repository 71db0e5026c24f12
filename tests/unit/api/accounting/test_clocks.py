"""Tariffs by the clock on the wall, also in the nights in which clocks are put forward and back."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from api.accounting.rating import rate
from api.accounting.tariff import Tariff
from tests.unit.api.accounting.sessions import (
    BACK,
    CLOCK,
    FORWARD,
    MINUTE,
    NOON,
    PRAGUE,
    charge,
    component,
    element,
    lines,
)

NIGHT = Tariff(
    "CZK",
    (
        element(component("ENERGY", 3), component("TIME", 6), start_time=time(22), end_time=time(2, 30)),
        element(component("ENERGY", 5), component("TIME", 60)),
    ),
)


class TestClocks:
    """Wall-clock restrictions go by the local clock, durations by the time that really passed."""

    def test_energy_is_interpolated_at_the_boundary(self) -> None:
        record = charge(NIGHT, (180, 18_001), start=datetime(2026, 11, 22, 20, tzinfo=UTC), zone=PRAGUE)
        assert [(s.seconds, s.energy_wh) for s in record.segments] == [(3600, 6000), (7200, 12_001)]

    def test_clocks_put_back_give_the_hour_twice(self) -> None:
        """22:00 to 05:00 are eight hours; 02:30 to 03:00 CEST is day, 02:00 to 02:30 CET is night again."""
        record = charge(NIGHT, (480, 8000), start=datetime(2026, 10, 24, 20, tzinfo=UTC), zone=PRAGUE)
        hours = [(s.started_at, s.seconds, dict(s.elements)["ENERGY"]) for s in record.segments]
        assert hours == [
            (datetime(2026, 10, 24, 20, tzinfo=UTC), 16_200, 0),
            (BACK - 30 * MINUTE, 1800, 1),
            (BACK, 1800, 0),
            (BACK + 30 * MINUTE, 9000, 1),
        ]
        assert lines(record)[0] == ("ENERGY", 5000, 1500)

    def test_clocks_put_forward_leave_the_hour_out(self) -> None:
        """22:00 to 05:00 are six hours; 02:30 never is, night ends as the clock jumps to 03:00."""
        record = charge(NIGHT, (360, 6000), start=FORWARD - timedelta(hours=4), zone=PRAGUE)
        hours = [(s.started_at, s.seconds, dict(s.elements)["ENERGY"]) for s in record.segments]
        assert hours == [(FORWARD - timedelta(hours=4), 14_400, 0), (FORWARD, 7200, 1)]

    @pytest.mark.parametrize(("midnight", "hours"), [(BACK, 25), (FORWARD, 23), (NOON, 24)])
    def test_a_day_has_as_many_hours_as_it_has(self, midnight: datetime, hours: int) -> None:
        day = midnight.date()
        tariff = Tariff("CZK", (element(component("TIME", 1), start_date=day, end_date=day + timedelta(days=1)),))
        start = datetime.combine(day - timedelta(days=1), time(12), UTC)
        record = charge(tariff, (60 * 60, 60_000), start=start, zone=PRAGUE)
        assert [line.volume for line in record.lines] == [hours * 3600]

    def test_a_duration_is_real_time_in_a_night_of_25_hours(self) -> None:
        tariff = Tariff("CZK", (element(component("TIME", 1), min_duration_s=7200),))
        record = charge(tariff, (180, 3000), start=BACK - 60 * MINUTE, zone=PRAGUE)
        assert record.lines[0].volume == 3600
        assert record.segments[1].started_at == BACK + 60 * MINUTE

    @pytest.mark.parametrize("sampled_wh", [1, 2])
    def test_half_a_wh_at_a_cut_goes_by_what_flowed_since_the_sample_before(self, sampled_wh: int) -> None:
        earlier, later = element(component("ENERGY", 1), end_time=time(13, 2)), element(component("ENERGY", 2))
        record = charge(Tariff("CZK", (earlier, later)), (1, sampled_wh), (2, 1), zone=PRAGUE)
        assert [segment.energy_wh for segment in record.segments] == [sampled_wh, 1]

    def test_weekdays_begin_at_local_midnight(self) -> None:
        tariff = Tariff("CZK", (element(component("TIME", 1), day_of_week=frozenset({"MONDAY"})),))
        record = charge(tariff, (180, 3000), start=datetime(2026, 11, 22, 22, tzinfo=UTC), zone=PRAGUE)
        assert [s.started_at for s in record.segments if s.elements] == [datetime(2026, 11, 22, 23, tzinfo=UTC)]

    def test_a_clock_that_goes_by_half_an_hour(self) -> None:
        """Lord Howe Island: on 2026-04-05 at 02:00 (+11) it becomes 01:30 (+10:30)."""
        tariff = Tariff("CZK", (element(component("TIME", 1), start_time=time(1, 30), end_time=time(2)),))
        record = charge(tariff, (240, 3000), start=datetime(2026, 4, 4, 13, tzinfo=UTC), zone="Australia/Lord_Howe")
        assert record.lines[0].volume == 3600

    def test_times_in_another_zone_are_the_same_instants(self) -> None:
        """02:40 CEST to 02:10 CET, half an hour later though the clock shows less."""
        start, stop = BACK - 20 * MINUTE, BACK + 10 * MINUTE
        registers: dict[str, Any] = {"meter_start_wh": 0, "meter_stop_wh": 500, "time_zone": PRAGUE}
        local = rate(NIGHT, started_at=start.astimezone(CLOCK), stopped_at=stop.astimezone(CLOCK), **registers)
        assert local == rate(NIGHT, started_at=start, stopped_at=stop, **registers)
        assert [s.seconds for s in local.segments] == [1200, 600]

    def test_a_zone_is_asked_for_only_where_it_is_needed(self) -> None:
        with pytest.raises(ValueError, match="takes the location's time zone"):
            charge(NIGHT, (1, 1))
        for name in ("Europe/Atlantis", "Europe", "../etc/passwd"):
            with pytest.raises(ValueError, match="is not a time zone"):
                charge(NIGHT, (1, 1), zone=name)
        flat = Tariff("CZK", (element(component("ENERGY", 1)),))
        assert charge(flat, (1, 1000), zone="Europe/Atlantis").total_minor == 100
