"""Groups of people with whom an owner shares as one: rules and queries. Nothing here commits."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from api.database import find_one
from api.errors import Conflict, Invalid, NotFound
from api.paging import PageRequest, read_page
from api.schema import grants, group_members, groups, users
from api.sharing import operations


async def create(connection: AsyncConnection, owner_id: UUID, name: str, now: datetime) -> Row[Any]:
    """A new group without members."""
    values = {"owner_id": owner_id, "name": name, "created_at": now}
    row: Row[Any] = (await connection.execute(insert(groups).values(**values).returning(groups))).one()
    return row


async def list_own(
    connection: AsyncConnection, owner_id: UUID, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """The groups of this owner, newest first."""
    query = select(groups).where(groups.c.owner_id == owner_id, groups.c.deleted_at.is_(None))
    return await read_page(connection, query, [groups.c.created_at, groups.c.id], paging)


async def find(connection: AsyncConnection, owner_id: UUID, group_id: UUID, *, for_change: bool = False) -> Row[Any]:
    """A group of this owner.

    Raises:
        NotFound: there is none.
    """
    own = (groups.c.id == group_id, groups.c.owner_id == owner_id, groups.c.deleted_at.is_(None))
    query = select(groups).where(*own)
    return await find_one(connection, query.with_for_update() if for_change else query)


async def rename(connection: AsyncConnection, owner_id: UUID, group_id: UUID, name: str) -> Row[Any]:
    """Changes the name.

    Raises:
        NotFound: not a group of this owner.
    """
    await find(connection, owner_id, group_id)
    statement = update(groups).where(groups.c.id == group_id).values(name=name).returning(groups)
    row: Row[Any] = (await connection.execute(statement)).one()
    return row


async def remove(connection: AsyncConnection, owner_id: UUID, group_id: UUID, now: datetime) -> None:
    """Ends a group: its grants are revoked, its members forgotten.

    Raises:
        NotFound: not a group of this owner.
    """
    await find(connection, owner_id, group_id, for_change=True)
    await operations.revoke_all(connection, grants.c.group_id == group_id, now)
    await connection.execute(delete(group_members).where(group_members.c.group_id == group_id))
    await connection.execute(update(groups).where(groups.c.id == group_id).values(deleted_at=now))


async def list_members(
    connection: AsyncConnection, owner_id: UUID, group_id: UUID, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """The members, who came last first.

    Raises:
        NotFound: not a group of this owner.
    """
    await find(connection, owner_id, group_id)
    joined = group_members.join(users, users.c.id == group_members.c.user_id)
    query = select(group_members, users.c.email, users.c.display_name).select_from(joined)
    query = query.where(group_members.c.group_id == group_id)
    return await read_page(connection, query, [group_members.c.created_at, group_members.c.user_id], paging)


async def add_member(
    connection: AsyncConnection, owner_id: UUID, group_id: UUID, email: str, now: datetime
) -> Row[Any]:
    """Takes the person who has this e-mail into the group.

    Raises:
        NotFound: not a group of this owner, or nobody has an account with the e-mail.
        Invalid: it is the owner's own.
        Conflict: the person is in the group.
    """
    await find(connection, owner_id, group_id, for_change=True)
    user_id = await operations.find_person(connection, email)
    if user_id is None:
        raise NotFound(f"Nobody with the e-mail {email} has an account here yet. Ask them to register first.")
    if user_id == owner_id:
        raise Invalid.field("body.email", "the owner needs no grant")
    statement = upsert(group_members).values(group_id=group_id, user_id=user_id, created_at=now)
    added = (await connection.execute(statement.on_conflict_do_nothing().returning(group_members))).one_or_none()
    if added is None:
        raise Conflict("This person is in the group already.")
    member = select(group_members, users.c.email, users.c.display_name).join(users, users.c.id == user_id)
    this = (group_members.c.group_id == group_id, group_members.c.user_id == user_id)
    return (await connection.execute(member.where(*this))).one()


async def remove_member(connection: AsyncConnection, owner_id: UUID, group_id: UUID, user_id: UUID) -> None:
    """Takes a person out of the group: its grants are no longer theirs, at once.

    Raises:
        NotFound: not a group of this owner, or not a member.
    """
    await find(connection, owner_id, group_id)
    this = (group_members.c.group_id == group_id, group_members.c.user_id == user_id)
    if (await connection.execute(delete(group_members).where(*this))).rowcount == 0:
        raise NotFound
