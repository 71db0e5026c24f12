"""BootNotification: a charge point says what it is and is told whether it may take part (OCPP 1.6 4.2).

Registration is state of the charge point, not of the socket (OCPP-J 5.4); rows are fenced by epoch and sequence.
"""

from datetime import datetime
from typing import Final

import asyncpg

from api.charge_points.answers import Answer, encode_payload, received_at
from api.charge_points.configuration import rebooted
from api.charge_points.timestamps import format_timestamp
from wire.messages import ChargePointCall

REGISTER: Final = """
update charge_points
set registration = admission, boot = $4::text::jsonb, booted_at = $5, boot_epoch = $2, boot_sequence = $3,
    boot_count = boot_count + 1
where id = $1 and (boot_epoch, boot_sequence) < ($2, $3)
returning registration, heartbeat_interval_s
"""
CURRENT: Final = """
select coalesce(registration, admission) as registration, heartbeat_interval_s from charge_points where id = $1
"""


async def boot(connection: asyncpg.Connection, call: ChargePointCall, now: datetime) -> Answer:
    """Registers the charge point as its `admission` says; a replay or an older boot changes nothing."""
    return await _register(connection, call, call.payload.decode(), now)


async def boot_without_details(connection: asyncpg.Connection, call: ChargePointCall, now: datetime) -> Answer:
    """Registers a charge point whose payload cannot be stored, so that it does not stay shut out for it."""
    return await _register(connection, call, "{}", now)


async def _register(connection: asyncpg.Connection, call: ChargePointCall, payload: str, now: datetime) -> Answer:
    row = await connection.fetchrow(
        REGISTER, call.charge_point_id, call.epoch, call.sequence, payload, received_at(call)
    )
    if row is not None:
        await rebooted(connection, call.charge_point_id)
    else:
        row = await connection.fetchrow(CURRENT, call.charge_point_id)
    registration, interval_s = row["registration"], row["heartbeat_interval_s"]
    answer = {"status": registration, "currentTime": format_timestamp(now), "interval": interval_s}
    return Answer(encode_payload(answer), registration=registration, heartbeat_interval_s=interval_s)
