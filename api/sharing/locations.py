"""Locations: rules and queries. A charge point at one has its time zone; nothing here commits."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, insert, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from api.database import find_one
from api.errors import Conflict, Invalid
from api.identity.caller import Caller
from api.paging import PageRequest, read_page
from api.schema import charge_points, grants, locations


def _is_controlled(caller: Caller) -> ColumnElement[bool]:
    own = true() if caller.is_operator else locations.c.owner_id == caller.user_id
    return own & locations.c.deleted_at.is_(None)


async def create(connection: AsyncConnection, owner_id: UUID, fields: dict[str, Any], now: datetime) -> Row[Any]:
    """A new location of this owner's."""
    statement = insert(locations).values(**fields, owner_id=owner_id, created_at=now).returning(locations)
    row: Row[Any] = (await connection.execute(statement)).one()
    return row


async def list_controlled(
    connection: AsyncConnection, caller: Caller, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """The caller's locations, newest first; operators list all."""
    query = select(locations).where(_is_controlled(caller))
    return await read_page(connection, query, [locations.c.created_at, locations.c.id], paging)


async def find(connection: AsyncConnection, caller: Caller, location_id: UUID) -> Row[Any]:
    """A location of the caller's.

    Raises:
        NotFound: the caller does not see it.
    """
    query = select(locations).where(locations.c.id == location_id, _is_controlled(caller))
    return await find_one(connection, query)


async def edit(connection: AsyncConnection, caller: Caller, location_id: UUID, changes: dict[str, Any]) -> Row[Any]:
    """Changes columns; a time zone is that of its charge points too.

    Raises:
        NotFound: the caller does not see it.
        Invalid: one coordinate without the other.
    """
    row = await find(connection, caller, location_id)
    latitude, longitude = (changes.get(name, row._mapping[name]) for name in ("latitude", "longitude"))
    if (latitude is None) != (longitude is None):
        raise Invalid.field("body.longitude", "latitude and longitude go together")
    if not changes:
        return row
    this = locations.c.id == location_id
    statement = update(locations).where(this).values(**changes).returning(locations)
    edited: Row[Any] = (await connection.execute(statement)).one()
    if "time_zone" in changes:
        there = update(charge_points).where(charge_points.c.location_id == location_id)
        await connection.execute(there.values(time_zone=edited.time_zone))
    return edited


async def remove(connection: AsyncConnection, caller: Caller, location_id: UUID, now: datetime) -> None:
    """Takes a location away, with its grants.

    Raises:
        NotFound: the caller does not see it.
        Conflict: charge points stand there.
    """
    await find(connection, caller, location_id)
    this = locations.c.id == location_id
    await connection.execute(select(locations.c.id).where(this).with_for_update())
    there = select(charge_points.c.id).where(
        charge_points.c.location_id == location_id, charge_points.c.deleted_at.is_(None)
    )
    if (await connection.execute(there.limit(1))).first() is not None:
        raise Conflict("Charge points stand at this location. Move them first.")
    standing = (grants.c.location_id == location_id, grants.c.revoked_at.is_(None))
    await connection.execute(update(grants).where(*standing).values(revoked_at=now))
    await connection.execute(update(locations).where(this).values(deleted_at=now))


async def place(connection: AsyncConnection, caller: Caller, charge_point: Row[Any], location_id: UUID | None) -> None:
    """Says where a charge point stands; it takes the time zone of the place.

    Raises:
        Invalid: not a location of the charge point's owner.
    """
    values: dict[str, Any] = {"location_id": location_id}
    if location_id is not None:
        query = select(locations).where(
            locations.c.id == location_id, locations.c.owner_id == charge_point.owner_id, _is_controlled(caller)
        )
        # for share: it is not removed meanwhile
        location = (await connection.execute(query.with_for_update(read=True))).one_or_none()
        if location is None:
            raise Invalid.field("body.location_id", "not a location of the owner of this charge point")
        values["time_zone"] = location.time_zone
    await connection.execute(update(charge_points).where(charge_points.c.id == charge_point.id).values(**values))
