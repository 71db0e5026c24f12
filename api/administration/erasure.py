"""The end of an account: what is the person's goes, what the books need stays as an opaque id. Commits nothing."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, literal, null, or_, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from api import audit, schema
from api.administration.personal_data import ERASED, condition, own_address
from api.credit.holds import release_ended
from api.database import raw
from api.errors import ErasureRefused
from api.settlement.operations import read_balances
from api.sharing import bookings
from api.sharing.operations import revoke_all

NOBODYS_HASH: Final = "!"
"""No password has it."""
ERASED_TAG: Final = "erased"
ERASED_TARIFF: Final = "erased"
NOWHERE: Final[dict[str, Any]] = {
    "name": "", "address": "", "postal_code": "", "city": "", "latitude": None, "longitude": None,
    "opening_times": null(),
}  # fmt: skip
"""What is left of a location."""
NO_MAIL: Final = "erased.invalid"
"""RFC 2606: no such domain will ever exist."""


async def erase(connection: AsyncConnection, user_id: UUID, actor_id: UUID, now: datetime) -> None:
    """Erases a person, at once and for good.

    Raises:
        ErasureRefused: with the reasons: what has to be settled first.
    """
    table = schema.users
    await connection.execute(select(table.c.id).where(table.c.id == user_id).with_for_update())
    if reasons := await _hindrances(connection, user_id, now):
        raise ErasureRefused("; ".join(reasons.values()), reasons=list(reasons))
    await _end_sharing(connection, user_id, now)
    await bookings.withdraw(connection, schema.bookings.c.user_id == user_id, now)
    await _pseudonymise(connection, user_id)
    for name in ERASED:
        erased = schema.metadata.tables[name]
        await connection.execute(delete(erased).where(condition(erased, user_id)))
    empty: dict[str, Any] = {
        "email": _nobodys_address(user_id),
        "password_hash": NOBODYS_HASH,
        "display_name": "",
        "language": "en",
        "role": "user",
        "email_verified_at": None,
        "mail_notices": [],
    }
    await connection.execute(update(table).where(table.c.id == user_id).values(**empty, disabled_at=now, erased_at=now))
    await audit.record(connection, actor_id, "user.erased", user_id, now)


def _nobodys_address(user_id: UUID) -> str:
    return f"{user_id}@{NO_MAIL}"


async def _hindrances(connection: AsyncConnection, user_id: UUID, now: datetime) -> dict[str, str]:
    """What has to be settled first: a stable name and a sentence for each.

    Sessions are read first, then holds, then money: what one of them becomes meanwhile is found in the next.
    """
    sessions, owned = schema.transactions, schema.charge_points
    own = owned.c.owner_id == user_id
    involved = or_(sessions.c.driver_id == user_id, sessions.c.owner_id == user_id)
    due = and_(sessions.c.status == "stopped", sessions.c.settled_at.is_(None), sessions.c.total_minor.is_not(None))
    found = {}
    if await _any(connection, owned.c.id, and_(own, owned.c.deleted_at.is_(None))):
        found["charge_points"] = "Delete your charge points, or hand them over"
    if await _any(connection, sessions.c.id, and_(involved, sessions.c.status == "active")):
        found["open_sessions"] = "A session is running"
    if await _any(connection, sessions.c.id, and_(involved, due)):
        found["unsettled_sessions"] = "A session is not settled, or is held and has to be decided"
    if await _has_hold(connection, user_id, now):
        found["holds"] = "Money is kept for a start whose session has not begun or ended"
    if await _any(connection, schema.payouts.c.id, _is_open_payout(user_id)):
        found["open_payout"] = "A payout is on its way"
    booked = schema.bookings
    fee = and_(booked.c.user_id == user_id, booked.c.is_no_show, booked.c.settled_minor == 0)
    if await _any(connection, booked.c.id, fee):
        found["no_show_fees"] = "A no-show fee is not settled yet"
    if await _has_balance(connection, user_id):
        found["balance"] = "A balance is not zero"
    return found


async def _any(connection: AsyncConnection, column: ColumnElement[Any], where: ColumnElement[bool]) -> bool:
    return (await connection.execute(select(column).where(where).limit(1))).first() is not None


async def _has_hold(connection: AsyncConnection, user_id: UUID, now: datetime) -> bool:
    await release_ended(await raw(connection), now, user_id)
    holds = schema.holds
    return await _any(connection, holds.c.id, and_(holds.c.user_id == user_id, holds.c.released_at.is_(None)))


def _is_open_payout(user_id: UUID) -> ColumnElement[bool]:
    return and_(condition(schema.payouts, user_id), schema.payouts.c.status == "open")


async def _has_balance(connection: AsyncConnection, user_id: UUID) -> bool:
    accounts = select(schema.ledger_accounts.c.id).where(schema.ledger_accounts.c.user_id == user_id)
    balances = [await read_balances(connection, each) for each in (await connection.execute(accounts)).scalars()]
    return any(amount for each in balances for amount in each.values())


async def _end_sharing(connection: AsyncConnection, user_id: UUID, now: datetime) -> None:
    """Nobody charges by the person's word or as the person, and nothing is on offer to or from them."""
    await _end_grants(connection, user_id, now)
    offers = schema.handovers
    ended = and_(condition(offers, user_id), offers.c.status != "accepted")
    await connection.execute(delete(offers).where(ended))
    taken = or_(offers.c.accepted_by == user_id, offers.c.email == own_address(user_id))
    await connection.execute(update(offers).where(taken).values(email=_nobodys_address(user_id)))
    for table, emptied in ((schema.groups, {"name": ""}), (schema.locations, NOWHERE)):
        deleted = {"deleted_at": func.coalesce(table.c.deleted_at, now)}
        await connection.execute(update(table).where(table.c.owner_id == user_id).values(**emptied, **deleted))


async def _end_grants(connection: AsyncConnection, user_id: UUID, now: datetime) -> None:
    grants, members = schema.grants, schema.group_members
    boxes, places, groups = (
        select(table.c.id).where(table.c.owner_id == user_id)
        for table in (schema.charge_points, schema.locations, schema.groups)
    )
    given = or_(grants.c.charge_point_id.in_(boxes), grants.c.location_id.in_(places))
    invited = grants.c.invited_email == own_address(user_id)
    await revoke_all(connection, or_(given, invited, grants.c.user_id == user_id), now)
    invitations = and_(grants.c.audience == "invitation", or_(given, invited))
    await connection.execute(update(grants).where(invitations).values(invited_email=_nobodys_address(user_id)))
    await connection.execute(delete(members).where(members.c.group_id.in_(groups)))


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
    tariffs = schema.tariffs
    await connection.execute(update(tariffs).where(tariffs.c.owner_id == user_id).values(name=ERASED_TARIFF))
