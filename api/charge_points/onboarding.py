"""Bringing wallboxes in: why one is not connected yet, and identities that knock and are nobody's. No HTTP."""

from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from api.errors import Invalid, NotFound
from api.identity.caller import Caller
from api.paging import PageRequest, read_page
from api.schema import charge_points, knocks, refused_handshakes, users


def check_operator(caller: Caller) -> None:
    """What only operators see does not exist for others.

    Raises:
        NotFound: the caller is no operator.
    """
    if not caller.is_operator:
        raise NotFound


def state(charge_point: Row[Any]) -> Literal["waiting", "connected"]:
    """Whether a charge point has ever come in."""
    return "waiting" if charge_point.connected_at is None else "connected"


async def last_refusals(connection: AsyncConnection, charge_point_id: UUID) -> Sequence[Row[Any]]:
    """The last handshakes of a charge point that were refused, newest first."""
    table = refused_handshakes
    query = select(table).where(table.c.charge_point_id == charge_point_id)
    return (await connection.execute(query.order_by(table.c.last_at.desc(), table.c.reason))).all()


async def list_knocks(connection: AsyncConnection, paging: PageRequest) -> tuple[Sequence[Row[Any]], str | None]:
    """Unknown identities, the one that knocked last first; those that are somebody's by now are left out."""
    taken = select(charge_points.c.identity).where(charge_points.c.deleted_at.is_(None))
    query = select(knocks).where(knocks.c.identity.not_in(taken))
    return await read_page(connection, query, [knocks.c.last_at, knocks.c.id], paging)


async def take_knock(connection: AsyncConnection, knock_id: int) -> str:
    """Forgets a knock; returns its identity.

    Raises:
        NotFound: there is none of this id.
    """
    forgotten = await connection.execute(delete(knocks).where(knocks.c.id == knock_id).returning(knocks.c.identity))
    identity: str | None = forgotten.scalar_one_or_none()
    if identity is None:
        raise NotFound
    return identity


async def find_owner(connection: AsyncConnection, email: str) -> UUID:
    """The user of this e-mail address.

    Raises:
        Invalid: there is none.
    """
    query = select(users.c.id).where(users.c.email == func.lower(email), users.c.disabled_at.is_(None))
    owner: UUID | None = (await connection.execute(query)).scalar_one_or_none()
    if owner is None:
        raise Invalid.field("body.owner_email", "nobody has registered with this address")
    return owner
