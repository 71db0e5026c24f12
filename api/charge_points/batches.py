"""One CALL for many charge points: its making and its progress. Nothing here commits or sends."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, func, insert, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from api.bus import LiveConnection
from api.charge_points import commands
from api.charge_points.command_rules import ACTIONS
from api.database import find_one
from api.errors import ApiError, Invalid, NotFound
from api.identity.caller import Caller
from api.paging import PageRequest, read_page
from api.schema import charge_points, command_batches
from api.schema import commands as command_rows
from api.sharing.access import is_visible, role_of


def check_batch(action: str, payload: dict[str, Any], now: datetime) -> None:
    """Whether a CALL may go to many charge points.

    Raises:
        Invalid: it is none of ours, breaks a rule, or names what only one charge point has.
    """
    commands.check_call(action, payload, now)
    if not ACTIONS[action].batch:
        raise Invalid.field("body.action", f"{action} is meant for one charge point")


async def create(
    connection: AsyncConnection,
    caller: Caller,
    *,
    action: str,
    payload: dict[str, Any],
    charge_point_ids: Sequence[UUID],
    lives: Mapping[UUID, LiveConnection],
    now: datetime,
) -> tuple[UUID, list[UUID]]:
    """The batch and its commands; those that may not be sent are kept with the reason."""
    values = {"user_id": caller.user_id, "action": action, "payload": payload, "created_at": now}
    made = await connection.execute(insert(command_batches).values(**values).returning(command_batches.c.id))
    batch_id: UUID = made.scalar_one()
    known = await _find_visible(connection, caller, charge_point_ids, now)
    command_ids, refused = [], []
    for charge_point_id in dict.fromkeys(charge_point_ids):
        try:
            if (charge_point := known.get(charge_point_id)) is None:
                raise NotFound
            await commands.check_may_send(connection, caller, charge_point, action, payload)
            call, live = commands.Call(charge_point, action, payload), lives.get(charge_point_id)
            # no batch starts a session, so none needs credit
            made_id = await commands.create(connection, caller, call, live, credit=None, now=now, batch_id=batch_id)
            command_ids.append(made_id)
        except ApiError as error:
            refused.append({"charge_point_id": str(charge_point_id), "reason": error.detail})
    this = command_batches.c.id == batch_id
    await connection.execute(update(command_batches).where(this).values(refused=refused))
    return batch_id, command_ids


async def _find_visible(
    connection: AsyncConnection, caller: Caller, charge_point_ids: Sequence[UUID], now: datetime
) -> dict[UUID, Row[Any]]:
    query = select(charge_points, role_of(caller, now).label("role")).where(
        charge_points.c.id.in_(charge_point_ids), is_visible(caller, now)
    )
    return {row.id: row for row in await connection.execute(query)}


async def find(connection: AsyncConnection, caller: Caller, batch_id: UUID) -> Row[Any]:
    """A batch of the caller's.

    Raises:
        NotFound: there is none.
    """
    query = select(command_batches).where(command_batches.c.id == batch_id, _is_visible(caller))
    return await find_one(connection, query)


def _is_visible(caller: Caller) -> ColumnElement[bool]:
    return true() if caller.is_operator else command_batches.c.user_id == caller.user_id


async def progress(connection: AsyncConnection, batch_id: UUID) -> dict[str, int]:
    """How many of its commands have which status."""
    query = select(command_rows.c.status, func.count().label("number")).where(command_rows.c.batch_id == batch_id)
    return {row.status: row.number for row in await connection.execute(query.group_by(command_rows.c.status))}


async def list_commands(
    connection: AsyncConnection, batch_id: UUID, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """The commands of a batch, newest first."""
    query = commands.select_commands().where(command_rows.c.batch_id == batch_id)
    return await read_page(connection, query, [command_rows.c.created_at, command_rows.c.id], paging)
