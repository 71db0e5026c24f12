"""The limits that a charge point should apply (OCPP 1.6 3.13), and whether it says the same."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.charge_points.composite_schedule import NotComparable, Profile, agrees, expected_periods

START = datetime(2026, 5, 4, 9, tzinfo=UTC)


def profile(
    *periods: tuple[int, float],
    purpose: str = "TxDefaultProfile",
    level: int = 0,
    connector_id: int = 1,
    begins: datetime | None = START,
    **fields: Any,
) -> Profile:
    schedule = {
        "chargingRateUnit": fields.pop("unit", "A"),
        "chargingSchedulePeriod": [{"startPeriod": start, "limit": limit} for start, limit in periods],
        **({"startSchedule": begins.isoformat()} if begins else {}),
        **({"duration": fields.pop("duration")} if "duration" in fields else {}),
    }
    body = {
        "chargingProfilePurpose": purpose,
        "stackLevel": level,
        "chargingProfileKind": "Absolute",
        "chargingSchedule": schedule,
        **fields,
    }
    return Profile(connector_id, body)


def periods(*profiles: Profile, connector_id: int = 1, session: datetime | None = None) -> Any:
    return expected_periods(profiles, connector_id, "A", start=START, duration_s=3600, session_began_at=session)


def test_without_profiles_there_is_no_limit() -> None:
    assert periods() == [(0, None)]


def test_the_highest_stack_level_that_holds_decides() -> None:
    low, high = profile((0, 16), (1800, 10)), profile((0, 6), level=1, duration=600)
    assert periods(low, high) == [(0, 6), (600, 16), (1800, 10)]


def test_the_whole_charge_points_limit_caps_the_connectors() -> None:
    cap = profile((0, 12), purpose="ChargePointMaxProfile", connector_id=0)
    assert periods(profile((0, 16), (1800, 10)), cap) == [(0, 12), (1800, 10)]
    assert periods(profile((0, 16)), cap, connector_id=0) == [(0, 12)]


def test_a_sessions_own_profile_comes_first_and_only_in_a_session() -> None:
    own = profile((0, 20), purpose="TxProfile", begins=None, chargingProfileKind="Relative")
    began = START - timedelta(minutes=5)
    assert periods(profile((0, 16)), own, session=began) == [(0, 20)]
    with pytest.raises(NotComparable, match="session"):
        periods(profile((0, 16)), own)


def test_a_daily_profile_begins_anew_each_day() -> None:
    yesterday = START - timedelta(days=3, minutes=30)
    daily = profile((0, 6), (3600, 16), begins=yesterday, chargingProfileKind="Recurring", recurrencyKind="Daily")
    assert periods(daily) == [(0, 6), (1800, 16)]


def test_validity_and_a_start_in_the_future() -> None:
    limited = profile((0, 6), validFrom=(START + timedelta(seconds=60)).isoformat(),
                      validTo=(START + timedelta(seconds=120)).isoformat())  # fmt: skip
    later = profile((0, 8), begins=START + timedelta(seconds=300), level=1)
    assert periods(limited, later) == [(0, None), (60, 6), (120, None), (300, 8)]


def test_another_unit_cannot_be_compared() -> None:
    with pytest.raises(NotComparable, match="unit"):
        periods(profile((0, 11000), unit="W"))


@pytest.mark.parametrize(
    ("expected", "reported", "same"),
    [
        ([(0, 16.0)], [(0, 16)], True),
        ([(0, 16.0), (600, 6.0)], [(0, 16), (599, 6.0)], True),
        ([(0, 16.0), (600, 6.0)], [(0, 16), (590, 6.0)], False),
        ([(0, 16.0)], [(0, 16), (100, 16)], True),
        ([(0, 16.0)], [(0, 32)], False),
        ([(0, 16.0)], [], False),
        ([(0, None)], [(0, 32)], True),
        ([(0, None), (60, 6.0)], [(0, 32), (60, 6)], True),
        ([(0, None), (60, 6.0)], [(0, 32)], False),
    ],
)
def test_agreement(expected: Any, reported: list[tuple[int, float]], same: bool) -> None:
    assert agrees(expected, [{"startPeriod": start, "limit": limit} for start, limit in reported]) is same
