"""StatusNotification: the newest status of each connector (OCPP 1.6 4.9); 0 is the charge point as a whole.

A late notification never overwrites a newer one; connectors that nobody announced are accepted.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec

from api.charge_points.answers import Answer, received_at
from api.charge_points.live import connector_fields
from api.charge_points.reservations import ENDING, connector_changed
from api.charge_points.timestamps import effective_time, parse_timestamp
from wire.messages import ChargePointCall

ARRAYS: Final = (
    "uuid[]", "integer[]", "text[]", "text[]", "text[]", "text[]", "text[]", "timestamptz[]", "timestamptz[]",
    "bigint[]", "bigint[]",
)  # fmt: skip


class StatusRow(NamedTuple):
    """One status, in the order of `ARRAYS`."""

    charge_point_id: str
    connector_id: int
    status: str
    error_code: str
    info: str | None
    vendor_id: str | None
    vendor_error_code: str | None
    status_at: datetime
    received_at: datetime
    epoch: int
    sequence: int

    @property
    def connector(self) -> tuple[str, int]:
        """Which connector of all."""
        return self.charge_point_id, self.connector_id

    @property
    def live(self) -> dict[str, bytes]:
        """What it sets in the live state, where it is newer than what was known."""
        return connector_fields(self.connector_id, status=self.status, error_code=self.error_code)


def upsert_sql(first_parameter: int) -> str:
    """Sets statuses given as one array a column, from parameter `first_parameter` on; returns those that are newer.

    Whole seconds count, because most charge points send no fractions: of two within a second the later arrival is
    newer. No connector may come twice.
    """
    arrays = ", ".join(f"${first_parameter + i}::{array}" for i, array in enumerate(ARRAYS))
    columns = ", ".join(StatusRow._fields)
    return f"""
insert into connectors as known ({columns}) select * from unnest({arrays})
on conflict (charge_point_id, connector_id) do update
set status = excluded.status, error_code = excluded.error_code, info = excluded.info,
    vendor_id = excluded.vendor_id, vendor_error_code = excluded.vendor_error_code,
    status_at = excluded.status_at, received_at = excluded.received_at, epoch = excluded.epoch,
    sequence = excluded.sequence
where (known.epoch, known.sequence) < (excluded.epoch, excluded.sequence)
    and date_trunc('second', known.status_at) <= date_trunc('second', excluded.status_at)
returning charge_point_id::text, connector_id
"""  # noqa: S608 - our own names


UPSERT: Final = upsert_sql(1)


class StatusRequest(msgspec.Struct, rename="camel"):
    """StatusNotification.req."""

    connector_id: int
    error_code: str
    status: str
    info: str | None = None
    timestamp: str | None = None
    vendor_id: str | None = None
    vendor_error_code: str | None = None


_decoder = msgspec.json.Decoder(StatusRequest, strict=False)


def row_of(call: ChargePointCall) -> StatusRow:
    """The row of a StatusNotification.req.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError: the payload cannot be read.
    """
    request = _decoder.decode(call.payload)
    arrived = received_at(call)
    at = effective_time(parse_timestamp(request.timestamp) if request.timestamp else None, arrived)
    return StatusRow(call.charge_point_id, request.connector_id, request.status, request.error_code, request.info,
                     request.vendor_id, request.vendor_error_code, at, arrived, call.epoch, call.sequence)  # fmt: skip


def columns(rows: Sequence[StatusRow]) -> list[Sequence[Any]]:
    """The rows as one list a column, the arguments for `upsert_sql`; sorted, so that batches never wait in a circle."""
    return list(zip(*sorted(rows, key=lambda row: row.connector), strict=True))


def ends_reservations(rows: Iterable[StatusRow]) -> bool:
    """Whether `apply_newer` may have something to do."""
    return any(row.status in ENDING for row in rows)


async def apply_newer(
    connection: asyncpg.Connection, rows: Sequence[StatusRow], newer: Collection[tuple[str, int]]
) -> None:
    """What follows from the statuses of those connectors for which they were newer."""
    for row in rows:
        if row.connector in newer:
            await connector_changed(connection, row.charge_point_id, row.connector_id, row.status, row.status_at)


async def status(connection: asyncpg.Connection, call: ChargePointCall, now: datetime) -> Answer:
    """Stores the status where it is newer than what is known of that connector."""
    row = row_of(call)
    if not await connection.fetch(UPSERT, *columns([row])):
        return Answer()
    await apply_newer(connection, [row], {row.connector})
    return Answer(live=row.live)
