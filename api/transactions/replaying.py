"""Doing at last what a message that was set aside asked for, once its quirk is set or our fault is mended.

The effects are those of the live handlers and as idempotent; nothing goes back to the charge point.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from api.charge_points.answers import Answer
from api.errors import Conflict, NotFound
from api.transactions.held import REFUSED, UNPROCESSED
from api.transactions.meter_values import meter_values
from api.transactions.requests import salvage_transaction_id
from api.transactions.start import lock_charge_point, start
from api.transactions.stop import stop
from wire.messages import ChargePointCall

HANDLERS: Final[dict[str, Callable[[asyncpg.Connection, ChargePointCall, datetime], Awaitable[Answer]]]] = {
    "MeterValues": meter_values,
    "StartTransaction": start,
    "StopTransaction": stop,
}
FIND: Final = """
select u.id, u.charge_point_id, u.epoch, u.message_id, u.action, u.payload, u.received_at, u.error_code, u.repaired,
    u.suggested_quirks, u.transaction_id, u.resolved_at, c.quirks
from unprocessed u join charge_points c on c.id = u.charge_point_id
where u.id = $1 and u.charge_point_id = $2 for update of u
"""
RELEASE: Final = """
update transactions t set held_reasons = array_remove(array_remove(t.held_reasons, $2), $3)
where t.id = $1 and t.status = 'active'
    and not exists (select 1 from unprocessed u where u.transaction_id = t.id and u.resolved_at is null)
"""
STARTED: Final = "select id from transactions where charge_point_id = $1 and ocpp_transaction_id = $2"
RESOLVE: Final = "update unprocessed set resolved_at = $2, transaction_id = coalesce(transaction_id, $3) where id = $1"


async def replay(connection: asyncpg.Connection, charge_point_id: UUID, unprocessed_id: int, now: datetime) -> None:
    """Processes the message, and releases the session that was held only for it.

    Raises:
        NotFound: this charge point has no such message.
        Conflict: it was replayed before, no quirk makes it processable, its quirks are not set, or it fails again.
    """
    await lock_charge_point(connection, str(charge_point_id))
    row = await connection.fetchrow(FIND, unprocessed_id, charge_point_id)
    if row is None:
        raise NotFound
    call = _call(row)
    await connection.execute(RESOLVE, row["id"], now, None)
    await connection.execute(RELEASE, row["transaction_id"], REFUSED, UNPROCESSED)
    try:
        async with connection.transaction():
            answer = await HANDLERS[call.action](connection, call, now)
    except (ValueError, ArithmeticError, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
        raise Conflict(f"The message still cannot be processed: {error}"[:500]) from error
    if call.action == "StartTransaction":
        started = await connection.fetchval(STARTED, charge_point_id, salvage_transaction_id(answer.payload))
        await connection.execute(RESOLVE, row["id"], now, started)


def _call(row: Mapping[str, Any]) -> ChargePointCall:
    """The message as its handler takes it. Raises Conflict: see `replay`."""
    if row["resolved_at"] is not None:
        raise Conflict("This message was replayed before.")
    if row["action"] not in HANDLERS:
        raise Conflict(f"Only messages of a session can be replayed; {row['action']} is none.")
    if row["error_code"] is not None and row["repaired"] is None:
        raise Conflict("No quirk makes this message processable.")
    if missing := [name for name in row["suggested_quirks"] if name not in row["quirks"]]:
        raise Conflict(f"Set these quirks first: {', '.join(missing)}.")
    at = row["received_at"].timestamp()
    payload = row["payload"] if row["repaired"] is None else row["repaired"]
    return ChargePointCall(
        id=f"replay-{row['id']}",
        charge_point_id=str(row["charge_point_id"]),
        epoch=row["epoch"],
        sequence=0,
        message_id=row["message_id"],
        action=row["action"],
        payload=payload,
        received_at=at,
        deadline=at,
        reply_to="",
    )
