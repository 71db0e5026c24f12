"""Which version of which tariff holds for whom, where and when: the one place that decides it. It changes nothing.

The tariff of the grant goes before that of the charge point; of its versions that are valid, the one that began last
holds, and of those that began together the one made last.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Self
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy import ColumnClause, FromClause, column, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from api.accounting.tariff import Tariff, tariff_from_json
from api.database import raw

EXACTLY: Final = timedelta(0)

RULE: Final = """
select v.id, v.tariff_id, v.currency, v.elements, v.terms
from (
    select 1 as preference, g.tariff_id from grants g where g.id = {grant_id}
    union all
    select 2, (
        select a.tariff_id from tariff_assignments a
        where a.charge_point_id = {charge_point_id} and a.assigned_at <= {at} + {late}
        order by a.assigned_at <= {at} desc, greatest(a.assigned_at, {at}), a.assigned_at desc, a.id desc limit 1)
) as t
join tariff_versions v on v.tariff_id = t.tariff_id
where v.valid_from <= {at} + {late} and (v.valid_until is null or v.valid_until > {at})
order by t.preference, v.valid_from <= {at} desc, greatest(v.valid_from, {at}), v.valid_from desc, v.created_at desc,
    v.id
limit 1
"""
"""`late`: a first tariff that was made or assigned so shortly after `at` was in force at it already."""
GRANT: Final = """
select g.id from grants g join charge_points p on g.charge_point_id = p.id or g.location_id = p.location_id
where p.id = {charge_point_id} and p.owner_id <> {user_id} and g.valid_from <= {at}
    and (g.valid_until is null or g.valid_until > {at}) and (g.revoked_at is null or g.revoked_at > {at})
    and (g.user_id = {user_id} or g.audience = 'public' and p.visibility = 'public'
        or g.group_id in (select m.group_id from group_members m where m.user_id = {user_id}))
order by g.priority desc, g.user_id is null, g.group_id is null, g.connector_id is null, g.charge_point_id is null, g.id
limit 1
"""
"""The grant of a person that goes before the others. Windows and limits are not looked at: prices are shown ahead of
time; whose price is charged is decided at the start, and one that was shown and differs refuses it."""
VERSION_COLUMNS: Final = ("id", "tariff_id", "currency", "elements", "terms")
SHOWN: Final = "select id, tariff_id, currency, elements::text as elements, terms::text as terms"
IN_FORCE: Final = f"{SHOWN} from ({RULE}) as v".format(
    charge_point_id="$1::uuid", grant_id="$2::uuid", at="$3::timestamptz", late="$4::interval"
)
GRANT_OF: Final = GRANT.format(charge_point_id="$1::uuid", user_id="$2::uuid", at="$3::timestamptz")
BESIDE: Final[tuple[ColumnClause[Any], ...]] = (
    column("currency"), column("elements", JSONB), column("terms", JSONB),
)  # fmt: skip
VERSION: Final = f"{SHOWN} from tariff_versions where id = $1"


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a tariff, as it is frozen into a transaction."""

    id: UUID
    tariff_id: UUID
    currency: str
    elements: list[dict[str, Any]]
    terms: dict[str, Any]

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """From a row of `SHOWN`."""
        fields = dict(row)
        return cls(**fields | {name: orjson.loads(fields[name]) for name in ("elements", "terms")})

    @property
    def document(self) -> dict[str, Any]:
        """For `transactions.tariff`."""
        return {"currency": self.currency, "elements": self.elements, **self.terms}

    @property
    def tariff(self) -> Tariff:
        """What can be rated.

        Raises:
            KeyError, TypeError, ValueError: this version of Voltuj cannot read it.
        """
        return tariff_from_json(self.currency, self.elements, self.terms)


async def tariff_in_force(
    connection: asyncpg.Connection,
    charge_point_id: UUID,
    grant_id: UUID | None,
    at: datetime,
    late: timedelta = EXACTLY,
) -> Version | None:
    """What a session that starts at `at` costs; None: it has no price.

    Where the grant has no tariff, or none with a version in force, that of the charge point holds.
    """
    row = await connection.fetchrow(IN_FORCE, charge_point_id, grant_id, at, late)
    return None if row is None else Version.from_row(row)


async def find_version(connection: asyncpg.Connection, version_id: UUID) -> Version:
    """A version that exists."""
    return Version.from_row(await connection.fetchrow(VERSION, version_id))


async def grant_of(
    connection: asyncpg.Connection, charge_point_id: UUID, user_id: UUID | None, at: datetime
) -> UUID | None:
    """The grant by which a person may charge here at `at`, by rank; None for owners, and for people without one."""
    grant_id: UUID | None = await connection.fetchval(GRANT_OF, charge_point_id, user_id, at)
    return grant_id


async def price_for(
    connection: AsyncConnection, charge_point_id: UUID, user_id: UUID | None, at: datetime
) -> Version | None:
    """What a session of a person that starts at `at` costs."""
    driver = await raw(connection)
    return await tariff_in_force(driver, charge_point_id, await grant_of(driver, charge_point_id, user_id, at), at)


def beside(charge_point_id: str, user_id: str, at: str) -> FromClause:
    """The same in a query that is written once: its currency, elements and terms. All three are SQL."""
    grant = GRANT.format(charge_point_id=charge_point_id, user_id=user_id, at=at)
    rule = RULE.format(charge_point_id=charge_point_id, grant_id=f"({grant})", at=at, late="interval '0'")
    return text(rule).columns(*BESIDE).lateral("tariff")
