"""Bookings, by which a person keeps a connector for a while: making, reading and cancelling them. Nothing commits here.

That no two overlap is an exclusion constraint's to hold; what the clock does to them is `booking_keeping`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
from sqlalchemy import ColumnElement, Row, and_, exists, func, insert, or_, select, true, union, update
from sqlalchemy.ext.asyncio import AsyncConnection

from api.credit.holds import available, lock_driver, too_low
from api.database import find_one, raw
from api.errors import ChargingRefused, Conflict, ConnectorReserved, Invalid
from api.identity.caller import Caller
from api.paging import PageRequest, read_page
from api.schema import bookings as table
from api.schema import charge_points, connector_specs, connectors, transactions
from api.sharing.authorization import authorize_throughout
from api.sharing.decision import Decision
from api.tariffs.in_force import tariff_in_force

STANDING: Final = "standing"
CANCELLED: Final = "cancelled"
WITHDRAWN: Final = "withdrawn"
SHORTEST: Final = timedelta(minutes=5)
IN_TIME: Final = timedelta(minutes=10)
"""So long after its start a booking may still be cancelled for nothing."""
MOST_STANDING: Final = 10
"""Bookings that one person has at a time, so that nobody keeps everything from everybody."""
TAKEN: Final = """
select exists (
    select from transactions where charge_point_id = $1 and connector_id = $2 and status = 'active'
        and driver_id is distinct from $3::uuid
) or exists (
    select from connectors where charge_point_id = $1 and connector_id in (0, $2)
        and status in ('Faulted', 'Unavailable'))
"""
NO_SHOW: Final = """
b.no_show_fee_minor > 0
    and c.connected_at is not null and (c.disconnected_at is null or c.disconnected_at < c.connected_at)
    and not exists (
        select from transactions x where x.charge_point_id = b.charge_point_id and x.connector_id = b.connector_id
            and x.started_at < b.ends_at and coalesce(x.stopped_at, 'infinity') > b.starts_at)
    and not exists (
        select from connectors k where k.charge_point_id = b.charge_point_id and k.connector_id in (0, b.connector_id)
            and k.status in ('Faulted', 'Unavailable'))
"""
"""Of a booking `b` at a charge point `c`: a fee is due only where its holder could have charged, as far as we know."""
CANCEL: Final = f"""
update bookings b set status = 'cancelled', ended_at = $2, is_no_show = $3 and ({NO_SHOW})
from charge_points c where b.id = $1 and c.id = b.charge_point_id and b.status = 'standing'
returning b.id
"""  # noqa: S608 - our own words


@dataclass(frozen=True, slots=True)
class Slot:
    """Which connector, from when until (excluding) when, and by which id tag."""

    charge_point: Row[Any]
    connector_id: int
    starts_at: datetime
    ends_at: datetime
    id_tag: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long and how far ahead a connector may be kept, and how far below zero drivers may go."""

    longest: timedelta
    horizon: timedelta
    credit_limit_minor: int


def check_times(starts_at: datetime, ends_at: datetime, bounds: Bounds, now: datetime) -> None:
    """Whether a connector may be kept for such a time.

    Raises:
        Invalid: too early, too late, too short or too long.
    """
    if starts_at < now:
        raise Invalid.field("body.starts_at", "must not be in the past")
    if starts_at > now + bounds.horizon:
        raise Invalid.field("body.starts_at", f"must be within {bounds.horizon.days} days from now")
    if not SHORTEST <= ends_at - starts_at <= bounds.longest:
        shortest, longest = SHORTEST // timedelta(minutes=1), bounds.longest // timedelta(minutes=1)
        raise Invalid.field("body.ends_at", f"must be {shortest} to {longest} minutes after starts_at")


async def book(connection: AsyncConnection, holder_id: UUID, slot: Slot, bounds: Bounds, now: datetime) -> UUID:
    """Keeps a connector for somebody who may charge there through all of that time; the new booking's id.

    Raises:
        Invalid, Conflict, ConnectorReserved: not at that connector, or not then.
        ChargingRefused: who may charge said no.
        CreditTooLow: the no-show fee is not covered.
    """
    driver = await raw(connection)
    await lock_driver(driver, holder_id)
    await _check_free(connection, holder_id, slot, now)
    where = (slot.charge_point.id, slot.id_tag, slot.connector_id)
    decision = await authorize_throughout(driver, *where, starts_at=slot.starts_at, ends_at=slot.ends_at)
    if not decision.accepted:
        raise ChargingRefused(decision.reason, authorization_status=decision.status, code=decision.code)
    terms = await _terms(driver, slot, decision, bounds)
    values = {
        "charge_point_id": slot.charge_point.id,
        "connector_id": slot.connector_id,
        "owner_id": slot.charge_point.owner_id,
        "user_id": holder_id,
        "id_tag": slot.id_tag,
        "parent_tag": decision.parent_tag,
        "grant_id": decision.grant_id,
        "starts_at": slot.starts_at,
        "ends_at": slot.ends_at,
        "created_at": now,
        **terms,
    }
    booking_id: UUID = (await connection.execute(insert(table).values(values).returning(table.c.id))).scalar_one()
    return booking_id


async def _check_free(connection: AsyncConnection, holder_id: UUID, slot: Slot, now: datetime) -> None:
    place, number = slot.charge_point.id, slot.connector_id
    await _check_connector(connection, place, number)
    mine = and_(table.c.user_id == holder_id, table.c.status == STANDING, table.c.ends_at > now)
    if (await connection.execute(select(func.count()).where(mine))).scalar_one() >= MOST_STANDING:
        raise Conflict(f"You have {MOST_STANDING} reservations already. Cancel one first.")
    # one at a time at a connector: of two at once the constraint would end one as a deadlock
    lock = func.pg_advisory_xact_lock(func.hashtextextended(f"bookings:{place}:{number}", 0))
    await connection.execute(select(lock))
    overlaps = and_(
        table.c.charge_point_id == place,
        table.c.connector_id == number,
        table.c.status == STANDING,
        table.c.starts_at < slot.ends_at,
        table.c.ends_at > slot.starts_at,
    )
    if (await connection.execute(select(table.c.id).where(overlaps).limit(1))).first() is not None:
        raise ConnectorReserved
    driver = await raw(connection)
    if slot.starts_at <= now and await driver.fetchval(TAKEN, place, number, holder_id):
        raise Conflict("This connector is not free now. Reserve it for later.")


async def _check_connector(connection: AsyncConnection, charge_point_id: UUID, connector_id: int) -> None:
    known = union(
        *(
            select(each.c.connector_id).where(
                each.c.charge_point_id == charge_point_id, each.c.connector_id == connector_id
            )
            for each in (connectors, connector_specs)
        )
    )
    if (await connection.execute(known)).first() is None:
        raise Invalid.field("body.connector_id", "not a known connector of this charge point")


async def _terms(
    connection: asyncpg.Connection, slot: Slot, decision: Decision, bounds: Bounds
) -> dict[str, str | int | None]:
    """The fee for not coming, which the holder must be able to pay; owners pay themselves nothing."""
    place = slot.charge_point
    version = await tariff_in_force(connection, place.id, decision.grant_id, slot.starts_at)
    fee_minor = version.tariff.no_show_fee_minor if version else 0
    if version is None or not fee_minor or decision.driver_id in {None, place.owner_id}:
        return {"currency": None, "no_show_fee_minor": 0}
    assert decision.driver_id is not None  # noqa: S101 - for the type checker
    has_minor = await available(connection, decision.driver_id, version.currency, bounds.credit_limit_minor)
    if has_minor < fee_minor:
        raise too_low(fee_minor, has_minor, version.currency)
    return {"currency": version.currency, "no_show_fee_minor": fee_minor}


def _is_seen_by(caller: Caller) -> ColumnElement[bool]:
    if caller.is_operator:
        return true()
    return or_(table.c.user_id == caller.user_id, table.c.owner_id == caller.user_id)


def _select() -> Any:  # noqa: ANN401 - a select
    columns = [column for column in table.c if column.name != "transaction_id"]
    joined = table.outerjoin(transactions, transactions.c.id == table.c.transaction_id)
    return select(*columns, transactions.c.public_id.label("transaction_id")).select_from(joined)


async def find(connection: AsyncConnection, caller: Caller, booking_id: UUID) -> Row[Any]:
    """A booking of the caller's, or at a charge point that was the caller's when it was made.

    Raises:
        NotFound: the caller does not see it.
    """
    query = _select().where(table.c.id == booking_id, _is_seen_by(caller))
    return await find_one(connection, query)


async def list_own(
    connection: AsyncConnection, caller: Caller, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """What the caller reserved, newest first."""
    mine = table.c.user_id == caller.user_id
    return await read_page(connection, _select().where(mine), [table.c.created_at, table.c.id], paging)


async def list_of_charge_point(
    connection: AsyncConnection, charge_point: Row[Any], paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """What was reserved at a charge point under its present owner, newest first."""
    there = and_(table.c.charge_point_id == charge_point.id, table.c.owner_id == charge_point.owner_id)
    return await read_page(connection, _select().where(there), [table.c.created_at, table.c.id], paging)


async def cancel(connection: AsyncConnection, caller: Caller, booking_id: UUID, now: datetime) -> Row[Any]:
    """Ends a booking; of its holder, who does so too late, the no-show fee is due.

    Raises:
        NotFound: the caller does not see it.
        Conflict: it has ended.
    """
    row = await find(connection, caller, booking_id)
    is_late = row.user_id == caller.user_id and now > row.starts_at + IN_TIME
    if await (await raw(connection)).fetchval(CANCEL, booking_id, now, is_late) is None:
        raise Conflict(f"This reservation is over: it is {row.status}.")
    return await find(connection, caller, booking_id)


async def withdraw(connection: AsyncConnection, condition: ColumnElement[bool], now: datetime) -> None:
    """Ends every standing booking that meets the condition, for nothing."""
    standing = update(table).where(condition, table.c.status == STANDING)
    await connection.execute(standing.values(status=WITHDRAWN, ended_at=now))


def is_booked(starts_at: datetime, ends_at: datetime) -> ColumnElement[bool]:
    """Whether the connector of a row of `connector_specs` is reserved for a part of that time."""
    return exists().where(
        table.c.charge_point_id == charge_points.c.id,
        table.c.connector_id == connector_specs.c.connector_id,
        table.c.status == STANDING,
        table.c.starts_at < ends_at,
        table.c.ends_at > starts_at,
    )
