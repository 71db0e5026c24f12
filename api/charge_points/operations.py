"""Charge points as their owners keep them: rules and queries. Nothing here commits or speaks to a charge point."""

import hashlib
import secrets
import string
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, Select, select, true, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from api.accounting.tariff import energy_price_e4, flat_tariff, tariff_from_json
from api.errors import Conflict, Invalid
from api.identity.caller import Caller
from api.identity.id_tags import ALPHABET
from api.paging import Listing, PageRequest, Window
from api.prepared import Connection, Prepared, slot
from api.schema import charge_points, connectors, transactions
from api.sharing.access import GUEST, any_caller, find_controlled, is_visible, role_of, shared_with
from api.tariffs.in_force import beside
from api.tariffs.operations import set_own_price

KEY_ALPHABET: Final = string.ascii_letters + string.digits
KEY_LENGTH: Final = 20
"""119 bits; whitepaper: an AuthorizationKey has 16 to 20 bytes."""
IDENTITY_LENGTH: Final = 8
IDENTITY_ATTEMPTS: Final = 5
DEFAULT_CURRENCY: Final = "CZK"


def new_key() -> str:
    """A random key for Basic authentication."""
    return "".join(secrets.choice(KEY_ALPHABET) for _ in range(KEY_LENGTH))


def key_digest(key: str | bytes) -> bytes:
    """What is stored of a key; 119 random bits need no slow hash."""
    return hashlib.sha256(key.encode() if isinstance(key, str) else key).digest()


def _new_identity() -> str:
    return "VLT-" + "".join(secrets.choice(ALPHABET) for _ in range(IDENTITY_LENGTH))


async def create(
    connection: AsyncConnection,
    owner_id: UUID,
    *,
    identity: str | None,
    name: str,
    time_zone: str,
    rated_power_w: int | None,
    auto_configuration: bool = False,
    key: str | None = None,
    now: datetime,
) -> tuple[UUID, str]:
    """A new charge point: its id, and its key, which is stored as a digest only; `key` is one that it has already.

    Raises:
        Conflict: the identity is taken.
    """
    key = key or new_key()
    values = {
        "owner_id": owner_id,
        "name": name,
        "time_zone": time_zone,
        "rated_power_w": rated_power_w,
        "auto_configuration": auto_configuration,
        "key_digest": key_digest(key),
        "key_changed_at": now,
        "created_at": now,
    }
    for _ in range(1 if identity else IDENTITY_ATTEMPTS):
        statement = upsert(charge_points).values(**values, identity=identity or _new_identity())
        inserted = await connection.execute(statement.on_conflict_do_nothing().returning(charge_points.c.id))
        if (charge_point_id := inserted.scalar_one_or_none()) is not None:
            return charge_point_id, key
    raise Conflict("This identity is taken by another charge point.")


def _overview(role: str) -> Select[Any]:
    """What a caller of this role sees of charge points, with the tariff in force for the caller; with slots."""
    caller, now = any_caller(role), slot("now", datetime)
    tariff = beside("charge_points.id", str(caller.user_id), str(now))
    columns = select(charge_points, role_of(caller, now).label("role"), *tariff.c)
    return columns.select_from(charge_points.outerjoin(tariff, true())).where(is_visible(caller, now))


async def find(connection: Connection, caller: Caller, charge_point_id: UUID, now: datetime) -> Row[Any]:
    """One charge point.

    Raises:
        NotFound: the caller does not see it.
    """
    values = {"user_id": caller.user_id, "charge_point_id": charge_point_id, "now": now}
    return await _one(caller.role).one(connection, values)


@cache
def _one(role: str) -> Prepared:
    return Prepared(_overview(role).where(charge_points.c.id == slot("charge_point_id", UUID)))


async def list_visible(
    connection: Connection, caller: Caller, now: datetime, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """The caller's own charge points and those shared with them, newest first; operators list all."""
    return await _listing(caller.role).page(connection, paging, {"user_id": caller.user_id, "now": now})


@cache
def _listing(role: str) -> Listing:
    table, caller = charge_points.c, any_caller(role)

    def build(window: Window) -> Select[Any]:
        some = select(table.created_at, table.id).where(table.deleted_at.is_(None))
        own, shared = table.owner_id == caller.user_id, shared_with(caller.user_id, slot("now", datetime))
        page = window.of_all([some] if caller.is_operator else [some.where(own), some.where(shared)])
        return _overview(role).join(page, page.c.id == table.id)

    return Listing(build, [table.created_at, table.id])


async def edit(
    connection: AsyncConnection,
    caller: Caller,
    charge_point_id: UUID,
    changes: dict[str, Any],
    *,
    price_e4: int | None,
    currency: str | None,
    now: datetime,
) -> None:
    """Changes columns; a price or currency makes a new version of the charge point's own tariff, and assigns that.

    Raises:
        NotFound, NotAllowed: the caller does not control it.
        Invalid: a currency without any price, or a time zone that is not its location's.
    """
    charge_point = await find_controlled(connection, caller, charge_point_id, now)
    zone = changes.get("time_zone", charge_point.time_zone)
    if charge_point.location_id is not None and zone != charge_point.time_zone:
        raise Invalid.field("body.time_zone", "is that of its location: change it there")
    this = charge_points.c.id == charge_point_id
    await connection.execute(select(charge_points.c.id).where(this).with_for_update())
    if changes:
        await connection.execute(update(charge_points).where(this).values(**changes))
    if price_e4 is None and currency is None:
        return
    current = await find(connection, caller, charge_point_id, now)
    if price_e4 is None and current.elements is None:
        raise Invalid.field("body.currency", "this charge point has no price yet: give price_per_kwh too")
    price = (
        price_e4
        if price_e4 is not None
        else energy_price_e4(tariff_from_json(current.currency, current.elements, current.terms))
    )
    tariff = flat_tariff(price, currency or current.currency or DEFAULT_CURRENCY)
    await set_own_price(connection, charge_point_id, tariff, now)


async def replace_key(connection: AsyncConnection, charge_point_id: UUID, now: datetime) -> str:
    """A new key; the old one counts no more."""
    key = new_key()
    values = {"key_digest": key_digest(key), "key_changed_at": now, "next_key_digest": None}
    await connection.execute(update(charge_points).where(charge_points.c.id == charge_point_id).values(**values))
    return key


async def delete(connection: AsyncConnection, caller: Caller, charge_point_id: UUID, now: datetime) -> None:
    """Takes a charge point out of service for good; its transactions stay.

    Raises:
        NotFound, NotAllowed: the caller does not control it.
        Conflict: a session runs.
    """
    await find_controlled(connection, caller, charge_point_id, now)
    this = charge_points.c.id == charge_point_id
    await connection.execute(select(charge_points.c.id).where(this).with_for_update())
    running = select(transactions.c.id).where(
        transactions.c.charge_point_id == charge_point_id, transactions.c.status == "active"
    )
    if (await connection.execute(running.limit(1))).first() is not None:
        raise Conflict("A session is running at this charge point. Stop it first.")
    await connection.execute(update(charge_points).where(this).values(deleted_at=now))


async def list_connectors(connection: Connection, charge_point_id: UUID) -> Sequence[Row[Any]]:
    """The newest committed status of each connector."""
    return await _statuses().fetch(connection, {"charge_point_id": charge_point_id})


@cache
def _statuses() -> Prepared:
    query = select(connectors).where(connectors.c.charge_point_id == slot("charge_point_id", UUID))
    return Prepared(query.order_by(connectors.c.connector_id))


async def running_transactions(connection: Connection, caller: Caller, charge_point: Row[Any]) -> dict[int, UUID]:
    """Public ids of the running transactions by connector; a guest sees only their own."""
    values = {"charge_point_id": charge_point.id, "user_id": caller.user_id}
    rows = await _running(charge_point.role == GUEST).fetch(connection, values)
    return {row.connector_id: row.public_id for row in rows}


@cache
def _running(is_guest: bool) -> Prepared:
    query = select(transactions.c.connector_id, transactions.c.public_id).where(
        transactions.c.charge_point_id == slot("charge_point_id", UUID), transactions.c.status == "active"
    )
    own = transactions.c.driver_id == slot("user_id", UUID)
    return Prepared((query.where(own) if is_guest else query).order_by(transactions.c.started_at))
