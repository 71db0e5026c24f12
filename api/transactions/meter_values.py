"""Storing meter values: one row a meterValue, each once, many charge points in one statement. Never rates them.

A value whose transactionId is absent, 0 or unknown is stored like any other (OCPP 1.6 4.7, errata 3.54).
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import asyncpg

from api.charge_points.answers import Answer
from api.charge_points.live import connector_fields
from api.transactions.requests import MeterValue, Sample, read_meter_values, read_values
from wire.messages import ChargePointCall

ARRAYS: Final = (
    "uuid[]", "timestamptz[]", "integer[]", "bigint[]", "bigint[]", "float8[]", "bigint[]", "bigint[]", "text[]",
)  # fmt: skip
_FROM: Final = ", ".join(f"${i}::{array}" for i, array in enumerate(ARRAYS, 1))
INSERT: Final = f"""
insert into meter_values (charge_point_id, sampled_at, connector_id, digest, transaction_id, ocpp_transaction_id,
    received_at, energy_wh, power_w, samples)
select v.charge_point_id, v.sampled_at, v.connector_id, v.digest,
    (select t.id from transactions t
        where t.charge_point_id = v.charge_point_id and t.ocpp_transaction_id = v.ocpp_transaction_id),
    v.ocpp_transaction_id, to_timestamp(v.received_at), v.energy_wh, v.power_w, v.samples::jsonb
from unnest({_FROM}) as v (charge_point_id, sampled_at, connector_id, digest, ocpp_transaction_id, received_at,
    energy_wh, power_w, samples)
on conflict do nothing
"""  # noqa: S608 - our own names


class ValueRow(NamedTuple):
    """One row, in the order of `ARRAYS`; `received_at` is Unix seconds."""

    charge_point_id: str
    sampled_at: datetime
    connector_id: int
    digest: int
    ocpp_transaction_id: int | None
    received_at: float
    energy_wh: int | None
    power_w: int | None
    samples: str


def rows_of(call: ChargePointCall) -> list[ValueRow]:
    """The rows of a MeterValues.req.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError: the payload cannot be read.
    """
    request = read_meter_values(call.payload)
    return _rows(call, request.connector_id, request.transaction_id, request.meter_value)


def _rows(
    call: ChargePointCall, connector_id: int, transaction_id: int | None, values: Sequence[MeterValue]
) -> list[ValueRow]:
    def row(sample: Sample) -> ValueRow:
        reading = sample.reading
        return ValueRow(call.charge_point_id, sample.sampled_at, connector_id, sample.digest, transaction_id,
                        call.received_at, reading.energy_wh, reading.power_w, sample.samples)  # fmt: skip

    return [row(sample) for sample in read_values(values, str(transaction_id).encode())]


def live_fields(rows: Iterable[ValueRow]) -> dict[str, bytes]:
    """The newest power and energy register among rows of one charge point, for the live state."""
    fields: dict[str, bytes] = {}
    for row in rows:
        readings = {"power_w": row.power_w, "energy_wh": row.energy_wh}
        fields |= connector_fields(row.connector_id, **{k: v for k, v in readings.items() if v is not None})
    return fields


def columns(rows: Iterable[ValueRow]) -> list[Sequence[Any]]:
    """The arguments for `INSERT`; sorted, so that two batches that meet never wait for each other in a circle."""
    ordered = sorted(rows, key=lambda row: row[:4])
    return list(zip(*ordered, strict=True)) if ordered else [[] for _ in ARRAYS]


async def store_transaction_data(
    connection: asyncpg.Connection,
    call: ChargePointCall,
    connector_id: int,
    transaction_id: int,
    values: Sequence[MeterValue],
) -> None:
    """Stores transactionData of a StopTransaction as meter values (OCPP 1.6 4.10)."""
    await connection.execute(INSERT, *columns(_rows(call, connector_id, transaction_id, values)))


async def meter_values(connection: asyncpg.Connection, call: ChargePointCall, now: datetime) -> Answer:
    """Stores one MeterValues.req by itself, as a batch does for many."""
    rows = rows_of(call)
    await connection.execute(INSERT, *columns(rows))
    return Answer(live=live_fields(rows))
