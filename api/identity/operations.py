"""Users and their log-ins: rules and queries. Nothing here commits, hashes a password or knows HTTP."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
from sqlalchemy import Row, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from api.errors import Conflict
from api.identity import id_tags, tokens
from api.schema import refresh_tokens, sessions, users

LONGEST_USER_AGENT = 200
FIND_CALLER: Final = """
select u.role from users u join sessions s on s.user_id = u.id
where u.id = $1 and s.id = $2 and s.revoked_at is null and u.disabled_at is null
"""
"""Asked by every request, so past SQLAlchemy."""


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A log-in and its newest refresh token, which is shown once."""

    user_id: UUID
    session_id: UUID
    refresh_token: str


async def register(
    connection: AsyncConnection,
    *,
    email: str,
    password_hash: str,
    display_name: str,
    language: str,
    verified_at: datetime | None = None,
    now: datetime,
) -> Row[Any]:
    """A new user with an id tag for starting sessions from the app.

    Raises:
        Conflict: the e-mail has an account.
    """
    values: dict[str, Any] = {
        "email": email,
        "password_hash": password_hash,
        "display_name": display_name,
        "language": language,
    }
    values["email_verified_at"] = verified_at
    statement = upsert(users).values(**values, created_at=now).on_conflict_do_nothing().returning(users)
    user: Row[Any] | None = (await connection.execute(statement)).one_or_none()
    if user is None:
        raise Conflict("This e-mail address has an account already.")
    await id_tags.create_app_tag(connection, user.id, now)
    return user


async def find_by_email(connection: AsyncConnection, email: str) -> Row[Any] | None:
    """The user who may log in with this normalised e-mail."""
    query = select(users).where(users.c.email == email, users.c.disabled_at.is_(None))
    return (await connection.execute(query)).one_or_none()


async def is_unchanged(connection: AsyncConnection, user: Row[Any]) -> bool:
    """Whether the password that was checked still is the user's, and stays it until the commit.

    Passwords are checked outside of a transaction: one that is replaced meanwhile must not open anything any more.
    """
    this = (users.c.id == user.id, users.c.password_hash == user.password_hash, users.c.disabled_at.is_(None))
    return (await connection.execute(select(users.c.id).where(*this).with_for_update())).first() is not None


async def find_user(connection: AsyncConnection, user_id: UUID) -> Row[Any]:
    """The user of a caller."""
    row: Row[Any] = (await connection.execute(select(users).where(users.c.id == user_id))).one()
    return row


async def edit_user(connection: AsyncConnection, user_id: UUID, changes: dict[str, Any]) -> Row[Any]:
    """Changes the display name, the language, or which notices are mailed."""
    if not changes:
        return await find_user(connection, user_id)
    statement = update(users).where(users.c.id == user_id).values(**changes).returning(users)
    row: Row[Any] = (await connection.execute(statement)).one()
    return row


async def store_password_hash(connection: AsyncConnection, user_id: UUID, password_hash: str) -> None:
    """Replaces the hash after it was made anew with today's parameters."""
    await connection.execute(update(users).where(users.c.id == user_id).values(password_hash=password_hash))


async def open_session(
    connection: AsyncConnection, user_id: UUID, user_agent: str, now: datetime, refresh_lifetime: timedelta
) -> OpenSession:
    """A new log-in with its first refresh token."""
    values = {"user_id": user_id, "user_agent": user_agent[:LONGEST_USER_AGENT], "last_used_at": now}
    statement = insert(sessions).values(**values, created_at=now).returning(sessions.c.id)
    session_id = (await connection.execute(statement)).scalar_one()
    token = await _add_refresh_token(connection, session_id, now, refresh_lifetime)
    return OpenSession(user_id, session_id, token)


async def rotate(
    connection: AsyncConnection,
    refresh_token: str,
    now: datetime,
    refresh_lifetime: timedelta,
    log_in_lifetime: timedelta,
) -> OpenSession | None:
    """Exchanges a refresh token for the next one; None where it does not count, or the log-in is too old.

    A token that was used before revokes its log-in (RFC 9700, 4.14.2: one of the two users stole it), so the caller
    must commit in either case.
    """
    digest = tokens.digest(refresh_token)
    table = refresh_tokens
    unused = (table.c.digest == digest, table.c.used_at.is_(None), table.c.expires_at > now)
    statement = update(table).where(*unused).values(used_at=now).returning(table.c.session_id)
    session_id = (await connection.execute(statement)).scalar_one_or_none()
    if session_id is None:
        await _revoke_if_reused(connection, digest, now)
        return None
    touch = update(sessions).where(
        sessions.c.id == session_id,
        sessions.c.revoked_at.is_(None),
        sessions.c.created_at > now - log_in_lifetime,
        users.c.id == sessions.c.user_id,
        users.c.disabled_at.is_(None),
    )
    touched = await connection.execute(touch.values(last_used_at=now).returning(sessions.c.user_id))
    user_id = touched.scalar_one_or_none()
    if user_id is None:
        return None
    return OpenSession(user_id, session_id, await _add_refresh_token(connection, session_id, now, refresh_lifetime))


async def revoke_session(connection: AsyncConnection, session_id: UUID, now: datetime) -> None:
    """Ends a log-in: its access tokens and refresh tokens count no more."""
    standing = (sessions.c.id == session_id, sessions.c.revoked_at.is_(None))
    await connection.execute(update(sessions).where(*standing).values(revoked_at=now))


async def standing_sessions(connection: AsyncConnection, session_ids: Collection[UUID]) -> dict[UUID, str]:
    """Those of these log-ins that stand, with the role of their user."""
    standing = (sessions.c.id.in_(session_ids), sessions.c.revoked_at.is_(None), users.c.disabled_at.is_(None))
    query = select(sessions.c.id, users.c.role).join(users, users.c.id == sessions.c.user_id).where(*standing)
    return {row.id: row.role for row in await connection.execute(query)}


async def find_caller(connection: asyncpg.Connection, user_id: UUID, session_id: UUID) -> str | None:
    """The role of a user whose log-in stands; None where it was revoked or the user disabled."""
    role: str | None = await connection.fetchval(FIND_CALLER, user_id, session_id)
    return role


async def find_language(connection: asyncpg.Connection, user_id: UUID) -> str:
    """In which language a caller reads."""
    language: str = await connection.fetchval("select language from users where id = $1", user_id)
    return language


async def _add_refresh_token(connection: AsyncConnection, session_id: UUID, now: datetime, lifetime: timedelta) -> str:
    token = tokens.new_refresh_token()
    values = {"digest": tokens.digest(token), "session_id": session_id, "expires_at": now + lifetime}
    await connection.execute(insert(refresh_tokens).values(**values, created_at=now))
    return token


async def _revoke_if_reused(connection: AsyncConnection, digest: bytes, now: datetime) -> None:
    used = (refresh_tokens.c.digest == digest, refresh_tokens.c.used_at.is_not(None))
    row = (await connection.execute(select(refresh_tokens.c.session_id).where(*used))).one_or_none()
    if row is not None:
        await revoke_session(connection, row.session_id, now)
