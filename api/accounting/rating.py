"""From registers, samples and a frozen tariff to a charge detail record whose lines add up to its total. Pure.

Rounding happens once, at the line, half to even (docs/adr/0004 and 0007); a total is a sum of integers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from api.accounting.limits import VAT, Line, closing_lines
from api.accounting.money import MINOR_DIGITS, PRICE_DIGITS, divide_half_even
from api.accounting.samples import Point, Sample, usable_points, whole_second
from api.accounting.segments import Segment, cut_session
from api.accounting.tariff import ENERGY, FLAT, PARKING_TIME, TIME, Dimension, PriceComponent, Tariff

UNITS_OF_PRICE: Final[Mapping[Dimension, int]] = {ENERGY: 1000, TIME: 3600, PARKING_TIME: 3600, FLAT: 1}
"""How much of a volume (Wh, seconds, sessions) a price is for (kWh, hour, session)."""

Volumes = dict[tuple[Dimension, int], int]
"""What was used, by dimension and place of the element in the tariff, in the order of last use."""


@dataclass(frozen=True, slots=True)
class ChargeDetailRecord:
    """What a session costs, and everything that it was computed from."""

    started_at: datetime
    stopped_at: datetime
    meter_start_wh: int
    meter_stop_wh: int
    currency: str
    lines: tuple[Line, ...]
    time_zone: str | None = None
    segments: tuple[Segment, ...] = ()
    points: tuple[Point, ...] = ()
    ignored_samples: Mapping[str, int] = field(default_factory=dict)

    @property
    def energy_wh(self) -> int:
        """Register at the end minus register at the start."""
        return self.meter_stop_wh - self.meter_start_wh

    @property
    def total_minor(self) -> int:
        """Sum of the lines, VAT included, in minor units of `currency`."""
        return sum(line.amount_minor for line in self.lines)

    @property
    def vat_minor(self) -> int:
        """The VAT in the total."""
        return sum(line.amount_minor for line in self.lines if line.type == VAT)

    @property
    def net_minor(self) -> int:
        """The total without VAT."""
        return self.total_minor - self.vat_minor


def rate(
    tariff: Tariff,
    *,
    meter_start_wh: int,
    meter_stop_wh: int,
    started_at: datetime,
    stopped_at: datetime,
    samples: Iterable[Sample] = (),
    time_zone: str | None = None,
) -> ChargeDetailRecord:
    """Prices a finished session.

    Raises:
        ValueError: the register or the clock ran backwards (such a session is held, never rated), or the tariff
            goes by the clock on the wall and `time_zone`, an IANA name, is not known.
    """
    if meter_stop_wh < meter_start_wh:
        raise ValueError(f"register ran from {meter_start_wh} back to {meter_stop_wh} Wh")
    started_at, stopped_at = started_at.astimezone(UTC), stopped_at.astimezone(UTC)
    if stopped_at < started_at:
        raise ValueError(f"clock ran from {started_at} back to {stopped_at}")
    start = Point(whole_second(started_at), meter_start_wh)
    stop = Point(whole_second(stopped_at), meter_stop_wh)
    points, ignored = usable_points(samples, start, stop)
    segments = cut_session(tariff, (start, *points, stop), _zone(tariff, time_zone))
    lines = _component_lines(tariff, segments)
    return ChargeDetailRecord(
        started_at,
        stopped_at,
        meter_start_wh,
        meter_stop_wh,
        tariff.currency,
        (*lines, *closing_lines(tariff, lines)),
        time_zone,
        tuple(segments),
        points,
        ignored,
    )


def _zone(tariff: Tariff, name: str | None) -> ZoneInfo | None:
    if not tariff.needs_wall_clock:
        return None
    if name is None:
        raise ValueError("a tariff by the clock on the wall takes the location's time zone")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError):
        raise ValueError(f"{name!r} is not a time zone") from None


def _component_lines(tariff: Tariff, segments: Sequence[Segment]) -> list[Line]:
    """A line for each component that was used, those used first first."""
    used = _used(segments)
    billed = _billed(tariff, used)
    first_use = dict.fromkeys(key for segment in segments for key in segment.elements)
    return [_line(tariff, key, used[key], billed[key]) for key in first_use if used.get(key)]


def _used(segments: Sequence[Segment]) -> Volumes:
    used: Volumes = {}
    for segment in segments:
        for key in segment.elements:
            volume = {ENERGY: segment.energy_wh, FLAT: 1}.get(key[0], segment.seconds)
            if volume:
                used[key] = used.pop(key, 0) + volume
    return used


def _billed(tariff: Tariff, used: Volumes) -> Volumes:
    """OCPI 11.4.2: step_size rounds up the total of a dimension once, by the component that was used last.

    Where parking time is billed, charging time is not rounded: another time-based period follows it.
    """
    billed = dict(used)
    last_used = dict(used.keys())
    if PARKING_TIME in last_used:
        last_used.pop(TIME, None)
    for dimension, index in last_used.items():
        total = sum(volume for key, volume in used.items() if key[0] == dimension)
        billed[dimension, index] += -total % _component(tariff, dimension, index).step_size
    return billed


def _line(tariff: Tariff, key: tuple[Dimension, int], used: int, volume: int) -> Line:
    dimension, index = key
    component = _component(tariff, dimension, index)
    scale = 10 ** MINOR_DIGITS[tariff.currency]
    amount_minor = divide_half_even(volume * component.price_e4 * scale, UNITS_OF_PRICE[dimension] * 10**PRICE_DIGITS)
    return Line(dimension, amount_minor, component.vat_bp, index, used, volume, component.price_e4)


def _component(tariff: Tariff, dimension: Dimension, index: int) -> PriceComponent:
    return next(component for component in tariff.elements[index].components if component.type == dimension)


VOLUME_NAMES: Final[Mapping[str, tuple[str, str]]] = {
    ENERGY: ("used_wh", "volume_wh"),
    TIME: ("used_s", "volume_s"),
    PARKING_TIME: ("used_s", "volume_s"),
}


def record_to_json(record: ChargeDetailRecord) -> dict[str, Any]:
    """The record as it is kept with the transaction; times in ISO 8601 UTC."""
    return {
        "started_at": record.started_at.isoformat(),
        "stopped_at": record.stopped_at.isoformat(),
        "meter_start_wh": record.meter_start_wh,
        "meter_stop_wh": record.meter_stop_wh,
        "energy_wh": record.energy_wh,
        "currency": record.currency,
        "lines": [_line_to_json(line) for line in record.lines],
        "net_minor": record.net_minor,
        "vat_minor": record.vat_minor,
        "total_minor": record.total_minor,
        "time_zone": record.time_zone,
        "segments": [_segment_to_json(segment) for segment in record.segments],
        "samples": [[point.at.isoformat(), point.energy_wh, point.power_w] for point in record.points],
        "ignored_samples": dict(record.ignored_samples),
    }


def _line_to_json(line: Line) -> dict[str, Any]:
    used, volume = VOLUME_NAMES.get(line.type, ("used", "volume"))
    fields = {
        "type": line.type,
        "element": line.element,
        used: line.used,
        volume: line.volume,
        "price_e4": line.price_e4,
        "vat_bp": line.vat_bp,
        "base_minor": line.base_minor,
        "amount_minor": line.amount_minor,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _segment_to_json(segment: Segment) -> dict[str, Any]:
    return {
        "started_at": segment.started_at.isoformat(),
        "seconds": segment.seconds,
        "energy_wh": segment.energy_wh,
        "activity": segment.activity,
        "elements": dict(segment.elements),
    }
