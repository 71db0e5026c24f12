"""Commands as rows: who may send what, whether it is a valid OCPP CALL, and its state. Nothing here commits or sends.

A row moves by compare-and-set: queued -> sent -> one terminal status.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib import resources
from typing import Any, Final
from uuid import UUID

import jsonschema_rs
from sqlalchemy import ColumnElement, Row, Select, insert, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from api.bus import LiveConnection
from api.errors import ChargingRefused, Conflict, Invalid, NotAllowed, NotFound
from api.idempotency import IdempotentRequest, earlier_answer, remember_answer
from api.identity import id_tags
from api.identity.caller import Caller
from api.paging import PageRequest, read_page
from api.schema import charge_points, commands, transactions
from api.sharing.access import OPERATOR, OWNER
from api.sharing.authorization import authorize

REMOTE_START: Final = "RemoteStartTransaction"
REMOTE_STOP: Final = "RemoteStopTransaction"
WHO_MAY_SEND: Final = {
    REMOTE_START: frozenset({OWNER, OPERATOR}),
    REMOTE_STOP: frozenset({OWNER, OPERATOR}),
}
"""By action; a guest starts and stops by the routes that are made for it."""
OPEN: Final = ("queued", "sent")
DEADLINE: Final = timedelta(seconds=25)
"""Below the 30 s that a caller waits by default, so that the caller sees how it ended."""


def check_call(action: str, payload: dict[str, Any]) -> None:
    """Whether a CALL is one that we send, and valid by the official schema of OCPP 1.6.

    Raises:
        Invalid: it is not.
    """
    if action not in WHO_MAY_SEND:
        raise Invalid.field("body.action", f"must be one of {', '.join(sorted(WHO_MAY_SEND))}")
    error = next(_validator(action).iter_errors(payload), None)
    if error is not None:
        raise Invalid.field(".".join(["body.payload", *map(str, error.instance_path)]), error.message)
    # errata 3.41: the profile of a remote start is a TxProfile without transactionId
    profile = payload.get("chargingProfile") if action == REMOTE_START else None
    if profile and (profile["chargingProfilePurpose"] != "TxProfile" or "transactionId" in profile):
        raise Invalid.field("body.payload.chargingProfile", "must be a TxProfile without transactionId (errata 3.41)")


@cache
def _validator(action: str) -> jsonschema_rs.Draft4Validator:
    text = (resources.files("ocpp.v16") / "schemas" / f"{action}.json").read_text("utf-8-sig")
    return jsonschema_rs.Draft4Validator(json.loads(text), validate_formats=True)


def check_may_send(charge_point: Row[Any], action: str) -> None:
    """Whether the caller's role at the charge point is enough.

    Raises:
        NotAllowed: it is not.
    """
    if charge_point.role not in WHO_MAY_SEND[action]:
        raise NotAllowed(f"Only the owner of this charge point may send {action}.")


async def check_remote_start(
    connection: AsyncConnection, caller: Caller, charge_point: Row[Any], payload: dict[str, Any], now: datetime
) -> None:
    """Whether the session that a RemoteStartTransaction asks for may begin: nobody starts one in another's name.

    Raises:
        Invalid: the id tag is not the caller's.
        ChargingRefused: who may charge said no.
    """
    tag = str(payload["idTag"]).upper()
    if not caller.is_operator and await id_tags.find_own(connection, caller.user_id, tag) is None:
        raise Invalid.field("body.payload.idTag", "not one of your id tags")
    raw = (await connection.get_raw_connection()).driver_connection
    decision = await authorize(raw, charge_point.id, tag, now, starting_on=payload.get("connectorId", 0))
    if not decision.accepted:
        raise ChargingRefused(decision.reason, authorization_status=decision.status)


def check_registration(charge_point: Row[Any], live: LiveConnection | None) -> None:
    """OCPP 1.6 4.2: nothing is sent while Rejected, and no remote start or stop while Pending.

    Raises:
        Conflict: the charge point is connected but not Accepted.
    """
    if live is not None and charge_point.registration != "Accepted":
        state = charge_point.registration or "waiting for its first BootNotification"
        raise Conflict(f"The charge point is not Accepted yet: it is {state}.")


@dataclass(frozen=True, slots=True)
class Order:
    """What a caller wants a charge point to do; `charge_point` is its row with the caller's role."""

    caller: Caller
    charge_point: Row[Any]
    action: str
    payload: dict[str, Any]
    transaction_id: int | None = None
    conflict: str = ""
    """Why it makes no sense now; a repeated request is answered all the same."""


async def issue(
    connection: AsyncConnection,
    order: Order,
    live: LiveConnection | None,
    idempotency: IdempotentRequest,
    now: datetime,
) -> UUID:
    """The row of a command, or the one that the same request made before.

    Raises:
        Conflict: `order.conflict`, or the charge point is connected but not Accepted.
        Invalid, ChargingRefused: the session may not begin.
        InProgress, KeyReused: see `earlier_answer`.
    """
    user_id = order.caller.user_id
    if (earlier := await earlier_answer(connection, idempotency, user_id, now)) is not None:
        return UUID(earlier["id"])
    if order.conflict:
        raise Conflict(order.conflict)
    check_registration(order.charge_point, live)
    if order.action == REMOTE_START:
        await check_remote_start(connection, order.caller, order.charge_point, order.payload, now)
    command_id = await _create(connection, order, live, now)
    await remember_answer(connection, idempotency, user_id, now, {"id": str(command_id)})
    return command_id


async def _create(connection: AsyncConnection, order: Order, live: LiveConnection | None, now: datetime) -> UUID:
    """For the connection that stands now; without one the command ends as offline at once."""
    values = {
        "charge_point_id": order.charge_point.id,
        "user_id": order.caller.user_id,
        "action": order.action,
        "payload": order.payload,
        "status": "queued" if live else "offline",
        "epoch": live.epoch if live else 0,
        "deadline_at": now + DEADLINE,
        "finished_at": None if live else now,
        "note": None if live else "The charge point is not connected.",
        "transaction_id": order.transaction_id,
        "created_at": now,
    }
    created = await connection.execute(insert(commands).values(**values).returning(commands.c.id))
    command_id: UUID = created.scalar_one()
    return command_id


async def find_transaction(connection: AsyncConnection, charge_point_id: UUID, payload: dict[str, Any]) -> int | None:
    """The transaction that a RemoteStopTransaction means, where we know it."""
    query = select(transactions.c.id).where(
        transactions.c.charge_point_id == charge_point_id,
        transactions.c.ocpp_transaction_id == payload.get("transactionId"),
    )
    return (await connection.execute(query)).scalar_one_or_none()


async def mark_published(connection: AsyncConnection, command_id: UUID, now: datetime) -> None:
    """The command is on its way."""
    this = (commands.c.id == command_id, commands.c.published_at.is_(None))
    await connection.execute(update(commands).where(*this).values(published_at=now))


async def end_as_offline(connection: AsyncConnection, command_id: UUID, note: str, now: datetime) -> None:
    """Nobody received the command, so the charge point cannot have: it ends as offline."""
    this = (commands.c.id == command_id, commands.c.status == "queued")
    await connection.execute(update(commands).where(*this).values(status="offline", note=note, finished_at=now))


_COLUMNS = (
    *(column for column in commands.c if column.name != "transaction_id"),
    transactions.c.public_id.label("transaction_id"),
)


def _select() -> Select[Any]:
    joined = commands.outerjoin(transactions, transactions.c.id == commands.c.transaction_id)
    return select(*_COLUMNS).select_from(joined)


async def read(connection: AsyncConnection, command_id: UUID) -> Row[Any]:
    """A command that exists."""
    row: Row[Any] = (await connection.execute(_select().where(commands.c.id == command_id))).one()
    return row


async def find(connection: AsyncConnection, caller: Caller, command_id: UUID) -> Row[Any]:
    """A command of the caller, or one to a charge point that they own.

    Raises:
        NotFound: the caller does not see it.
    """
    query = _select().where(commands.c.id == command_id, _is_visible(caller))
    row: Row[Any] | None = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound
    return row


def _is_visible(caller: Caller) -> ColumnElement[bool]:
    if caller.is_operator:
        return true()
    owned = select(charge_points.c.id).where(charge_points.c.owner_id == caller.user_id)
    return or_(commands.c.user_id == caller.user_id, commands.c.charge_point_id.in_(owned))


async def list_sent(
    connection: AsyncConnection, charge_point_id: UUID, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """The commands to a charge point, newest first."""
    query = _select().where(commands.c.charge_point_id == charge_point_id)
    return await read_page(connection, query, [commands.c.created_at, commands.c.id], paging)
