"""A slow and obvious rating: every second and every Wh asks by itself which price component it falls to.

It shares the data types with the real one and nothing else: no segments, no cuts, no sums but by counting.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from math import ceil
from typing import Any
from zoneinfo import ZoneInfo

from api.accounting.tariff import DAYS, Restrictions, Tariff

Key = tuple[str, int]
Reading = tuple[int, int, int | None]
"""Seconds and Wh since the start, and the power."""


def volumes(tariff: Tariff, session: dict[str, Any]) -> dict[Key, int]:
    """What was used, by dimension and element; the samples must fit and be in order."""
    count = _Count(tariff, session["started_at"], ZoneInfo(session["time_zone"]))
    for start, stop in pairwise(_readings(session)):
        if start[0] == stop[0]:
            count.instant(start[1], stop[1])
        for second in range(start[0], stop[0]):
            count.second(second, start[1], *_flow(start, stop, second), charging=_charges(start, stop))
    return dict(count.used)


class _Count:
    def __init__(self, tariff: Tariff, start: datetime, zone: ZoneInfo) -> None:
        self.tariff, self.start, self.zone = tariff, start.astimezone(UTC), zone
        self.idle = 0
        self.used: Counter[Key] = Counter()

    def instant(self, from_wh: int, to_wh: int) -> None:
        for wh in range(from_wh, to_wh):
            self.use("FLAT", 0, wh)
            self.use("ENERGY", 0, wh)
        self.use("FLAT", 0, to_wh)

    def second(self, second: int, sampled: int, before: Fraction, after: Fraction, *, charging: bool) -> None:
        """Rounds what has flowed since the sample before, not since the start: it differs where that ends in a half."""
        for wh in range(sampled + round(before - sampled), sampled + round(after - sampled)):
            self.use("FLAT", second, wh)
            self.use("ENERGY", second, wh)
        now_wh = int(before) if before == after else ceil(after) - 1
        self.use("FLAT", second, now_wh)
        if charging:
            self.use("TIME", second, now_wh)
        elif self.idle < self.tariff.idle_grace_s:
            self.idle += 1
        else:
            self.use("PARKING_TIME", second, now_wh)

    def use(self, dimension: str, second: int, wh: int) -> None:
        if dimension == "FLAT" and any(key[0] == "FLAT" for key in self.used):
            return
        local = (self.start + timedelta(seconds=second)).astimezone(self.zone)
        for index, element in enumerate(self.tariff.elements):
            has_it = any(component.type == dimension for component in element.components)
            if has_it and _matches(element.restrictions, local, second, wh):
                self.used[dimension, index] += 1
                return


def _readings(session: dict[str, Any]) -> list[Reading]:
    start, base = session["started_at"], session["meter_start_wh"]
    inner = [(int((s.at - start).total_seconds()), s.energy_wh - base, s.power_w) for s in session["samples"]]
    end = int((session["stopped_at"] - start).total_seconds())
    return [(0, 0, None), *inner, (end, session["meter_stop_wh"] - base, None)]


def _flow(start: Reading, stop: Reading, second: int) -> tuple[Fraction, Fraction]:
    """The exact register at the beginning and at the end of a second."""
    slope = Fraction(stop[1] - start[1], stop[0] - start[0])
    return start[1] + slope * (second - start[0]), start[1] + slope * (second + 1 - start[0])


def _charges(start: Reading, stop: Reading) -> bool:
    if stop[1] > start[1]:
        return start[2] != 0 or stop[2] != 0
    return bool(start[2]) or bool(stop[2])


def _matches(r: Restrictions, local: datetime, second: int, wh: int) -> bool:
    minute = local.hour * 60 + local.minute
    opens = r.start_time.hour * 60 + r.start_time.minute if r.start_time else 0
    closes = r.end_time.hour * 60 + r.end_time.minute if r.end_time else 0
    if r.start_time is not None or r.end_time is not None:
        span = (closes - opens) % 1440 or 1440
        if (minute - opens) % 1440 >= span:
            return False
    if r.day_of_week and DAYS[local.date().weekday()] not in r.day_of_week:
        return False
    if r.start_date and local.date() < r.start_date:
        return False
    if r.end_date and local.date() >= r.end_date:
        return False
    if second < (r.min_duration_s or 0) or wh < (r.min_wh or 0):
        return False
    return (r.max_duration_s is None or second < r.max_duration_s) and (r.max_wh is None or wh < r.max_wh)
