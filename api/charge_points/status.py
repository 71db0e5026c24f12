"""StatusNotification: the newest status of each connector (OCPP 1.6 4.9); 0 is the charge point as a whole.

A late notification never overwrites a newer one; connectors that nobody announced are accepted.
"""

from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from api.charge_points.answers import Answer, received_at
from api.charge_points.live import connector_fields
from api.charge_points.reservations import connector_changed
from api.charge_points.timestamps import effective_time, parse_timestamp
from wire.messages import ChargePointCall

UPSERT: Final = """
insert into connectors as known (charge_point_id, connector_id, status, error_code, info, vendor_id,
    vendor_error_code, status_at, received_at, epoch, sequence)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
on conflict (charge_point_id, connector_id) do update
set status = excluded.status, error_code = excluded.error_code, info = excluded.info,
    vendor_id = excluded.vendor_id, vendor_error_code = excluded.vendor_error_code,
    status_at = excluded.status_at, received_at = excluded.received_at, epoch = excluded.epoch,
    sequence = excluded.sequence
where (known.epoch, known.sequence) < (excluded.epoch, excluded.sequence)
    and date_trunc('second', known.status_at) <= date_trunc('second', excluded.status_at)
returning true
"""
"""Whole seconds, because most charge points send no fractions: of two within a second the later arrival is newer."""


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


async def status(connection: asyncpg.Connection, call: ChargePointCall, now: datetime) -> Answer:
    """Stores the status where it is newer than what is known of that connector."""
    request = _decoder.decode(call.payload)
    arrived = received_at(call)
    at = effective_time(parse_timestamp(request.timestamp) if request.timestamp else None, arrived)
    is_newer = await connection.fetchval(
        UPSERT,
        *(call.charge_point_id, request.connector_id, request.status, request.error_code, request.info),
        *(request.vendor_id, request.vendor_error_code, at, arrived, call.epoch, call.sequence),
    )
    if not is_newer:
        return Answer()
    await connector_changed(connection, call.charge_point_id, request.connector_id, request.status, at)
    return Answer(live=connector_fields(request.connector_id, status=request.status, error_code=request.error_code))
