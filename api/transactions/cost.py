"""What a running session has cost so far: its rating as far as it is known. It reads only.

What is shown live and what a cap compares is this; what is billed is the rating of the finished session.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg
import orjson

from api.accounting.rating import ChargeDetailRecord, rate
from api.accounting.samples import Sample
from api.accounting.tariff import Tariff, tariff_from_document
from api.transactions.stop import MOST_SAMPLES, SAMPLES

RUNNING: Final = """
select t.started_at, t.meter_start_wh, t.tariff::text as tariff, c.time_zone
from transactions t join charge_points c on c.id = t.charge_point_id
where t.id = $1 and t.status = 'active' and t.tariff is not null
"""

LAST_SAMPLE: Final = """
select v.sampled_at as at, v.energy_wh, v.power_w from meter_values v join transactions t on t.id = v.transaction_id
where v.transaction_id = $1 and v.energy_wh >= t.meter_start_wh and v.sampled_at between t.started_at and $2
order by v.sampled_at desc limit 1
"""


@dataclass(frozen=True, slots=True)
class _Known:
    """Until when, and until which register, a session is known."""

    until: datetime
    meter_wh: int


async def cost_so_far(
    connection: asyncpg.Connection, transaction_id: int, now: datetime
) -> tuple[ChargeDetailRecord, Tariff] | None:
    """The charge detail record of a running session, and its tariff; None where it is over or has no price.

    Its steps, minimum and rounding are those of a session that ended now, so that it may fall a little later.
    """
    row = await connection.fetchrow(RUNNING, transaction_id)
    if row is None:
        return None
    try:
        tariff = tariff_from_document(orjson.loads(row["tariff"]))
        samples = await _samples(connection, transaction_id, tariff, now)
        return rate_so_far(row, tariff, samples, now), tariff
    except (KeyError, TypeError, ValueError):
        return None


async def _samples(connection: asyncpg.Connection, transaction_id: int, tariff: Tariff, now: datetime) -> list[Sample]:
    """All of the session, or only the last one where the price needs no more than registers."""
    if tariff.needs_samples:
        rows = await connection.fetch(SAMPLES, transaction_id, MOST_SAMPLES)
    else:
        rows = await connection.fetch(LAST_SAMPLE, transaction_id, now)
    return [Sample(**each) for each in rows]


def rate_so_far(
    session: Mapping[str, Any], tariff: Tariff, samples: Sequence[Sample], now: datetime
) -> ChargeDetailRecord:
    """Prices a session that goes on. Pure.

    Raises:
        ValueError: see `rate`.
    """
    known = _known(session["started_at"], session["meter_start_wh"], samples, now)
    return rate(
        tariff,
        meter_start_wh=session["meter_start_wh"],
        meter_stop_wh=known.meter_wh,
        started_at=session["started_at"],
        stopped_at=known.until,
        samples=samples,
        time_zone=session["time_zone"],
    )


def _known(started_at: datetime, meter_start_wh: int, samples: Sequence[Sample], now: datetime) -> _Known:
    """Until now where the last sample says whether power flows, else until that sample: what follows may be either."""
    readings = [
        (sample.at, sample.energy_wh, sample.power_w)
        for sample in samples
        if sample.energy_wh is not None and sample.energy_wh >= meter_start_wh and started_at <= sample.at <= now
    ]
    if not readings:
        return _Known(started_at, meter_start_wh)
    last_at, _, power_w = max(readings, key=lambda reading: reading[0])
    return _Known(last_at if power_w is None else now, max(energy_wh for _, energy_wh, _ in readings))
