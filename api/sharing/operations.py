"""Grants: rules and queries. Who may charge is decided in `decision`; nothing here commits.

Terms never change: a change revokes a grant and makes the next version of its series, in which usage is counted on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, and_, func, insert, literal, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from api.database import find_one
from api.errors import Conflict, Invalid, NotFound
from api.identity.caller import Caller
from api.paging import Listing, PageRequest, Window
from api.prepared import slot
from api.schema import charge_points, grants, groups, handovers, locations, users
from api.sharing.access import any_caller, given_to, is_given_to

PERSON: Final = "person"
INVITATION: Final = "invitation"
GROUP: Final = "group"
PUBLIC: Final = "public"
KEPT: Final = (
    "series_id", "charge_point_id", "connector_id", "location_id", "audience", "user_id", "invited_email", "group_id",
    "priority", "windows", "max_energy_wh", "max_amount_minor", "currency", "max_sessions", "cap_period", "valid_from",
    "valid_until", "tariff_id",
)  # fmt: skip
"""What the next version takes over where it is not changed."""
KEYS: Final = select(grants.c.created_at, grants.c.id)
"""Of a list of grants."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a grant holds, and whose that is."""

    owner_id: UUID
    charge_point_id: UUID | None = None
    connector_id: int | None = None
    location_id: UUID | None = None

    @property
    def columns(self) -> dict[str, Any]:
        """As a row of `grants` has it."""
        return {
            "charge_point_id": self.charge_point_id,
            "connector_id": self.connector_id,
            "location_id": self.location_id,
        }


def _select() -> Select[Any]:
    """Grants as they are shown: with their grantee and the name of their place."""
    joined = (
        grants.outerjoin(users, users.c.id == grants.c.user_id)
        .outerjoin(charge_points, charge_points.c.id == grants.c.charge_point_id)
        .outerjoin(locations, locations.c.id == grants.c.location_id)
    )
    return select(
        grants,
        func.coalesce(users.c.email, grants.c.invited_email).label("email"),
        func.coalesce(users.c.display_name, "").label("display_name"),
        func.coalesce(charge_points.c.name, locations.c.name).label("place_name"),
        func.coalesce(charge_points.c.owner_id, locations.c.owner_id).label("owner_id"),
        func.coalesce(charge_points.c.time_zone, locations.c.time_zone).label("time_zone"),
    ).select_from(joined)


def _is_at_box_of(owner_id: UUID) -> ColumnElement[bool]:
    """Whether it is for a wallbox of this person's; of one that was handed over, only what came after that."""
    taken_over = (
        select(func.max(handovers.c.ended_at))
        .where(handovers.c.charge_point_id == grants.c.charge_point_id, handovers.c.status == "accepted")
        .scalar_subquery()
    )
    return and_(charge_points.c.owner_id == owner_id, or_(taken_over.is_(None), grants.c.created_at >= taken_over))


def _is_given_by(caller: Caller) -> ColumnElement[bool]:
    """Whether it is for a place of the caller's."""
    if caller.is_operator:
        return true()
    return or_(_is_at_box_of(caller.user_id), locations.c.owner_id == caller.user_id)


async def list_grants(
    connection: AsyncConnection,
    caller: Caller,
    paging: PageRequest,
    *,
    charge_point_id: UUID | None = None,
    location_id: UUID | None = None,
) -> tuple[Sequence[Row[Any]], str | None]:
    """The grants for places of the caller's, ended ones too, newest first."""
    place = {"charge_point_id": charge_point_id, "location_id": location_id}
    listing = _given(caller.role, tuple(name for name, value in place.items() if value is not None))
    return await listing.page(connection, paging, {"user_id": caller.user_id, **place})


@cache
def _given(role: str, filters: tuple[str, ...]) -> Listing:
    caller = any_caller(role)
    some = KEYS.where(*(grants.c[name] == slot(name, UUID) for name in filters))
    at_box = some.join(charge_points, charge_points.c.id == grants.c.charge_point_id)
    at_location = some.join(locations, locations.c.id == grants.c.location_id)
    own = [at_box.where(_is_at_box_of(caller.user_id)), at_location.where(locations.c.owner_id == caller.user_id)]
    return _listing([some] if caller.is_operator else own)


async def list_received(
    connection: AsyncConnection, caller: Caller, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """What was granted to the caller, by name or as a member of a group, newest first."""
    return await _received().page(connection, paging, {"user_id": caller.user_id})


@cache
def _received() -> Listing:
    return _listing(given_to(KEYS, slot("user_id", UUID)))


def _listing(parts: Sequence[Select[Any]]) -> Listing:
    """A page is cut before it is joined to what it shows."""

    def build(window: Window) -> Select[Any]:
        page = window.of_all(parts)
        return _select().join(page, page.c.id == grants.c.id)

    return Listing(build, [grants.c.created_at, grants.c.id])


async def find_given(connection: AsyncConnection, caller: Caller, grant_id: UUID) -> Row[Any]:
    """A grant for a place of the caller's.

    Raises:
        NotFound: there is none.
    """
    return await _find(connection, grant_id, _is_given_by(caller))


async def find_either(connection: AsyncConnection, caller: Caller, grant_id: UUID) -> Row[Any]:
    """A grant for a place of the caller's, or one that the caller was given.

    Raises:
        NotFound: there is none.
    """
    return await _find(connection, grant_id, or_(_is_given_by(caller), is_given_to(caller.user_id)))


async def _find(connection: AsyncConnection, grant_id: UUID, condition: ColumnElement[bool] | None = None) -> Row[Any]:
    query = _select().where(grants.c.id == grant_id, condition if condition is not None else true())
    return await find_one(connection, query)


async def find_person(connection: AsyncConnection, email: str) -> UUID | None:
    """Who has this e-mail and has proven it. The one place that says whose word for an e-mail counts."""
    proven = (users.c.email_verified_at.is_not(None), users.c.disabled_at.is_(None))
    person = select(users.c.id).where(users.c.email == email, *proven)
    return (await connection.execute(person)).scalar_one_or_none()


async def name_grantee(
    connection: AsyncConnection, spot: Spot, *, email: str | None, group_id: UUID | None, may_invite: bool
) -> dict[str, Any]:
    """The columns that say for whom a grant is: a person or an invitation by e-mail, a group, or else anybody.

    Raises:
        NotFound: nobody has an account with the e-mail, and nobody is to be invited.
        Invalid: the e-mail is the owner's, or the group is not.
    """
    if group_id is not None:
        own = (groups.c.id == group_id, groups.c.owner_id == spot.owner_id, groups.c.deleted_at.is_(None))
        if (await connection.execute(select(groups.c.id).where(*own).with_for_update(read=True))).first() is None:
            raise Invalid.field("body.group_id", "not a group of the owner")
        return {"audience": GROUP, "group_id": group_id}
    if email is None:
        return {"audience": PUBLIC}
    await _one_at_a_time(connection, email)
    user_id = await find_person(connection, email)
    if user_id == spot.owner_id:
        raise Invalid.field("body.email", "the owner needs no grant")
    if user_id is not None:
        return {"audience": PERSON, "user_id": user_id}
    if not may_invite:
        raise NotFound(f"Nobody with the e-mail {email} has an account here yet. Ask them to register first.")
    return {"audience": INVITATION, "invited_email": email}


async def create_grant(
    connection: AsyncConnection, spot: Spot, grantee: dict[str, Any], terms: dict[str, Any], now: datetime
) -> Row[Any]:
    """A grant with these terms, columns of `grants`; valid from now on where they say nothing else.

    Raises:
        Invalid: it would end before it begins.
    """
    return await _insert(connection, {**spot.columns, **grantee, "valid_from": now, **terms}, now)


async def _insert(connection: AsyncConnection, values: dict[str, Any], now: datetime) -> Row[Any]:
    valid_until = values.get("valid_until")
    if valid_until is not None and valid_until <= values["valid_from"]:
        raise Invalid.field("body.valid_until", "must be later than valid_from")
    made = await connection.execute(insert(grants).values(**values, created_at=now).returning(grants.c.id))
    return await _find(connection, made.scalar_one())


async def change_grant(
    connection: AsyncConnection, caller: Caller, grant_id: UUID, changes: dict[str, Any], now: datetime
) -> Row[Any]:
    """Revokes a grant and makes the next version of its series in the same moment.

    Raises:
        NotFound: not for a place of the caller's.
        Conflict: it was revoked, or changed, before.
        Invalid: it would end before it begins.
    """
    old = await find_given(connection, caller, grant_id)
    values = {**{name: old._mapping[name] for name in KEPT}, "valid_from": max(old.valid_from, now), **changes}
    if (values["max_amount_minor"] is None) != (values["currency"] is None):
        raise Invalid.field("body.currency", "max_amount_minor and currency go together")
    if not await _revoke(connection, grants.c.id == grant_id, now):
        raise Conflict("This grant was revoked or changed before. Read the series again.")
    return await _insert(connection, values, now)


async def revoke_grant(connection: AsyncConnection, charge_point_id: UUID, grant_id: UUID, now: datetime) -> None:
    """Ends a grant at once; revoking it again changes nothing.

    Raises:
        NotFound: not a grant of this charge point.
    """
    await _find(connection, grant_id, grants.c.charge_point_id == charge_point_id)
    await _revoke(connection, grants.c.id == grant_id, now)


async def revoke_given(connection: AsyncConnection, caller: Caller, grant_id: UUID, now: datetime) -> None:
    """The same for any place of the caller's.

    Raises:
        NotFound: not for a place of the caller's.
    """
    await find_given(connection, caller, grant_id)
    await _revoke(connection, grants.c.id == grant_id, now)


async def revoke_all(connection: AsyncConnection, condition: ColumnElement[bool], now: datetime) -> None:
    """Ends every grant and invitation that meets the condition."""
    await _revoke(connection, condition, now)


async def _revoke(connection: AsyncConnection, condition: ColumnElement[bool], now: datetime) -> bool:
    standing = update(grants).where(condition, grants.c.revoked_at.is_(None)).values(revoked_at=now)
    return (await connection.execute(standing.returning(literal(1)))).first() is not None


async def _one_at_a_time(connection: AsyncConnection, email: str) -> None:
    """Whoever registers while somebody invites them gets the grant, whichever commits first."""
    await connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"invitation:{email}", 0))))


async def redeem_invitations(connection: AsyncConnection, user_id: UUID, email: str, now: datetime) -> int:
    """Makes the invitations to `email` the grants of this user, who has proven to read it; how many there were.

    The grants keep their ids and terms. Calling it again is harmless and finds what came meanwhile.
    """
    await _one_at_a_time(connection, email.lower())
    standing = or_(grants.c.valid_until.is_(None), grants.c.valid_until > now)
    invited = (grants.c.invited_email == email.lower(), grants.c.revoked_at.is_(None), standing)
    statement = update(grants).where(*invited).values(audience=PERSON, user_id=user_id, invited_email=None)
    return (await connection.execute(statement)).rowcount
