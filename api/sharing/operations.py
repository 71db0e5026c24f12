"""Grants: rules and queries. Who may charge is decided in `decision`; nothing here commits."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from api.errors import Invalid, NotFound
from api.paging import PageRequest, read_page
from api.schema import grants, users


def _grants() -> Select[Any]:
    return select(grants, users.c.email, users.c.display_name).join(users, users.c.id == grants.c.user_id)


async def list_grants(
    connection: AsyncConnection, charge_point_id: UUID, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """The grants of a charge point, ended ones too, newest first."""
    query = _grants().where(grants.c.charge_point_id == charge_point_id)
    return await read_page(connection, query, [grants.c.created_at, grants.c.id], paging)


async def create_grant(
    connection: AsyncConnection,
    charge_point: Row[Any],
    *,
    email: str,
    valid_from: datetime,
    valid_until: datetime | None,
    now: datetime,
) -> Row[Any]:
    """Shares a charge point with the person who has this e-mail.

    Raises:
        NotFound: nobody has an account with it.
        Invalid: it is the owner's, or the grant would end before it begins.
    """
    if valid_until is not None and valid_until <= valid_from:
        raise Invalid.field("body.valid_until", "must be later than valid_from")
    person = select(users.c.id).where(users.c.email == email, users.c.disabled_at.is_(None))
    user_id = (await connection.execute(person)).scalar_one_or_none()
    if user_id is None:
        raise NotFound(f"Nobody with the e-mail {email} has an account here yet. Ask them to register first.")
    if user_id == charge_point.owner_id:
        raise Invalid.field("body.email", "the owner needs no grant")
    values = {"charge_point_id": charge_point.id, "user_id": user_id, "valid_from": valid_from}
    statement = insert(grants).values(**values, valid_until=valid_until, created_at=now).returning(grants.c.id)
    grant_id = (await connection.execute(statement)).scalar_one()
    row: Row[Any] = (await connection.execute(_grants().where(grants.c.id == grant_id))).one()
    return row


async def revoke_grant(connection: AsyncConnection, charge_point_id: UUID, grant_id: UUID, now: datetime) -> None:
    """Ends a grant at once; revoking it again changes nothing.

    Raises:
        NotFound: not a grant of this charge point.
    """
    this = (grants.c.id == grant_id, grants.c.charge_point_id == charge_point_id)
    if (await connection.execute(select(grants.c.id).where(*this))).first() is None:
        raise NotFound
    await connection.execute(update(grants).where(*this, grants.c.revoked_at.is_(None)).values(revoked_at=now))
