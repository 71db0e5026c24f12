"""Registering with an e-mail address that has to be proven: there is no account before. Nothing here commits.

Each registration waits for its own secret, with its own password: whoever confirms one gets the account as it was
asked for there, so that nobody can prepare an account with somebody else's address.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from api.database import find_one
from api.identity import email_tokens, operations
from api.mail import outbox
from api.paging import PageRequest, read_page
from api.schema import email_tokens as table
from api.schema import users
from api.sharing.operations import redeem_invitations


async def ask(
    connection: AsyncConnection,
    *,
    email: str,
    password_hash: str,
    display_name: str,
    language: str,
    public_url: str,
    now: datetime,
) -> None:
    """Mails the secret that makes the account; to somebody who has one, that they have. The caller cannot tell."""
    found = await connection.execute(select(users).where(users.c.email == email))
    user = found.one_or_none()
    if user is not None:
        await remind(connection, user, now)
        return
    registration = {"password_hash": password_hash, "display_name": display_name, "language": language}
    await email_tokens.send(
        connection, "verify", email, registration=registration, language=language, public_url=public_url, now=now
    )


async def remind(connection: AsyncConnection, user: Row[Any], now: datetime) -> None:
    """Tells somebody that there is an account already; nothing, where it is disabled."""
    if user.disabled_at is None:
        await outbox.post(
            connection, "registered_already", user.email, user_id=user.id, language=user.language, now=now
        )


async def confirm(connection: AsyncConnection, token: str, now: datetime) -> Row[Any]:
    """The account that was asked for.

    Raises:
        LinkExpired: the secret does not count.
        Conflict: the address got an account since.
    """
    asked = await email_tokens.redeem(connection, "verify", token, now)
    await email_tokens.withdraw_registrations(connection, asked.email)
    return await admit(connection, email=asked.email, **asked.registration, now=now)


async def admit(
    connection: AsyncConnection,
    *,
    email: str,
    password_hash: str,
    display_name: str,
    language: str,
    now: datetime,
) -> Row[Any]:
    """A new account, and all that comes with it: every registration ends here, with an address that is proven, or
    that counts as proven where the installation asks for no proof.

    Raises:
        Conflict: the address has an account.
    """
    user = await operations.register(
        connection,
        email=email,
        password_hash=password_hash,
        display_name=display_name,
        language=language,
        verified_at=now,
        now=now,
    )
    await redeem_invitations(connection, user.id, email, now)
    return user


async def send_again(connection: AsyncConnection, email: str, public_url: str, now: datetime) -> None:
    """A new secret for the newest registration with this address, if there is one; the older one counts too."""
    query = _pending(now).where(table.c.email == email).order_by(table.c.created_at.desc()).limit(1)
    if (asked := (await connection.execute(query)).one_or_none()) is not None:
        await _repeat(connection, asked, public_url, now)


async def send_again_by_id(connection: AsyncConnection, token_id: UUID, public_url: str, now: datetime) -> str:
    """The same for an operator; returns the address.

    Raises:
        NotFound: no such registration waits.
    """
    asked = await find_one(connection, _pending(now).where(table.c.id == token_id))
    await _repeat(connection, asked, public_url, now)
    return str(asked.email)


async def _repeat(connection: AsyncConnection, asked: Row[Any], public_url: str, now: datetime) -> None:
    await email_tokens.send(
        connection,
        "verify",
        asked.email,
        registration=asked.registration,
        language=asked.registration["language"],
        public_url=public_url,
        now=now,
    )


def _pending(now: datetime) -> Select[Any]:
    return select(table).where(table.c.purpose == "verify", table.c.expires_at > now)


async def list_pending(
    connection: AsyncConnection, now: datetime, paging: PageRequest
) -> tuple[list[Row[Any]], str | None]:
    """Registrations that wait for their secret, newest first."""
    rows, cursor = await read_page(connection, _pending(now), [table.c.created_at, table.c.id], paging)
    return list(rows), cursor
