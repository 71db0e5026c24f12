"""Messages that could not be processed or had to be refused: kept raw for a person, and answered validly.

No message stalls the others, and none is lost (DESIGN 2.3, 2.4); a replay finds its row by its digest.
"""

import hashlib
from datetime import datetime
from typing import Any, Final

import asyncpg

from api.charge_points.answers import Answer, encode_payload, received_at
from api.charge_points.message_log import storable
from api.charge_points.registration import boot_without_details
from api.transactions.held import REFUSED, UNPROCESSED
from api.transactions.requests import salvage_transaction_id
from api.transactions.start import start_salvaged
from wire.messages import ChargePointCall

KEEP: Final = """
insert into unprocessed (charge_point_id, epoch, message_id, action, payload, digest, received_at, error_code, reason,
    transaction_id, suggested_quirks, repaired)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
on conflict (charge_point_id, action, digest) do nothing
"""
STARTED: Final = "select id from transactions where charge_point_id = $1 and ocpp_transaction_id = $2"
HOLD_NAMED: Final = """
update transactions
set held_reasons = case when $3 = any(held_reasons) then held_reasons else array_append(held_reasons, $3) end
where charge_point_id = $1 and ocpp_transaction_id = $2
returning id
"""
TRANSACTION_ACTIONS: Final = ("MeterValues", "StopTransaction")
VALID_ANSWERS: Final[dict[str, dict[str, Any]]] = {
    "Authorize": {"idTagInfo": {"status": "Invalid"}},
    "DataTransfer": {"status": "Rejected"},
}
"""The least that the schema of each answer asks for, where that is more than nothing."""


async def keep_refused(connection: asyncpg.Connection, call: ChargePointCall) -> Answer:
    """Keeps a message before the CALLERROR with which the gateway refuses it."""
    named = await _hold_named(connection, call, REFUSED)
    reason = call.refused_description or "refused by the gateway"
    await _keep(connection, call, reason, named, error_code=call.refused)
    return Answer(error_code=call.refused, error_description=call.refused_description)


async def set_aside(connection: asyncpg.Connection, call: ChargePointCall, now: datetime, reason: str) -> Answer:
    """Keeps a message that failed alone and answers it validly; a Start still gets a transactionId."""
    if call.action == "StartTransaction":
        answer = await start_salvaged(connection, call)
        named = await _started(connection, call, answer)
    else:
        answer = await _valid_answer(connection, call, now)
        named = await _hold_named(connection, call, UNPROCESSED)
    await _keep(connection, call, reason, named, error_code=None)
    return answer


async def _valid_answer(connection: asyncpg.Connection, call: ChargePointCall, now: datetime) -> Answer:
    if call.action == "BootNotification":
        return await boot_without_details(connection, call, now)
    return Answer(encode_payload(VALID_ANSWERS.get(call.action, {})))


async def _started(connection: asyncpg.Connection, call: ChargePointCall, answer: Answer) -> int | None:
    transaction_id = salvage_transaction_id(answer.payload)
    return await connection.fetchval(STARTED, call.charge_point_id, transaction_id)  # type: ignore[no-any-return]


async def _hold_named(connection: asyncpg.Connection, call: ChargePointCall, reason: str) -> int | None:
    """Holds the transaction that the message names; None where it names none of this charge point's."""
    if call.action not in TRANSACTION_ACTIONS:
        return None
    transaction_id = salvage_transaction_id(call.payload)
    return await connection.fetchval(  # type: ignore[no-any-return]
        HOLD_NAMED, call.charge_point_id, transaction_id, reason
    )


async def _keep(
    connection: asyncpg.Connection, call: ChargePointCall, reason: str, named: int | None, *, error_code: str | None
) -> None:
    digest = hashlib.sha256(call.payload).digest()
    await connection.execute(
        KEEP,
        *(call.charge_point_id, call.epoch, storable(call.message_id), storable(call.action), call.payload, digest),
        *(received_at(call), error_code, storable(reason), named),
        *((call.tolerance.suggested_quirks, call.tolerance.repaired or None) if call.tolerance else ([], None)),
    )
