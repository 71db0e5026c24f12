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


def volumes(tariff: Tariff, session: dict[str, Any]) -> dict[Key, int]:
    """What was used, by dimension and element; the samples must fit and be in order."""
    start: datetime = session["started_at"]
    zone = ZoneInfo(session["time_zone"])
    readings = _readings(session)
    used: Counter[Key] = Counter()
    flat = idle = 0

    def first(dimension: str, second: int, wh: int) -> int | None:
        for index, element in enumerate(tariff.elements):
            local = (start.astimezone(UTC) + timedelta(seconds=second)).astimezone(zone)
            if _matches(element.restrictions, local, second, wh) and any(
                component.type == dimension for component in element.components
            ):
                return index
        return None

    def use(dimension: str, second: int, wh: int) -> None:
        index = first(dimension, second, wh)
        if index is not None:
            used[dimension, index] += 1

    def use_flat(second: int, wh: int) -> None:
        nonlocal flat
        index = first("FLAT", second, wh)
        if not flat and index is not None:
            flat = 1
            used["FLAT", index] = 1

    for (from_s, from_wh, from_w), (to_s, to_wh, to_w) in pairwise(readings):
        for second in range(from_s, max(to_s, from_s + 1)):
            before, after = _flow((from_s, from_wh), (to_s, to_wh), second)
            for wh in range(round(before), round(after)):
                use_flat(second, wh)
                use("ENERGY", second, wh)
            if from_s == to_s and to_wh > from_wh:
                continue
            now_wh = int(before) if before == after else ceil(after) - 1
            use_flat(second, now_wh)
            if from_s == to_s:
                continue
            if _charges(from_wh, to_wh, from_w, to_w):
                use("TIME", second, now_wh)
            elif idle < tariff.idle_grace_s:
                idle += 1
            else:
                use("PARKING_TIME", second, now_wh)
    return {key: volume for key, volume in used.items() if volume}


def _readings(session: dict[str, Any]) -> list[tuple[int, int, int | None]]:
    start, base = session["started_at"], session["meter_start_wh"]
    inner = [(int((s.at - start).total_seconds()), s.energy_wh - base, s.power_w) for s in session["samples"]]
    end = int((session["stopped_at"] - start).total_seconds())
    return [(0, 0, None), *inner, (end, session["meter_stop_wh"] - base, None)]


def _flow(start: tuple[int, int], stop: tuple[int, int], second: int) -> tuple[Fraction, Fraction]:
    """The exact register at the beginning and at the end of a second."""
    if start[0] == stop[0]:
        return Fraction(start[1]), Fraction(stop[1])
    slope = Fraction(stop[1] - start[1], stop[0] - start[0])
    return start[1] + slope * (second - start[0]), start[1] + slope * (second + 1 - start[0])


def _charges(from_wh: int, to_wh: int, from_w: int | None, to_w: int | None) -> bool:
    if to_wh > from_wh:
        return from_w != 0 or to_w != 0
    return bool(from_w) or bool(to_w)


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
