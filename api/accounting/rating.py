"""From registers and a frozen tariff to a charge detail record whose lines add up to its total. Pure.

Rounding happens once, at the line, half to even (docs/adr/0004); a total is a sum of integers.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from api.accounting.money import MINOR_DIGITS, PRICE_DIGITS, divide_half_even
from api.accounting.tariff import PriceComponent, Tariff

WH_PER_KWH = 1000


@dataclass(frozen=True, slots=True)
class Line:
    """One price component applied: the billed volume in Wh, the unit price, and the amount in minor units."""

    type: str
    volume_wh: int
    price_e4: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class ChargeDetailRecord:
    """What a session costs, and every number that it was computed from."""

    started_at: datetime
    stopped_at: datetime
    meter_start_wh: int
    meter_stop_wh: int
    currency: str
    lines: tuple[Line, ...]

    @property
    def energy_wh(self) -> int:
        """Register at the end minus register at the start."""
        return self.meter_stop_wh - self.meter_start_wh

    @property
    def total_minor(self) -> int:
        """Sum of the lines, in minor units of `currency`."""
        return sum(line.amount_minor for line in self.lines)


def rate(
    tariff: Tariff, *, meter_start_wh: int, meter_stop_wh: int, started_at: datetime, stopped_at: datetime
) -> ChargeDetailRecord:
    """Prices a finished session.

    Raises:
        ValueError: the register ran backwards; such a session is held, never rated.
    """
    energy_wh = meter_stop_wh - meter_start_wh
    if energy_wh < 0:
        raise ValueError(f"register ran from {meter_start_wh} back to {meter_stop_wh} Wh")
    lines = tuple(_energy_line(component, energy_wh, tariff.currency) for component in tariff.components)
    return ChargeDetailRecord(started_at, stopped_at, meter_start_wh, meter_stop_wh, tariff.currency, lines)


def _energy_line(component: PriceComponent, energy_wh: int, currency: str) -> Line:
    """OCPI 2.2.1, 11.4.2: a volume is billed in blocks of step_size, the last one begun is billed whole."""
    volume_wh = -(-energy_wh // component.step_size) * component.step_size
    scale = 10 ** MINOR_DIGITS[currency]
    amount_minor = divide_half_even(volume_wh * component.price_e4 * scale, WH_PER_KWH * 10**PRICE_DIGITS)
    return Line(component.type, volume_wh, component.price_e4, amount_minor)


def record_to_json(record: ChargeDetailRecord) -> dict[str, Any]:
    """The record as it is kept with the transaction; times in ISO 8601 UTC."""
    return {
        "started_at": record.started_at.isoformat(),
        "stopped_at": record.stopped_at.isoformat(),
        "meter_start_wh": record.meter_start_wh,
        "meter_stop_wh": record.meter_stop_wh,
        "energy_wh": record.energy_wh,
        "currency": record.currency,
        "lines": [
            {
                "type": line.type,
                "volume_wh": line.volume_wh,
                "price_e4": line.price_e4,
                "amount_minor": line.amount_minor,
            }
            for line in record.lines
        ],
        "total_minor": record.total_minor,
    }
