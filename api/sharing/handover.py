"""Hand-over of a charge point to a new owner: rules and queries. Nothing here commits.

What the old owner set up ends with it: grants, location, price, key. Sessions stay with who owned it when they began.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from api.accounting.tariff import flat_tariff
from api.charge_points import operations as charge_point_operations
from api.database import find_one
from api.errors import Conflict, Invalid, NotFound
from api.identity.caller import Caller
from api.paging import PageRequest, read_page
from api.schema import bookings as schema_bookings
from api.schema import charge_points, grants, handovers, tariffs, transactions, users
from api.sharing import bookings, operations
from api.tariffs.in_force import price_for
from api.tariffs.operations import assign, set_own_price

LIFETIME: Final = timedelta(days=7)
OFFERED: Final = "offered"
ACCEPTED: Final = "accepted"
DECLINED: Final = "declined"
WITHDRAWN: Final = "withdrawn"


def _select() -> Select[Any]:
    """Offers as they are shown, with who offers what."""
    joined = handovers.join(charge_points, charge_points.c.id == handovers.c.charge_point_id).join(
        users, users.c.id == handovers.c.offered_by
    )
    return select(
        handovers,
        charge_points.c.name.label("charge_point_name"),
        users.c.display_name.label("offered_by_name"),
    ).select_from(joined)


async def offer(
    connection: AsyncConnection, charge_point: Row[Any], offered_by: UUID, email: str, now: datetime
) -> Row[Any]:
    """Offers a charge point to who has, or will have, an account with this e-mail.

    Raises:
        Conflict: it is offered already.
        Invalid: the e-mail is the owner's.
    """
    if await operations.find_person(connection, email) == charge_point.owner_id:
        raise Invalid.field("body.email", "this is the owner's own e-mail")
    overdue = (handovers.c.charge_point_id == charge_point.id, handovers.c.expires_at <= now)
    await _end(connection, and_(*overdue), WITHDRAWN, now)
    values = {"charge_point_id": charge_point.id, "offered_by": offered_by, "email": email, "created_at": now}
    statement = upsert(handovers).values(**values, expires_at=now + LIFETIME).on_conflict_do_nothing()
    handover_id = (await connection.execute(statement.returning(handovers.c.id))).scalar_one_or_none()
    if handover_id is None:
        raise Conflict("This charge point is offered to somebody already. Withdraw that offer first.")
    row: Row[Any] = (await connection.execute(_select().where(handovers.c.id == handover_id))).one()
    return row


async def withdraw(connection: AsyncConnection, charge_point_id: UUID, now: datetime) -> None:
    """Takes the open offer of a charge point back.

    Raises:
        NotFound: there is none.
    """
    if not await _end(connection, handovers.c.charge_point_id == charge_point_id, WITHDRAWN, now):
        raise NotFound


async def list_mine(
    connection: AsyncConnection, caller: Caller, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """Offers that the caller made or may accept, ended ones too, newest first."""
    mine = or_(handovers.c.offered_by == caller.user_id, _is_offered_to(caller))
    return await read_page(connection, _select().where(mine), [handovers.c.created_at, handovers.c.id], paging)


async def decline(connection: AsyncConnection, caller: Caller, handover_id: UUID, now: datetime) -> None:
    """Ends an offer to the caller.

    Raises:
        NotFound: there is no such offer.
        Conflict: it has ended.
    """
    await _find_offered(connection, caller, handover_id)
    if not await _end(connection, handovers.c.id == handover_id, DECLINED, now):
        raise Conflict("This offer has ended.")


async def accept(connection: AsyncConnection, caller: Caller, handover_id: UUID, now: datetime) -> tuple[UUID, str]:
    """Makes the caller the owner; the charge point, and its new key, which is stored as a digest only.

    Raises:
        NotFound: there is no such offer.
        Conflict: it has ended, a session runs, or the charge point has gone meanwhile.
    """
    found = await _find_offered(connection, caller, handover_id)
    charge_point = await _lock(connection, found.charge_point_id)
    this = and_(handovers.c.id == handover_id, handovers.c.expires_at > now)
    offer_stands = charge_point.deleted_at is None and charge_point.owner_id == found.offered_by
    if not offer_stands or not await _end(connection, this, ACCEPTED, now, caller.user_id):
        raise Conflict("This offer has ended.")
    await _check_idle(connection, charge_point.id)
    await _pass_on(connection, charge_point, caller.user_id, now)
    return charge_point.id, await charge_point_operations.replace_key(connection, charge_point.id, now)


def _is_offered_to(caller: Caller) -> ColumnElement[bool]:
    proven = (users.c.id == caller.user_id, users.c.email_verified_at.is_not(None))
    return handovers.c.email == select(users.c.email).where(*proven).scalar_subquery()


async def _find_offered(connection: AsyncConnection, caller: Caller, handover_id: UUID) -> Row[Any]:
    query = select(handovers).where(handovers.c.id == handover_id, _is_offered_to(caller))
    return await find_one(connection, query)


async def _end(
    connection: AsyncConnection,
    condition: ColumnElement[bool],
    status: str,
    now: datetime,
    accepted_by: UUID | None = None,
) -> bool:
    statement = update(handovers).where(condition, handovers.c.status == OFFERED)
    values = {"status": status, "ended_at": now, "accepted_by": accepted_by}
    return (await connection.execute(statement.values(**values))).rowcount > 0


async def _lock(connection: AsyncConnection, charge_point_id: UUID) -> Row[Any]:
    """No Start or Stop of it is under way, and nobody else edits it."""
    await connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(str(charge_point_id), 0))))
    query = select(charge_points).where(charge_points.c.id == charge_point_id)
    row: Row[Any] = (await connection.execute(query.with_for_update())).one()
    return row


async def _check_idle(connection: AsyncConnection, charge_point_id: UUID) -> None:
    running = select(transactions.c.id).where(
        transactions.c.charge_point_id == charge_point_id, transactions.c.status == "active"
    )
    if (await connection.execute(running.limit(1))).first() is not None:
        raise Conflict("A session is running at this charge point. It can be accepted when it has ended.")


async def _pass_on(connection: AsyncConnection, charge_point: Row[Any], owner_id: UUID, now: datetime) -> None:
    await operations.revoke_all(connection, grants.c.charge_point_id == charge_point.id, now)
    await bookings.withdraw(connection, schema_bookings.c.charge_point_id == charge_point.id, now)
    values = {"owner_id": owner_id, "location_id": None, "visibility": "shared"}
    await connection.execute(update(charge_points).where(charge_points.c.id == charge_point.id).values(**values))
    price = await price_for(connection, charge_point.id, None, now)
    # the charge point's own tariff stays with the old owner, as one like others
    await connection.execute(
        update(tariffs).where(tariffs.c.charge_point_id == charge_point.id).values(charge_point_id=None)
    )
    if price is not None:
        # the old owner's price, and VAT, must not be charged in the new owner's name
        await set_own_price(connection, charge_point.id, flat_tariff(0, price.currency), now)
    else:
        # nor one that the old owner had planned
        await assign(connection, charge_point, None, now)
