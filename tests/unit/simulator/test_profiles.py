"""Which limit the charging profiles give (3.13)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from simulator.profiles import Profiles, composite_schedule

START = datetime(2026, 1, 5, 8, tzinfo=UTC)


def profile(limit: float, **changes: Any) -> dict[str, Any]:
    schedule = {
        "charging_rate_unit": changes.pop("unit", "W"),
        "charging_schedule_period": changes.pop("periods", [{"start_period": 0, "limit": limit}]),
        **changes.pop("schedule", {}),
    }
    return {
        "charging_profile_id": changes.pop("id", 1),
        "stack_level": changes.pop("level", 0),
        "charging_profile_purpose": changes.pop("purpose", "TxDefaultProfile"),
        "charging_profile_kind": changes.pop("kind", "Relative"),
        "charging_schedule": schedule,
        **changes,
    }


def limit_after(seconds: float, *installed: tuple[int, dict[str, Any]]) -> int | None:
    profiles = Profiles()
    for connector_id, one in installed:
        assert profiles.install(connector_id, one, charging=True) == "Accepted"
    return profiles.limit_w(1, START, START + timedelta(seconds=seconds))


def test_no_profile_no_limit() -> None:
    assert limit_after(0) is None


def test_amperes_are_per_phase() -> None:
    assert limit_after(0, (0, profile(16, unit="A"))) == 16 * 230 * 3
    one_phase = [{"start_period": 0, "limit": 16, "number_phases": 1}]
    assert limit_after(0, (0, profile(0, unit="A", periods=one_phase))) == 16 * 230


def test_the_transaction_profile_overrules_the_default_and_the_maximum_caps_both() -> None:
    default, transaction = profile(5000, id=1), profile(9000, id=2, purpose="TxProfile")
    maximum = profile(7000, id=3, purpose="ChargePointMaxProfile")
    assert limit_after(0, (1, default), (1, transaction)) == 9000
    assert limit_after(0, (1, default), (1, transaction), (0, maximum)) == 7000


def test_the_highest_stack_level_leads_while_it_lasts() -> None:
    low, high = profile(5000, id=1), profile(3000, id=2, level=1, schedule={"duration": 60})
    assert limit_after(59, (0, low), (0, high)) == 3000
    assert limit_after(60, (0, low), (0, high)) == 5000


def test_periods_and_recurrence() -> None:
    periods = [{"start_period": 0, "limit": 1000}, {"start_period": 3600, "limit": 2000}]
    daily = profile(
        0,
        kind="Recurring",
        recurrency_kind="Daily",
        periods=periods,
        schedule={"start_schedule": "2026-01-01T08:00:00Z"},
    )
    assert limit_after(3599, (0, daily)) == 1000
    assert limit_after(3600, (0, daily)) == 2000
    assert limit_after(86_400, (0, daily)) == 1000


def test_validity() -> None:
    absolute = profile(
        1000, kind="Absolute", valid_from="2026-01-05T08:00:10", valid_to="2026-01-05T08:00:20Z",
        schedule={"start_schedule": "2026-01-05T08:00:00Z"},
    )  # fmt: skip
    assert [limit_after(second, (0, absolute)) for second in (9, 10, 19, 20)] == [None, 1000, 1000, None]


@pytest.mark.parametrize(
    ("connector_id", "one", "charging"),
    [
        (1, profile(1, purpose="ChargePointMaxProfile"), True),
        (0, profile(1, purpose="TxProfile"), True),
        (1, profile(1, purpose="TxProfile"), False),
        (1, profile(1, periods=[{"start_period": 5, "limit": 1}]), True),
        (1, profile(1, periods=[]), True),
    ],
)
def test_what_cannot_be_is_rejected(connector_id: int, one: dict[str, Any], charging: bool) -> None:
    assert Profiles().install(connector_id, one, charging=charging) == "Rejected"


def test_clearing() -> None:
    profiles = Profiles()
    profiles.install(1, profile(1, id=1), charging=False)
    profiles.install(1, profile(1, id=2, level=3), charging=False)
    assert profiles.clear(None, 2, None, None) == "Unknown"
    assert profiles.clear(None, None, None, 3) == "Accepted"
    assert list(profiles.installed) == [(1, 1)]


def test_composite_schedule_merges_equal_minutes() -> None:
    schedule = composite_schedule(lambda second: 1000 if second < 120 else 2000, 300, 24)
    assert schedule["charging_schedule_period"] == [
        {"start_period": 0, "limit": 1000},
        {"start_period": 120, "limit": 2000},
    ]
