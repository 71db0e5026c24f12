"""The end of an account: what is the person's goes, what the books need stays as an opaque id. Commits nothing."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, literal, or_, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from api import audit, schema
from api.administration.personal_data import ERASED, condition
from api.errors import ErasureRefused
from api.settlement.operations import read_balances
from api.sharing import bookings

NOBODYS_HASH: Final = "!"
"""No password has it."""
ERASED_TAG: Final = "erased"
NO_MAIL: Final = "erased.invalid"
"""RFC 2606: no such domain will ever exist."""


async def erase(connection: AsyncConnection, user_id: UUID, actor_id: UUID, now: datetime) -> None:
    """Erases a person, at once and for good.

    Raises:
        ErasureRefused: with the reasons: what has to be settled first.
    """
    table = schema.users
    await connection.execute(select(table.c.id).where(table.c.id == user_id).with_for_update())
    if reasons := await _hindrances(connection, user_id):
        raise ErasureRefused("; ".join(reasons.values()), reasons=list(reasons))
    await bookings.withdraw(connection, schema.bookings.c.user_id == user_id, now)
    await _pseudonymise(connection, user_id)
    for name in ERASED:
        erased = schema.metadata.tables[name]
        await connection.execute(delete(erased).where(condition(erased, user_id)))
    revoke = update(schema.grants).where(schema.grants.c.user_id == user_id, schema.grants.c.revoked_at.is_(None))
    await connection.execute(revoke.values(revoked_at=now))
    empty = {
        "email": f"{user_id}@{NO_MAIL}",
        "password_hash": NOBODYS_HASH,
        "display_name": "",
        "language": "en",
        "role": "user",
        "email_verified_at": None,
    }
    await connection.execute(update(table).where(table.c.id == user_id).values(**empty, disabled_at=now, erased_at=now))
    await audit.record(connection, actor_id, "user.erased", user_id, now)


async def _hindrances(connection: AsyncConnection, user_id: UUID) -> dict[str, str]:
    """What has to be settled first: a stable name and a sentence for each."""
    sessions, owned = schema.transactions, schema.charge_points
    own = owned.c.owner_id == user_id
    involved = or_(sessions.c.driver_id == user_id, sessions.c.charge_point_id.in_(select(owned.c.id).where(own)))
    due = and_(sessions.c.status == "stopped", sessions.c.settled_at.is_(None), sessions.c.total_minor.is_not(None))
    found = {}
    if await _any(connection, owned.c.id, and_(own, owned.c.deleted_at.is_(None))):
        found["charge_points"] = "Delete your charge points, or hand them over"
    if await _any(connection, sessions.c.id, and_(involved, sessions.c.status == "active")):
        found["open_sessions"] = "A session is running"
    if await _any(connection, sessions.c.id, and_(involved, due)):
        found["unsettled_sessions"] = "A session is not settled, or is held and has to be decided"
    booked = schema.bookings
    fee = and_(booked.c.user_id == user_id, booked.c.is_no_show, booked.c.settled_minor == 0)
    if await _any(connection, booked.c.id, fee):
        found["no_show_fees"] = "A no-show fee is not settled yet"
    if await _has_balance(connection, user_id):
        found["balance"] = "A balance is not zero"
    return found


async def _any(connection: AsyncConnection, column: ColumnElement[Any], where: ColumnElement[bool]) -> bool:
    return (await connection.execute(select(column).where(where).limit(1))).first() is not None


async def _has_balance(connection: AsyncConnection, user_id: UUID) -> bool:
    accounts = select(schema.ledger_accounts.c.id).where(schema.ledger_accounts.c.user_id == user_id)
    balances = [await read_balances(connection, each) for each in (await connection.execute(accounts)).scalars()]
    return any(amount for each in balances for amount in each.values())


async def _pseudonymise(connection: AsyncConnection, user_id: UUID) -> None:
    """Cards out of what the books keep, names out of what was the person's."""
    sessions, stops, kept = schema.transactions, schema.transaction_stops, schema.reservations
    mine = select(sessions.c.id).where(sessions.c.driver_id == user_id)
    tag = {"id_tag": ERASED_TAG}
    await connection.execute(update(stops).where(stops.c.transaction_id.in_(mine)).values(**tag))
    await connection.execute(update(sessions).where(sessions.c.driver_id == user_id).values(**tag))
    await connection.execute(update(kept).where(kept.c.user_id == user_id).values(**tag, parent_id_tag=None))
    booked = schema.bookings
    await connection.execute(update(booked).where(booked.c.user_id == user_id).values(**tag, parent_tag=None))
    for commands in (schema.commands, schema.command_batches):
        payload = commands.c.payload
        without = func.jsonb_set(payload, text("'{idTag}'"), literal(ERASED_TAG, JSONB))
        named = and_(commands.c.user_id == user_id, payload.has_key("idTag"))
        await connection.execute(update(commands).where(named).values(payload=without))
    owned = schema.charge_points
    await connection.execute(update(owned).where(owned.c.owner_id == user_id).values(name=""))
