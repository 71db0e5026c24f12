"""Making somebody an operator from the command line, which is how an installation gets its first one. No HTTP here."""

from datetime import datetime
from enum import Enum

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from api import audit
from api.identity import registration
from api.schema import users


class Standing(Enum):
    """What an e-mail address is to the installation."""

    UNKNOWN = "unknown"
    USER = "user"
    OPERATOR = "operator"
    DISABLED = "disabled"


async def standing(connection: AsyncConnection, email: str) -> Standing:
    """Who has this normalised e-mail."""
    query = select(users.c.role, users.c.disabled_at).where(users.c.email == email)
    found = (await connection.execute(query)).one_or_none()
    if found is None:
        return Standing.UNKNOWN
    return Standing.DISABLED if found.disabled_at else Standing(found.role)


async def create(connection: AsyncConnection, email: str, password_hash: str, now: datetime) -> None:
    """A new account that is an operator.

    Raises:
        api.errors.Conflict: the e-mail has an account.
    """
    await registration.admit(
        connection, email=email, password_hash=password_hash, display_name="", language="en", now=now
    )
    await promote(connection, email, now)


async def promote(connection: AsyncConnection, email: str, now: datetime) -> None:
    """Makes an existing user an operator; the password stays."""
    change = update(users).where(users.c.email == email).values(role="operator").returning(users.c.id)
    user_id = (await connection.execute(change)).scalar_one()
    await audit.record(connection, None, "user.role_changed", user_id, now, role="operator", before="user")
