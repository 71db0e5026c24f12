"""New passwords and new e-mail addresses: rules and queries. Nothing here commits or hashes a password."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from api.errors import Conflict, LinkExpired
from api.identity import email_tokens, operations, registration
from api.mail import outbox
from api.schema import sessions, users
from api.sharing.operations import redeem_invitations


async def ask_for_reset(connection: AsyncConnection, email: str, public_url: str, now: datetime) -> None:
    """Mails the secret with which to choose a password, where somebody has this address; the caller cannot tell."""
    user = await operations.find_by_email(connection, email)
    if user is not None:
        await email_tokens.send(
            connection, "reset", email, user_id=user.id, language=user.language, public_url=public_url, now=now
        )


async def reset(connection: AsyncConnection, token: str, password_hash: str, now: datetime) -> UUID:
    """Replaces the password and ends every log-in; returns whose.

    Raises:
        LinkExpired: the secret does not count, or the account is disabled.
    """
    asked = await email_tokens.redeem(connection, "reset", token, now)
    this = (users.c.id == asked.user_id, users.c.email == asked.email, users.c.disabled_at.is_(None))
    statement = update(users).where(*this).values(password_hash=password_hash, email_verified_at=now)
    user = (await connection.execute(statement.returning(users))).one_or_none()
    if user is None:
        raise LinkExpired
    await redeem_invitations(connection, user.id, user.email, now)
    await _after_new_password(connection, user, None, now)
    return UUID(str(user.id))


async def change_password(
    connection: AsyncConnection, user_id: UUID, session_id: UUID, password_hash: str, now: datetime
) -> None:
    """Replaces the password and ends every other log-in."""
    statement = update(users).where(users.c.id == user_id).values(password_hash=password_hash).returning(users)
    user = (await connection.execute(statement)).one()
    await _after_new_password(connection, user, session_id, now)


async def _after_new_password(
    connection: AsyncConnection, user: Row[Any], kept_session: UUID | None, now: datetime
) -> None:
    """Whoever knew the old password, or got a link while it counted, is out."""
    await revoke_sessions(connection, user.id, now, but=kept_session)
    await email_tokens.withdraw(connection, user.id)
    await outbox.post(connection, "password_changed", user.email, user_id=user.id, language=user.language, now=now)


async def revoke_sessions(
    connection: AsyncConnection, user_id: UUID, now: datetime, *, but: UUID | None = None
) -> None:
    """Ends every log-in of a user, or every other one."""
    standing = [sessions.c.user_id == user_id, sessions.c.revoked_at.is_(None)]
    if but is not None:
        standing.append(sessions.c.id != but)
    await connection.execute(update(sessions).where(*standing).values(revoked_at=now))


async def ask_for_email(
    connection: AsyncConnection, user: Row[Any], email: str, public_url: str, now: datetime
) -> None:
    """Mails a secret to the new address; to somebody who has an account with it, that they have."""
    other = await operations.find_by_email(connection, email)
    if other is not None:
        await registration.remind(connection, other, now)
        return
    await email_tokens.send(
        connection, "change_email", email, user_id=user.id, language=user.language, public_url=public_url, now=now
    )


async def change_email(connection: AsyncConnection, token: str, now: datetime) -> None:
    """Replaces the address; the old one is told, and no secret that went there counts any more.

    Raises:
        LinkExpired: the secret does not count, or the account is disabled.
        Conflict: the address got an account since.
    """
    asked = await email_tokens.redeem(connection, "change_email", token, now)
    user = await operations.find_user(connection, asked.user_id)
    if user.disabled_at is not None:
        raise LinkExpired
    change = update(users).where(users.c.id == user.id).values(email=asked.email, email_verified_at=now)
    try:
        async with connection.begin_nested():
            await connection.execute(change)
    except IntegrityError:
        raise Conflict("This e-mail address has an account already.") from None
    await email_tokens.withdraw(connection, user.id)
    await email_tokens.withdraw_registrations(connection, asked.email)
    await redeem_invitations(connection, user.id, asked.email, now)
    await outbox.post(connection, "email_changed", user.email, user_id=user.id, language=user.language, now=now)
