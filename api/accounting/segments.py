"""A session cut into segments in which one price component of each dimension applies throughout. Pure.

Times are whole seconds and energies whole Wh; the segments' seconds and Wh add up to the session's (docs/adr/0007).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from api.accounting.money import divide_half_even
from api.accounting.samples import Point
from api.accounting.tariff import ENERGY, FLAT, PARKING_TIME, TIME, Dimension, Restrictions, Tariff
from api.accounting.wall_clock import clock_changes, matches_wall_clock

SECOND: Final = timedelta(seconds=1)

Activity = Literal["charging", "idle_grace", "idle"]
DIMENSIONS_OF: Final[dict[Activity, tuple[Dimension, ...]]] = {
    "charging": (ENERGY, TIME),
    "idle_grace": (ENERGY,),
    "idle": (ENERGY, PARKING_TIME),
}
"""OCPI 11.4.5: TIME is time charging, PARKING_TIME is time not charging. What a resting car draws is energy too."""


class Segment(NamedTuple):
    """A stretch of a session, and for each dimension the place in the tariff of the element that applies to it."""

    started_at: datetime
    seconds: int
    energy_wh: int
    activity: Activity
    elements: tuple[tuple[Dimension, int], ...]


class _Stretch(NamedTuple):
    """From one point to the next, or a part of that."""

    start: Point
    stop: Point
    since: datetime
    until: datetime
    activity: Activity


class _Cut(NamedTuple):
    """`reached_wh` is the last whole Wh that was full; `energy_wh` is what is billed until here, half to even."""

    at: datetime
    energy_wh: int
    reached_wh: int


def cut_session(tariff: Tariff, points: Sequence[Point], zone: ZoneInfo | None) -> list[Segment]:
    """The segments of a session from its first point (Start) to its last (Stop); neighbours that are alike are one.

    `zone` is needed where `tariff.needs_wall_clock`.
    """
    start = points[0]
    instants = _instants(tariff, start.at, points[-1].at, zone)
    thresholds = _thresholds(tariff, start.energy_wh)
    segments: list[Segment] = []
    flat: tuple[tuple[Dimension, int], ...] = ()
    for stretch in _stretches(points, tariff.idle_grace_s):
        for begin, end in _pieces(stretch, instants, thresholds):
            active = _active(tariff, begin, start, zone)
            elements = _applying(tariff, active, DIMENSIONS_OF[stretch.activity])
            if not flat:
                flat = _applying(tariff, active, (FLAT,))
                elements += flat
            _append(segments, _segment(begin, end, stretch.activity, elements))
    return segments


def _instants(tariff: Tariff, start: datetime, stop: datetime, zone: ZoneInfo | None) -> list[datetime]:
    """Where the clock or the duration of the session can change what applies."""
    instants: set[datetime] = set()
    for element in tariff.elements:
        bounds = (element.restrictions.min_duration_s, element.restrictions.max_duration_s)
        instants |= {start + bound * SECOND for bound in bounds if bound is not None}
    if zone is not None and tariff.needs_wall_clock:
        instants |= set(clock_changes([element.restrictions for element in tariff.elements], start, stop, zone))
    return sorted(instants)


def _thresholds(tariff: Tariff, meter_start_wh: int) -> list[int]:
    """The registers at which the energy of the session can change what applies."""
    bounds = {bound for e in tariff.elements for bound in (e.restrictions.min_wh, e.restrictions.max_wh)}
    return sorted(meter_start_wh + bound for bound in bounds if bound is not None)


def _stretches(points: Sequence[Point], grace_s: int) -> Iterator[_Stretch]:
    """From point to point; of the time without charging, the first `grace_s` of the session apart."""
    for start, stop in pairwise(points):
        if start.at == stop.at or _is_charging(start, stop):
            yield _Stretch(start, stop, start.at, stop.at, "charging")
            continue
        grace_until = min(start.at + grace_s * SECOND, stop.at)
        grace_s -= (grace_until - start.at) // SECOND
        if grace_until > start.at:
            yield _Stretch(start, stop, start.at, grace_until, "idle_grace")
        if grace_until < stop.at:
            yield _Stretch(start, stop, grace_until, stop.at, "idle")


def _is_charging(start: Point, stop: Point) -> bool:
    """A register that rises is charging unless the power is 0 at both ends; one that rests is not, unless power flows.

    The latter is a register that counts in large steps, the former what the car draws for itself.
    """
    if stop.energy_wh > start.energy_wh:
        return not (start.power_w == 0 and stop.power_w == 0)
    return (start.power_w or 0) > 0 or (stop.power_w or 0) > 0


def _pieces(stretch: _Stretch, instants: Sequence[datetime], thresholds: Sequence[int]) -> Iterator[tuple[_Cut, _Cut]]:
    """The stretch between each two neighbours of its cuts; the only piece of an empty session is empty."""
    start, stop = stretch.start, stretch.stop
    between = instants[bisect_right(instants, stretch.since) : bisect_left(instants, stretch.until)]
    registers = thresholds[bisect_right(thresholds, start.energy_wh) : bisect_left(thresholds, stop.energy_wh)]
    if not between and not registers and (stretch.since, stretch.until) == (start.at, stop.at):
        yield _Cut(start.at, start.energy_wh, start.energy_wh), _Cut(stop.at, stop.energy_wh, stop.energy_wh)
        return
    cuts = {_cut_at(start, stop, at) for at in (stretch.since, *between, stretch.until)}
    if stretch.until == stop.at:
        cuts.add(_Cut(stop.at, stop.energy_wh, stop.energy_wh))
    for register in registers:
        at = _reached_at(start, stop, register)
        if stretch.since <= at < stretch.until or start.at == stop.at:
            cuts.add(_Cut(at, register, register))
    ordered = sorted(cuts)
    for begin, end in zip(ordered, ordered[1:] or ordered, strict=False):
        if len(ordered) == 1 or (begin.at, begin.energy_wh) != (end.at, end.energy_wh):
            yield begin, end


def _cut_at(start: Point, stop: Point, at: datetime) -> _Cut:
    """Energy flows evenly between two points. What has flowed from the first to a cut is rounded, so that the parts
    add up."""
    seconds = max(1, (stop.at - start.at) // SECOND)
    flowed = (stop.energy_wh - start.energy_wh) * ((at - start.at) // SECOND)
    return _Cut(at, start.energy_wh + divide_half_even(flowed, seconds), start.energy_wh + flowed // seconds)


def _reached_at(start: Point, stop: Point, register: int) -> datetime:
    """The second in which a register is passed counts whole to what follows it."""
    seconds = (stop.at - start.at) // SECOND
    return start.at + (register - start.energy_wh) * seconds // (stop.energy_wh - start.energy_wh) * SECOND


def _active(tariff: Tariff, cut: _Cut, start: Point, zone: ZoneInfo | None) -> list[int]:
    """The elements whose restrictions match from a cut on."""
    seconds = (cut.at - start.at) // SECOND
    reached_wh = cut.reached_wh - start.energy_wh
    return [
        index
        for index, element in enumerate(tariff.elements)
        if _matches(element.restrictions, seconds, reached_wh)
        and (
            zone is None
            or not element.restrictions.needs_wall_clock
            or matches_wall_clock(element.restrictions, cut.at.astimezone(zone))
        )
    ]


def _matches(restrictions: Restrictions, seconds: int, reached_wh: int) -> bool:
    """Whether duration and energy of the session until here are within the bounds."""
    return (
        (restrictions.min_duration_s or 0) <= seconds
        and (restrictions.max_duration_s is None or seconds < restrictions.max_duration_s)
        and (restrictions.min_wh or 0) <= reached_wh
        and (restrictions.max_wh is None or reached_wh < restrictions.max_wh)
    )


def _applying(
    tariff: Tariff, active: Sequence[int], dimensions: Sequence[Dimension]
) -> tuple[tuple[Dimension, int], ...]:
    """OCPI 11.4.6: for a dimension the first active element with a component for it applies, and no other."""
    firsts = ((d, next((i for i in active if tariff.elements[i].component(d)), None)) for d in dimensions)
    return tuple((dimension, first) for dimension, first in firsts if first is not None)


def _segment(begin: _Cut, end: _Cut, activity: Activity, elements: tuple[tuple[Dimension, int], ...]) -> Segment:
    return Segment(begin.at, (end.at - begin.at) // SECOND, end.energy_wh - begin.energy_wh, activity, elements)


def _append(segments: list[Segment], segment: Segment) -> None:
    """As a segment of its own, or as more of the last one."""
    last = segments[-1] if segments else None
    if last is None or (last.activity, last.elements) != (segment.activity, segment.elements):
        segments.append(segment)
        return
    seconds, energy_wh = last.seconds + segment.seconds, last.energy_wh + segment.energy_wh
    segments[-1] = last._replace(seconds=seconds, energy_wh=energy_wh)
