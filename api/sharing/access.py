"""Who may see which charge point, and as what: every query of the API is scoped by this module.

What a caller may not see does not exist for them (404); what they see but may not do is 403.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

import asyncpg
from sqlalchemy import (
    ColumnElement,
    FromClause,
    Row,
    Select,
    and_,
    case,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    union_all,
)

from api.errors import NotAllowed
from api.identity.caller import Caller
from api.prepared import Connection, Prepared, slot
from api.schema import charge_points, grants, group_members

OWNER: Final = "owner"
OPERATOR: Final = "operator"
GUEST: Final = "guest"
VIEWERS: Final = """
select c.id, c.owner_id, array(
    select distinct coalesce(g.user_id, m.user_id)
    from grants g left join group_members m on m.group_id = g.group_id
    where (g.charge_point_id = c.id or g.location_id = c.location_id) and c.visibility <> 'private'
        and g.revoked_at is null and (g.valid_until is null or g.valid_until > $2)
        and coalesce(g.user_id, m.user_id) is not null
) as guest_ids
from charge_points c where c.id = any($1::uuid[]) and c.deleted_at is null
"""
"""The rule of `shared_with`, asked the other way round: who has these charge points, instead of what somebody has."""


@dataclass(frozen=True, slots=True)
class Viewers:
    """Who sees a charge point, operators aside."""

    owner_id: UUID
    guest_ids: frozenset[UUID]


async def viewers_of(
    connection: asyncpg.Connection, charge_point_ids: Collection[UUID], now: datetime
) -> dict[UUID, Viewers]:
    """The viewers of each charge point that stands; operators see all of them."""
    rows = await connection.fetch(VIEWERS, list(charge_point_ids), now) if charge_point_ids else []
    return {row["id"]: Viewers(row["owner_id"], frozenset(row["guest_ids"])) for row in rows}


def role_of(caller: Caller, now: datetime) -> ColumnElement[Any]:
    """As what `caller` sees a row of `charge_points`: owner, operator or guest; null where not at all."""
    others: ColumnElement[Any] = literal(OPERATOR)
    if not caller.is_operator:
        others = case((_is_granted(caller.user_id, now), literal(GUEST)), else_=null())
    return case((charge_points.c.owner_id == caller.user_id, literal(OWNER)), else_=others)


def is_visible(caller: Caller, now: datetime) -> ColumnElement[bool]:
    """Whether `caller` sees a row of `charge_points`."""
    if caller.is_operator:
        return charge_points.c.deleted_at.is_(None)
    seen = or_(charge_points.c.owner_id == caller.user_id, _is_granted(caller.user_id, now))
    return and_(charge_points.c.deleted_at.is_(None), seen)


def shared_with(user_id: UUID, now: datetime) -> ColumnElement[bool]:
    """Whether a row of `charge_points` is another's and listed for this person: found by what they were granted.

    Not where a public grant alone shows it. Asked the other way round, of every charge point there is whether it is
    granted, PostgreSQL would read them all.
    """
    standing = select(grants.c.charge_point_id, grants.c.location_id).where(is_standing(now))
    mine = union_all(*given_to(standing, user_id)).cte()
    there = charge_points.alias("there")
    at_location = select(there.c.id).join(mine, mine.c.location_id == there.c.location_id)
    granted = select(mine.c.charge_point_id).union(at_location)
    return and_(
        charge_points.c.id.in_(granted), charge_points.c.visibility != "private", charge_points.c.owner_id != user_id
    )


def found_as(user_id: UUID, now: datetime) -> FromClause:
    """As what a person sees a row of `charge_points`, beside it as `access`: own, granted, public; null: not at all.

    The rule of `is_visible`; its grants are looked through once and not three times.
    """
    granted = and_(is_given_to(user_id), charge_points.c.visibility != "private")
    public = and_(grants.c.audience == "public", charge_points.c.visibility == "public")
    by_grant = func.min(case((granted, "granted"), (public, "public")))  # granted goes before public, in letters too
    given = select(by_grant).where(covers(), is_standing(now)).correlate(charge_points).scalar_subquery()
    found = case((charge_points.c.owner_id == user_id, "own"), else_=given).label("access")
    return select(found).where(charge_points.c.deleted_at.is_(None)).correlate(charge_points).offset(0).lateral("found")


def is_given_to(user_id: UUID) -> ColumnElement[bool]:
    """Whether a row of `grants` is this person's, by name or as a member of a group."""
    mine = select(group_members.c.group_id).where(group_members.c.user_id == user_id)
    return or_(grants.c.user_id == user_id, grants.c.group_id.in_(mine))


def given_to(some: Select[Any], user_id: UUID) -> list[Select[Any]]:
    """The rows of a query of `grants` for which `is_given_to` holds, as two disjoint ones: by name, and by a group.

    Each begins with what is this person's; with the OR of both PostgreSQL would ask of every grant there is.
    """
    of_group = some.join(group_members, group_members.c.group_id == grants.c.group_id)
    return [some.where(grants.c.user_id == user_id), of_group.where(group_members.c.user_id == user_id)]


def covers() -> ColumnElement[bool]:
    """Whether a row of `grants` is for the place of a row of `charge_points`."""
    return or_(grants.c.charge_point_id == charge_points.c.id, grants.c.location_id == charge_points.c.location_id)


def is_standing(now: datetime) -> ColumnElement[bool]:
    """Whether a row of `grants` has not ended; one that begins later stands already."""
    return and_(grants.c.revoked_at.is_(None), or_(grants.c.valid_until.is_(None), grants.c.valid_until > now))


def _is_granted(user_id: UUID, now: datetime) -> ColumnElement[bool]:
    """What somebody was granted is shown also outside of its windows: charging is decided elsewhere."""
    given = exists().where(covers(), is_given_to(user_id), is_standing(now), charge_points.c.visibility != "private")
    public = exists().where(
        covers(), grants.c.audience == "public", is_standing(now), charge_points.c.visibility == "public"
    )
    return or_(given, public)


async def find_visible(connection: Connection, caller: Caller, charge_point_id: UUID, now: datetime) -> Row[Any]:
    """The charge point, with `role`.

    Raises:
        NotFound: the caller does not see it.
    """
    values = {"user_id": caller.user_id, "charge_point_id": charge_point_id, "now": now}
    return await _visible(caller.role).one(connection, values)


def any_caller(role: str) -> Caller:
    """Stands for whoever asks with this role, in a prepared statement: `user_id` is a slot."""
    return Caller(slot("user_id", UUID), slot("session_id", UUID), role)


@cache
def _visible(role: str) -> Prepared:
    caller, now = any_caller(role), slot("now", datetime)
    query = select(charge_points, role_of(caller, now).label("role"))
    return Prepared(query.where(charge_points.c.id == slot("charge_point_id", UUID), is_visible(caller, now)))


async def find_controlled(connection: Connection, caller: Caller, charge_point_id: UUID, now: datetime) -> Row[Any]:
    """The charge point of an owner or operator.

    Raises:
        NotFound: the caller does not see it.
        NotAllowed: the caller is a guest.
    """
    row = await find_visible(connection, caller, charge_point_id, now)
    if row.role == GUEST:
        raise NotAllowed
    return row
