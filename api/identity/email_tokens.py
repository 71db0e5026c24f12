"""The secrets that mails bring: made, stored as digests, and used once. What they allow is decided elsewhere."""

from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import Row, Text, cast, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from api.errors import LinkExpired
from api.identity import tokens
from api.mail import outbox
from api.schema import email_tokens

Purpose = Literal["verify", "reset", "change_email"]
LIFETIMES: Final[dict[Purpose, timedelta]] = {
    "verify": timedelta(hours=24),
    "reset": timedelta(hours=1),
    "change_email": timedelta(hours=24),
}
PAGES: Final[dict[Purpose, str]] = {"verify": "verify-email", "reset": "reset-password", "change_email": "change-email"}


async def send(
    connection: AsyncConnection,
    purpose: Purpose,
    email: str,
    *,
    user_id: UUID | None = None,
    registration: dict[str, Any] | None = None,
    language: str,
    public_url: str,
    now: datetime,
) -> None:
    """Mails a new secret to `email`: behind a # of the link, so that no server's log gets to see it."""
    token, lifetime = tokens.new_refresh_token(), LIFETIMES[purpose]
    row: dict[str, Any] = {"purpose": purpose, "email": email, "user_id": user_id}
    if registration is not None:
        row["registration"] = registration
    values = {**row, "digest": tokens.digest(token), "expires_at": now + lifetime, "created_at": now}
    await connection.execute(insert(email_tokens).values(**values))
    link = f"{public_url.rstrip('/')}/{PAGES[purpose]}#{token}"
    hours = str(int(lifetime.total_seconds() // 3600))
    await outbox.post(
        connection, purpose, email, user_id=user_id, language=language, now=now, link=link, code=token, hours=hours
    )


async def redeem(connection: AsyncConnection, purpose: Purpose, token: str, now: datetime) -> Row[Any]:
    """The row of a secret that counts; it never counts again once the transaction is committed.

    Raises:
        LinkExpired: it is unknown, used, expired, or for something else.
    """
    table = email_tokens
    owner = select(func.coalesce(cast(table.c.user_id, Text), table.c.email)).where(
        table.c.digest == tokens.digest(token)
    )
    whose = (await connection.execute(owner)).scalar_one_or_none()
    # secrets of one person are used one after the other: each removes the others
    await connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"email token:{whose}", 0))))
    this = (table.c.digest == tokens.digest(token), table.c.purpose == purpose, table.c.expires_at > now)
    row: Row[Any] | None = (await connection.execute(delete(table).where(*this).returning(table))).one_or_none()
    if row is None:
        raise LinkExpired
    return row


async def withdraw(connection: AsyncConnection, user_id: UUID) -> None:
    """No secret that was mailed for this account counts any more."""
    await connection.execute(delete(email_tokens).where(email_tokens.c.user_id == user_id))


async def withdraw_registrations(connection: AsyncConnection, email: str) -> None:
    """No other registration with this address can be finished any more."""
    this = (email_tokens.c.email == email, email_tokens.c.purpose == "verify")
    await connection.execute(delete(email_tokens).where(*this))
