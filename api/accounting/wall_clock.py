"""Restrictions by the clock on the wall at the location: whether they match, and when that can change. Pure.

Clocks are put forward and back; a restriction holds whenever the local clock reads so, also twice in one night.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from api.accounting.tariff import DAYS, Restrictions

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


def matches_wall_clock(restrictions: Restrictions, local: datetime) -> bool:
    """Whether an element is active at that local time (OCPI 2.2.1, 11.4.6)."""
    return (
        _matches_time(restrictions.start_time or time.min, restrictions.end_time or time.min, local.time())
        and (not restrictions.day_of_week or DAYS[local.weekday()] in restrictions.day_of_week)
        and (restrictions.start_date or date.min) <= local.date()
        and (restrictions.end_date is None or local.date() < restrictions.end_date)
    )


def _matches_time(start: time, end: time, now: time) -> bool:
    """An end not after the start is the next day's; 00:00 as an end is midnight."""
    return start <= now < end if start < end else now >= start or now < end


def clock_changes(
    restrictions: Iterable[Restrictions], start: datetime, stop: datetime, zone: ZoneInfo
) -> Iterator[datetime]:
    """Every instant at which one of `restrictions` can begin or cease to match, and some at which none does."""
    boundaries = {time.min}
    for each in restrictions:
        boundaries |= {bound for bound in (each.start_time, each.end_time) if bound is not None}
    day = start.astimezone(zone).date()
    while day <= stop.astimezone(zone).date():
        yield from _instants(day, boundaries, zone)
        yield from _clock_put(day, zone)
        day += DAY


def _instants(day: date, boundaries: Iterable[time], zone: ZoneInfo) -> Iterator[datetime]:
    """When the local clock reads so; both times, where it does twice."""
    for boundary in boundaries:
        local = datetime.combine(day, boundary, zone)
        yield local.astimezone(UTC)
        yield local.replace(fold=1).astimezone(UTC)


def _clock_put(day: date, zone: ZoneInfo) -> Iterator[datetime]:
    """The instant of that local day at which the clock is put forward or back, if it is."""
    before = datetime.combine(day, time.min, zone).astimezone(UTC)
    after = before + DAY + DAY / 8
    offset = before.astimezone(zone).utcoffset()
    if after.astimezone(zone).utcoffset() == offset:
        return
    while after - before > SECOND:
        middle = before + (after - before) // (2 * SECOND) * SECOND
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    yield after
