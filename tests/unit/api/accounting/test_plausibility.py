"""What is held for a person: OCPP 1.6 lets nothing be refused, so everything doubtful must be flagged."""

from datetime import UTC, datetime, timedelta

import pytest

from api.accounting.plausibility import check_session, is_plausible_time

START = datetime(2026, 11, 22, 18, tzinfo=UTC)
HOUR = timedelta(hours=1)


def reasons(
    energy_wh: int = 7000,
    duration: timedelta = HOUR,
    started_at: datetime = START,
    rated_power_w: int | None = 11_000,
) -> list[str]:
    return check_session(
        meter_start_wh=10_000,
        meter_stop_wh=10_000 + energy_wh,
        started_at=started_at,
        stopped_at=started_at + duration,
        received_at=START + HOUR,
        rated_power_w=rated_power_w,
    )


def test_an_ordinary_session_is_billed() -> None:
    assert reasons() == []


@pytest.mark.parametrize(
    ("energy_wh", "duration", "expected"),
    [
        (-1, HOUR, ["register_backwards"]),
        (7000, -HOUR, ["stop_before_start"]),
        (12_302, HOUR, ["energy_above_rated_power"]),
        (12_301, HOUR, []),
        (200, timedelta(0), []),
        (250, timedelta(0), ["energy_above_rated_power"]),
    ],
)
def test_what_is_held(energy_wh: int, duration: timedelta, expected: list[str]) -> None:
    assert reasons(energy_wh, duration) == expected


def test_without_a_rated_power_only_the_absurd_is_held() -> None:
    assert reasons(300_000, rated_power_w=None) == []
    assert reasons(600_000, rated_power_w=None) == ["energy_above_rated_power"]


@pytest.mark.parametrize(
    "started_at", [datetime(1970, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC), START + timedelta(days=2)]
)
def test_a_reset_clock_is_held(started_at: datetime) -> None:
    assert reasons(started_at=started_at) == ["implausible_time"]


def test_times_a_day_ahead_are_still_a_wrong_zone() -> None:
    assert is_plausible_time(START + timedelta(hours=23), START)
    assert not is_plausible_time(START + timedelta(hours=25), START)
