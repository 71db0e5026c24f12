"""Everybody's accounts as operators look after them; each deed is in the audit log. Nothing here commits."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from api import audit
from api.database import find_one
from api.errors import Conflict
from api.identity import email_tokens, recovery
from api.paging import PageRequest, read_page
from api.schema import audit_log, users


async def list_users(
    connection: AsyncConnection, search: str, role: str | None, disabled: bool | None, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """Accounts that were not erased, newest first; `search` is a part of the e-mail or the name."""
    query: Select[Any] = select(users).where(users.c.erased_at.is_(None))
    if search:
        part = func.lower(search)
        query = query.where(
            or_(func.strpos(users.c.email, part) > 0, func.strpos(func.lower(users.c.display_name), part) > 0)
        )
    if role is not None:
        query = query.where(users.c.role == role)
    if disabled is not None:
        query = query.where(users.c.disabled_at.is_not(None) if disabled else users.c.disabled_at.is_(None))
    return await read_page(connection, query, [users.c.created_at, users.c.id], paging)


async def find(connection: AsyncConnection, user_id: UUID) -> Row[Any]:
    """One account, locked until the commit.

    Raises:
        NotFound: there is none, or it was erased.
    """
    query = select(users).where(users.c.id == user_id, users.c.erased_at.is_(None)).with_for_update()
    return await find_one(connection, query)


async def edit(
    connection: AsyncConnection,
    operator_id: UUID,
    user_id: UUID,
    now: datetime,
    *,
    role: str | None = None,
    disabled: bool | None = None,
) -> Row[Any]:
    """Changes the role, disables or enables; who is disabled is logged out.

    Raises:
        NotFound: there is no such account.
        Conflict: it is the operator's own: somebody must be left who can undo it.
    """
    user = await find(connection, user_id)
    if user_id == operator_id:
        raise Conflict("Another operator has to change your account, so that one is always left.")
    if role is not None and role != user.role:
        await _set(connection, user_id, role=role)
        await audit.record(connection, operator_id, "user.role_changed", user_id, now, role=role, before=user.role)
    if disabled and user.disabled_at is None:
        await _set(connection, user_id, disabled_at=now)
        await recovery.revoke_sessions(connection, user_id, now)
        await email_tokens.withdraw(connection, user_id)
        await audit.record(connection, operator_id, "user.disabled", user_id, now)
    if disabled is False and user.disabled_at is not None:
        await _set(connection, user_id, disabled_at=None)
        await audit.record(connection, operator_id, "user.enabled", user_id, now)
    return await find(connection, user_id)


async def _set(connection: AsyncConnection, user_id: UUID, **columns: Any) -> None:  # noqa: ANN401 - of many types
    await connection.execute(update(users).where(users.c.id == user_id).values(**columns))


async def end_sessions(connection: AsyncConnection, operator_id: UUID, user_id: UUID, now: datetime) -> None:
    """Logs somebody out everywhere.

    Raises:
        NotFound: there is no such account.
    """
    await find(connection, user_id)
    await recovery.revoke_sessions(connection, user_id, now)
    await audit.record(connection, operator_id, "user.sessions_ended", user_id, now)


async def list_audit_log(
    connection: AsyncConnection, actor_id: UUID | None, subject_id: UUID | None, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """Who did what, newest first."""
    query: Select[Any] = select(audit_log)
    if actor_id is not None:
        query = query.where(audit_log.c.actor_id == actor_id)
    if subject_id is not None:
        query = query.where(audit_log.c.subject_id == subject_id)
    return await read_page(connection, query, [audit_log.c.id], paging)
