"""Short ways to write a tariff and a session of legs, for tests that one can check by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from api.accounting.rating import ChargeDetailRecord, rate
from api.accounting.samples import Sample
from api.accounting.tariff import Element, PriceComponent, Restrictions, Tariff

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PRAGUE = "Europe/Prague"
CLOCK = ZoneInfo(PRAGUE)
MINUTE = timedelta(minutes=1)
BACK = datetime(2026, 10, 25, 1, tzinfo=UTC)
"""Clocks in Prague go from 03:00 CEST back to 02:00 CET."""
FORWARD = datetime(2026, 3, 29, 1, tzinfo=UTC)
"""Clocks in Prague go from 02:00 CET to 03:00 CEST."""


def component(type_: Any, price: float | str, step_size: int = 1, vat_bp: int | None = None) -> PriceComponent:
    return PriceComponent(type_, round(float(price) * 10_000), step_size, vat_bp)


def element(*components: PriceComponent, **restrictions: Any) -> Element:
    return Element(components, Restrictions(**restrictions))


def charge(
    tariff: Tariff,
    *legs: tuple[int, int],
    start: datetime = NOON,
    zone: str | None = None,
    power: bool = False,
) -> ChargeDetailRecord:
    """Rates a session of legs (minutes, Wh), a sample at the end of each."""
    at, register, samples = start, 5000, []
    for minutes, energy_wh in legs:
        at, register = at + minutes * MINUTE, register + energy_wh
        samples.append(Sample(at, register, None if not power else 0))
    return rate(
        tariff,
        meter_start_wh=5000,
        meter_stop_wh=register,
        started_at=start,
        stopped_at=at,
        samples=samples[:-1],
        time_zone=zone,
    )


def lines(record: ChargeDetailRecord) -> list[tuple[str, int | None, int]]:
    return [(line.type, line.volume, line.amount_minor) for line in record.lines]
