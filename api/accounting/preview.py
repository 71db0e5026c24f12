"""What a session would cost, before it starts: the session is assumed, and rated as any other. Pure.

"18 kWh tonight at 22:00 for 3 h": the car draws the energy evenly for as long as it charges, then rests until it goes.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from api.accounting.rating import ChargeDetailRecord, rate
from api.accounting.samples import Sample
from api.accounting.tariff import Tariff

SECOND: Final = timedelta(seconds=1)


def preview(
    tariff: Tariff,
    *,
    energy_wh: int,
    started_at: datetime,
    connected: timedelta,
    charging: timedelta | None = None,
    time_zone: str | None = None,
) -> ChargeDetailRecord:
    """The charge detail record of the assumed session; without `charging` the car charges as long as it is connected.

    Raises:
        ValueError: a negative energy or time, charging for longer than connected, or what `rate` refuses.
    """
    started_at = started_at.astimezone(UTC)  # where adding is elapsed time, also when the clocks are put back
    charging = connected if charging is None else charging
    if not timedelta(0) <= charging <= connected:
        raise ValueError(f"charging for {charging} does not fit into {connected}")
    if energy_wh > 0 and charging < SECOND <= connected:
        raise ValueError(f"{energy_wh} Wh take longer than {charging}")
    return rate(
        tariff,
        meter_start_wh=0,
        meter_stop_wh=energy_wh,
        started_at=started_at,
        stopped_at=started_at + connected,
        samples=assumed_samples(started_at, energy_wh, charging),
        time_zone=time_zone,
    )


def assumed_samples(started_at: datetime, energy_wh: int, charging: timedelta) -> list[Sample]:
    """The meter at the moment at which the car is full."""
    return [Sample(started_at + charging, energy_wh)]
