"""Recurring windows in which a grant holds, on the clock on the wall at the location. Pure: no database, no clock.

A window belongs to the day on which it begins. Clocks are put forward and back: a window holds whenever the local
clock reads so, also twice in one night, as the hours of a tariff do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, Final, Self
from zoneinfo import ZoneInfo

from api.accounting.tariff import DAYS, Restrictions
from api.accounting.wall_clock import clock_changes

HORIZONS: Final = (timedelta(days=1), timedelta(days=9))
"""Most windows end within a day; weeks are alike, so that what does not end within the second never does."""


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` until (excluding) `end` on the local clock, on the days on which it begins; no days: every day.

    An end that is not after the start is the next day's, so that equal times are a whole day.
    """

    start: time
    end: time
    days: frozenset[str] = frozenset()

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """From what `to_json` made."""
        start, end = (time.fromisoformat(fields[name]) for name in ("start_time", "end_time"))
        return cls(start, end, frozenset(fields["day_of_week"]))

    def to_json(self) -> dict[str, Any]:
        """In the terms of OCPI's TariffRestrictions."""
        days = [day for day in DAYS if day in self.days]
        return {
            "start_time": f"{self.start:%H:%M}",
            "end_time": f"{self.end:%H:%M}",
            "day_of_week": days,
        }

    def holds(self, local: datetime) -> bool:
        """Whether it is open when the local clock and calendar read so."""
        today, now = local.date(), local.time()
        if self.start < self.end:
            return self._begins_on(today.weekday()) and self.start <= now < self.end
        begun_today = self._begins_on(today.weekday()) and now >= self.start
        return begun_today or (self._begins_on((today.weekday() - 1) % 7) and now < self.end)

    def _begins_on(self, weekday: int) -> bool:
        return not self.days or DAYS[weekday] in self.days

    def __str__(self) -> str:
        days = ", ".join(day.capitalize() for day in DAYS if day in self.days) or "every day"
        return f"{days} {self.start:%H:%M} to {self.end:%H:%M}"


def is_open(windows: Sequence[Window], zone: ZoneInfo, at: datetime) -> bool:
    """Whether one of the windows holds; without any, it is always open."""
    local = at.astimezone(zone).replace(tzinfo=None)
    return not windows or any(window.holds(local) for window in windows)


def closes_at(windows: Sequence[Window], zone: ZoneInfo, at: datetime) -> datetime | None:
    """When windows that are open at `at` are next all closed; None: never."""
    if not windows:
        return None
    bounds = [Restrictions(start_time=window.start, end_time=window.end) for window in windows]
    for horizon in HORIZONS:
        changes = sorted(change for change in clock_changes(bounds, at, at + horizon, zone) if change > at)
        closed = next((change for change in changes if not is_open(windows, zone, change)), None)
        if closed is not None:
            return closed
    return None
