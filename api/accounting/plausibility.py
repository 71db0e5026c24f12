"""Whether a session may be billed without a person looking at it. Pure; it never blocks a Start or a Stop.

Each reason is a stable word that ends up in `transactions.held_reasons`.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

REGISTER_BACKWARDS: Final = "register_backwards"
STOP_BEFORE_START: Final = "stop_before_start"
ENERGY_ABOVE_RATED_POWER: Final = "energy_above_rated_power"
IMPLAUSIBLE_TIME: Final = "implausible_time"

EARLIEST: Final = datetime(2020, 1, 1, tzinfo=UTC)
"""A clock that shows less has been reset (OCPP charge points start at 1970 or 2000)."""
CLOCK_AHEAD: Final = timedelta(days=1)
UNKNOWN_RATED_POWER_W: Final = 500_000
"""Where the owner gave no rated power: above the largest charger that one plugs a car into at home or at work."""
TOLERANCE_PERCENT: Final = 10
"""Meters and mains voltage may both be above their nominal value."""
CLOCK_GRAIN: Final = timedelta(minutes=1)
"""Charge points that send whole minutes shorten a session by up to this."""
SECONDS_PER_HOUR: Final = 3600


def is_plausible_time(at: datetime, received_at: datetime) -> bool:
    """Whether a charge point's timestamp can be meant: not before 2020, not over a day ahead of its arrival."""
    return EARLIEST <= at <= received_at + CLOCK_AHEAD


def check_session(
    *,
    meter_start_wh: int,
    meter_stop_wh: int,
    started_at: datetime,
    stopped_at: datetime,
    received_at: datetime,
    rated_power_w: int | None,
) -> list[str]:
    """The reasons to hold a finished session; empty where it may be billed."""
    reasons = []
    if meter_stop_wh < meter_start_wh:
        reasons.append(REGISTER_BACKWARDS)
    if not (is_plausible_time(started_at, received_at) and is_plausible_time(stopped_at, received_at)):
        reasons.append(IMPLAUSIBLE_TIME)
    elif stopped_at < started_at:
        reasons.append(STOP_BEFORE_START)
    elif meter_stop_wh - meter_start_wh > _most_energy_wh(stopped_at - started_at, rated_power_w):
        reasons.append(ENERGY_ABOVE_RATED_POWER)
    return reasons


def _most_energy_wh(duration: timedelta, rated_power_w: int | None) -> int:
    power_w = rated_power_w or UNKNOWN_RATED_POWER_W
    seconds = -(-(duration + CLOCK_GRAIN) // timedelta(seconds=1))
    return power_w * seconds * (100 + TOLERANCE_PERCENT) // (100 * SECONDS_PER_HOUR)
