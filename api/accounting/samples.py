"""From what a meter said during a session to a register that never falls: one point a second at most. Pure.

A sample that does not fit is left out and counted by its reason; it is never an error (docs/adr/0007).
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

NO_REGISTER: Final = "no_register"
OUTSIDE_SESSION: Final = "outside_session"
OUTSIDE_REGISTERS: Final = "outside_registers"
SAME_SECOND: Final = "same_second"
REGISTER_FELL: Final = "register_fell"


class Sample(NamedTuple):
    """A reading during a session: the energy register in Wh and the power in W, each None where not sampled."""

    at: datetime
    energy_wh: int | None
    power_w: int | None = None


class Point(NamedTuple):
    """A reading that rating uses; `at` is a whole second."""

    at: datetime
    energy_wh: int
    power_w: int | None = None


def whole_second(at: datetime) -> datetime:
    """Rating counts whole seconds of UTC: a fraction is dropped, for no charge point's clock is better than that."""
    return at.astimezone(UTC).replace(microsecond=0)


def usable_points(samples: Iterable[Sample], start: Point, stop: Point) -> tuple[tuple[Point, ...], dict[str, int]]:
    """The points strictly between Start and Stop, in order, and how many samples were left out for which reason.

    Exact copies count as one sample; of differing ones in one second the highest register stays; where the register
    falls, the fewest points are dropped that leave one that does not. The order of `samples` does not matter.
    """
    ignored: Counter[str] = Counter()
    by_second: dict[datetime, Point] = {}
    for sample in sorted(set(samples), key=_lowest_first):
        fit = _fit(sample, start, stop)
        if isinstance(fit, str):
            ignored[fit] += 1
        else:
            ignored[SAME_SECOND] += fit.at in by_second
            by_second[fit.at] = fit
    points = [by_second[at] for at in sorted(by_second)]
    kept = _longest_not_falling([point.energy_wh for point in points])
    ignored[REGISTER_FELL] = len(points) - len(kept)
    return tuple(points[place] for place in kept), {reason: n for reason, n in sorted(ignored.items()) if n}


def _lowest_first(sample: Sample) -> tuple[int, int]:
    """So that of one second the highest register, and with it the highest power, comes last and stays."""
    return (sample.energy_wh or 0, -1 if sample.power_w is None else sample.power_w)


def _fit(sample: Sample, start: Point, stop: Point) -> Point | str:
    """The sample as a point, or why it is none."""
    if sample.energy_wh is None:
        return NO_REGISTER
    at = whole_second(sample.at)
    if not start.at < at < stop.at:
        return OUTSIDE_SESSION
    if not start.energy_wh <= sample.energy_wh <= stop.energy_wh:
        return OUTSIDE_REGISTERS
    return Point(at, sample.energy_wh, sample.power_w)


def _longest_not_falling(registers: Sequence[int]) -> list[int]:
    """The places of a longest subsequence that never falls (patience sorting, Fredman 1975)."""
    tails: list[int] = []
    places: list[int] = []
    before: list[int | None] = []
    for place, register in enumerate(registers):
        pile = bisect_right(tails, register)
        before.append(places[pile - 1] if pile else None)
        tails[pile : pile + 1] = [register]
        places[pile : pile + 1] = [place]
    kept: list[int] = []
    place_or_none = places[-1] if places else None
    while place_or_none is not None:
        kept.append(place_or_none)
        place_or_none = before[place_or_none]
    return kept[::-1]
