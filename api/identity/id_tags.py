"""Id tags: the cards and apps by which a charge point knows a person. Rules and queries; nothing here commits.

OCPP 1.6 7.28 IdToken: at most 20 characters, case-insensitive, so tags are stored in upper case.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, Select, delete, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from api.database import find_one
from api.errors import Conflict, NotFound
from api.paging import PageRequest, read_page
from api.schema import id_tags

ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Upper case without what people mistake for each other: 0 and O, 1 and I."""
GENERATED_LENGTH: Final = 16
"""80 bits: an id tag is as good as a key to a grant, so it must not be guessed."""


def new_tag() -> str:
    """A random id tag."""
    return "".join(secrets.choice(ALPHABET) for _ in range(GENERATED_LENGTH))


async def create_app_tag(connection: AsyncConnection, user_id: UUID, now: datetime) -> None:
    """The id tag with which a user's app starts sessions."""
    values = {"user_id": user_id, "tag": new_tag(), "kind": "app", "label": "App", "created_at": now}
    await connection.execute(insert(id_tags).values(**values))


async def create(
    connection: AsyncConnection,
    user_id: UUID,
    *,
    tag: str | None,
    label: str,
    kind: str,
    parent_tag: str | None,
    concurrency_limit: int,
    expires_at: datetime | None,
    now: datetime,
) -> Row[Any]:
    """A new id tag, generated where `tag` is None.

    Raises:
        Conflict: the tag is registered, or it or its parent belongs to another person's group.
    """
    names = [name.upper() for name in (tag, parent_tag) if name is not None]
    await _lock_groups(connection, names)
    await _check_groups(connection, user_id, names)
    values = {
        "user_id": user_id,
        "tag": tag.upper() if tag else new_tag(),
        "label": label,
        "kind": kind,
        "parent_tag": parent_tag.upper() if parent_tag else None,
        "concurrency_limit": concurrency_limit,
        "expires_at": expires_at,
        "created_at": now,
    }
    statement = upsert(id_tags).values(**values).on_conflict_do_nothing().returning(id_tags)
    row: Row[Any] | None = (await connection.execute(statement)).one_or_none()
    if row is None:
        raise Conflict("This id tag is registered already.")
    return row


async def _lock_groups(connection: AsyncConnection, names: list[str]) -> None:
    for name in sorted(set(names)):
        lock = func.pg_advisory_xact_lock(func.hashtextextended(group_lock_name(name), 0))
        await connection.execute(select(lock))


def group_lock_name(tag: str) -> str:
    """Of the advisory lock that whoever registers a tag, or a tag below it, holds."""
    return f"id tag:{tag}"


async def _check_groups(connection: AsyncConnection, user_id: UUID, names: list[str]) -> None:
    """OCPP 1.6 4.10: who has the same parentIdTag may stop a session, so nobody joins a stranger's group."""
    if not names:
        return
    taken = select(id_tags.c.id).where(
        id_tags.c.user_id != user_id, or_(id_tags.c.tag.in_(names), id_tags.c.parent_tag.in_(names))
    )
    if (await connection.execute(taken.limit(1))).first() is not None:
        raise Conflict("This id tag, or its parent, is registered by another person.")


async def list_own(
    connection: AsyncConnection, user_id: UUID, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """The id tags of a user, newest first."""
    query: Select[Any] = select(id_tags).where(id_tags.c.user_id == user_id)
    return await read_page(connection, query, [id_tags.c.created_at, id_tags.c.id], paging)


async def edit(connection: AsyncConnection, user_id: UUID, tag_id: UUID, changes: dict[str, Any]) -> Row[Any]:
    """Changes label, blocked, concurrency_limit or expires_at.

    Raises:
        NotFound: not an id tag of this user.
    """
    own = (id_tags.c.id == tag_id, id_tags.c.user_id == user_id)
    statement = (
        update(id_tags).where(*own).values(**changes).returning(id_tags) if changes else select(id_tags).where(*own)
    )
    return await find_one(connection, statement)


async def remove(connection: AsyncConnection, user_id: UUID, tag_id: UUID) -> None:
    """Forgets an id tag; sessions that were started with it keep its text.

    Raises:
        NotFound: not an id tag of this user.
    """
    own = (id_tags.c.id == tag_id, id_tags.c.user_id == user_id)
    if (await connection.execute(delete(id_tags).where(*own))).rowcount == 0:
        raise NotFound


async def find_own(connection: AsyncConnection, user_id: UUID, tag: str | None) -> str | None:
    """`tag` where it is registered by this user; without `tag`, the oldest app tag that is not blocked."""
    query = select(id_tags.c.tag).where(id_tags.c.user_id == user_id)
    if tag is not None:
        query = query.where(id_tags.c.tag == tag.upper())
    else:
        query = query.where(id_tags.c.kind == "app", id_tags.c.blocked.is_(False))
    return (await connection.execute(query.order_by(id_tags.c.created_at, id_tags.c.id).limit(1))).scalar_one_or_none()
