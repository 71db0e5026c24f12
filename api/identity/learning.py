"""Learning windows: for a short while the next unknown card at a charge point becomes somebody's. Nothing here commits.

A card that anybody has registered is never learned, nor one that a charge point had queued from before the window.
"""

import re
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from api.database import find_one
from api.errors import Conflict
from api.identity.id_tags import group_lock_name
from api.schema import id_tags, learning_windows

TAG: Final = re.compile(r"[!-~]{1,20}")
"""OCPP 1.6 7.28 IdToken, in characters that every charge point spells alike."""
OPEN_WINDOW: Final = """
select id, user_id, label from learning_windows
where charge_point_id = $1 and closed_at is null and created_at <= $2 and expires_at > $2 for update
"""
LOCK: Final = "select pg_advisory_xact_lock(hashtextextended($1, 0))"
LEARN: Final = """
insert into id_tags (user_id, tag, kind, label, created_at)
select $1::uuid, $2::text, 'card', $3::text, $4::timestamptz
where not exists (select from id_tags where parent_tag = $2::text and user_id <> $1)
on conflict do nothing returning id
"""
CLOSE: Final = "update learning_windows set closed_at = $2, id_tag_id = $3 where id = $1"


async def learn(connection: asyncpg.Connection, charge_point_id: UUID, id_tag: str, presented_at: datetime) -> bool:
    """Whether an unknown id tag was learned just now; `presented_at` is when it was held to the charge point."""
    if TAG.fullmatch(id_tag) is None:
        return False
    window = await connection.fetchrow(OPEN_WINDOW, charge_point_id, presented_at)
    if window is None:
        return False
    tag = id_tag.upper()
    await connection.execute(LOCK, group_lock_name(tag))
    learned = await connection.fetchval(LEARN, window["user_id"], tag, window["label"], presented_at)
    if learned is not None:
        await connection.execute(CLOSE, window["id"], presented_at, learned)
    return learned is not None


async def open_window(
    connection: AsyncConnection, charge_point_id: UUID, user_id: UUID, *, label: str, lasts: timedelta, now: datetime
) -> Row[Any]:
    """A window of this user at this charge point; an earlier one of the same user is closed.

    Raises:
        Conflict: somebody else's window is open there.
    """
    table = learning_windows
    standing = (table.c.charge_point_id == charge_point_id, table.c.closed_at.is_(None))
    await connection.execute(select(_lock(charge_point_id)))
    found = (await connection.execute(select(table).where(*standing))).one_or_none()
    if found is not None:
        if found.user_id != user_id and found.expires_at > now:
            raise Conflict("Somebody else is having a card learned at this charge point. Try again in a minute.")
        await connection.execute(update(table).where(table.c.id == found.id).values(closed_at=now))
    values = {"charge_point_id": charge_point_id, "user_id": user_id, "label": label, "expires_at": now + lasts}
    statement = insert(table).values(**values, created_at=now).returning(table.c.id)
    window_id = (await connection.execute(statement)).scalar_one()
    return await find_own(connection, charge_point_id, user_id, window_id)


def _lock(charge_point_id: UUID) -> Any:  # noqa: ANN401 - a SQL function
    return func.pg_advisory_xact_lock(func.hashtextextended(f"learning:{charge_point_id}", 0))


async def find_own(connection: AsyncConnection, charge_point_id: UUID, user_id: UUID, window_id: UUID) -> Row[Any]:
    """A window with the card that it learned.

    Raises:
        NotFound: not one of this user at this charge point.
    """
    table = learning_windows
    query = (
        select(table, id_tags.c.tag)
        .select_from(table.outerjoin(id_tags, id_tags.c.id == table.c.id_tag_id))
        .where(table.c.id == window_id, table.c.charge_point_id == charge_point_id, table.c.user_id == user_id)
    )
    return await find_one(connection, query)


async def close_window(
    connection: AsyncConnection, charge_point_id: UUID, user_id: UUID, window_id: UUID, now: datetime
) -> None:
    """Learns nothing more.

    Raises:
        NotFound: not one of this user at this charge point.
    """
    await find_own(connection, charge_point_id, user_id, window_id)
    table = learning_windows
    await connection.execute(
        update(table).where(table.c.id == window_id, table.c.closed_at.is_(None)).values(closed_at=now)
    )
