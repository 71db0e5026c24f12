"""Tariffs as their owners keep them: rules and queries. Nothing here commits; which version holds is `in_force`'s."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, insert, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from api.accounting.tariff import Tariff, elements_to_json, tariff_from_json, terms_to_json
from api.errors import Conflict, Invalid, NotFound
from api.identity.caller import Caller
from api.paging import PageRequest, read_page
from api.schema import billing_profiles, charge_points, grants, tariff_assignments, tariff_versions, tariffs, users

NOT_REGISTERED = "has VAT, and its owner is not registered for it: PUT /api/v1/me/billing-profile first"


def _visible(caller: Caller) -> Select[Any]:
    query = select(tariffs)
    return query if caller.is_operator else query.where(tariffs.c.owner_id == caller.user_id)


async def list_tariffs(
    connection: AsyncConnection, caller: Caller, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """The caller's tariffs, newest first; operators see everybody's."""
    return await read_page(connection, _visible(caller), [tariffs.c.created_at, tariffs.c.id], paging)


async def find(connection: AsyncConnection, caller: Caller, tariff_id: UUID) -> Row[Any]:
    """One tariff.

    Raises:
        NotFound: the caller does not see it.
    """
    row: Row[Any] | None = (
        await connection.execute(_visible(caller).where(tariffs.c.id == tariff_id))
    ).one_or_none()  # fmt: skip
    if row is None:
        raise NotFound
    return row


async def create(connection: AsyncConnection, owner_id: UUID, name: str, now: datetime) -> Row[Any]:
    """A tariff without versions."""
    values = {"owner_id": owner_id, "name": name, "created_at": now}
    row: Row[Any] = (await connection.execute(insert(tariffs).values(**values).returning(tariffs))).one()
    return row


async def rename(connection: AsyncConnection, tariff_id: UUID, name: str) -> Row[Any]:
    """Only the name of a tariff changes; its prices are in its versions."""
    statement = update(tariffs).where(tariffs.c.id == tariff_id).values(name=name).returning(tariffs)
    row: Row[Any] = (await connection.execute(statement)).one()
    return row


async def add_version(
    connection: AsyncConnection,
    tariff: Row[Any],
    terms: Tariff,
    now: datetime,
    *,
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
) -> Row[Any]:
    """A version that holds from `valid_from`, now where it is None; running sessions keep theirs.

    Raises:
        Invalid: it would have held before it was made, ends before it begins, or has VAT that its owner may not take.
    """
    begins = valid_from or now
    if begins < now:
        raise Invalid.field("body.valid_from", "has passed: a price is shown before it is charged")
    if valid_until is not None and valid_until <= begins:
        raise Invalid.field("body.valid_until", "must be later than valid_from")
    if terms.charges_vat and not await _is_vat_registered(connection, tariff.owner_id):
        raise Invalid.field("body.elements", NOT_REGISTERED)
    values = {
        "tariff_id": tariff.id,
        "currency": terms.currency,
        "elements": elements_to_json(terms),
        "terms": terms_to_json(terms),
        "valid_from": begins,
        "valid_until": valid_until,
        "created_at": now,
    }
    row: Row[Any] = (
        await connection.execute(insert(tariff_versions).values(**values).returning(tariff_versions))
    ).one()  # fmt: skip
    return row


async def list_versions(
    connection: AsyncConnection, tariff_id: UUID, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """The versions of a tariff, by when they begin, the last first."""
    table = tariff_versions
    query = select(table).where(table.c.tariff_id == tariff_id)
    return await read_page(connection, query, [table.c.valid_from, table.c.created_at, table.c.id], paging)


async def assign(connection: AsyncConnection, charge_point: Row[Any], tariff_id: UUID | None, now: datetime) -> None:
    """Makes a tariff that of a charge point from now on; None: its sessions have no price.

    Raises:
        Invalid: it is not a tariff of the charge point's owner, or another charge point's own.
    """
    if tariff_id is not None:
        await _check_assignable(connection, charge_point.owner_id, charge_point.id, tariff_id)
    values = {"charge_point_id": charge_point.id, "tariff_id": tariff_id, "assigned_at": now}
    await connection.execute(insert(tariff_assignments).values(**values))


async def assign_to_grant(connection: AsyncConnection, grant: Row[Any], tariff_id: UUID | None) -> None:
    """Makes a tariff that of a grant; None: that of the charge point.

    Raises:
        Invalid: it is not a tariff of the owner of the grant's place, or a charge point's own.
    """
    if tariff_id is not None:
        await _check_assignable(connection, grant.owner_id, grant.charge_point_id, tariff_id)
    await connection.execute(update(grants).where(grants.c.id == grant.id).values(tariff_id=tariff_id))


async def _check_assignable(
    connection: AsyncConnection, owner_id: UUID, charge_point_id: UUID | None, tariff_id: UUID
) -> None:
    query = select(tariffs.c.id).where(
        tariffs.c.id == tariff_id,
        tariffs.c.owner_id == owner_id,
        or_(tariffs.c.charge_point_id.is_(None), tariffs.c.charge_point_id == charge_point_id),
    )
    if (await connection.execute(query)).first() is None:
        raise Invalid.field("body.tariff_id", "not a tariff of this charge point's owner, or another one's own")


async def set_own_price(connection: AsyncConnection, charge_point_id: UUID, terms: Tariff, now: datetime) -> None:
    """A version of the charge point's own tariff, which is made and assigned where it is not yet.

    The caller holds the row of the charge point.
    """
    this = select(charge_points).where(charge_points.c.id == charge_point_id)
    charge_point = (await connection.execute(this)).one()
    values = {
        "owner_id": charge_point.owner_id,
        "name": charge_point.name or charge_point.identity,
        "charge_point_id": charge_point_id,
        "created_at": now,
    }
    await connection.execute(upsert(tariffs).values(**values).on_conflict_do_nothing())
    own = (await connection.execute(select(tariffs).where(tariffs.c.charge_point_id == charge_point_id))).one()
    await add_version(connection, own, terms, now)
    if await _assigned(connection, charge_point_id) != own.id:
        await assign(connection, charge_point, own.id, now)


async def _assigned(connection: AsyncConnection, charge_point_id: UUID) -> UUID | None:
    table = tariff_assignments
    query = select(table.c.tariff_id).where(table.c.charge_point_id == charge_point_id)
    newest = query.order_by(table.c.assigned_at.desc(), table.c.id.desc()).limit(1)
    return (await connection.execute(newest)).scalar_one_or_none()


async def read_billing_profile(connection: AsyncConnection, user_id: UUID) -> Row[Any] | None:
    """As what a person bills; None: never said, which is not registered for VAT."""
    query = select(billing_profiles).where(billing_profiles.c.user_id == user_id)
    return (await connection.execute(query)).one_or_none()


async def set_billing_profile(
    connection: AsyncConnection, user_id: UUID, *, is_vat_registered: bool, vat_id: str | None, now: datetime
) -> Row[Any]:
    """As what a person bills from now on.

    Raises:
        Invalid: registered, without a VAT id.
        Conflict: not registered, with a tariff that has VAT now or later.
    """
    if is_vat_registered and vat_id is None:
        raise Invalid.field("body.vat_id", "who is registered for VAT has one")
    await _lock(connection, user_id)
    if not is_vat_registered and (name := await _tariff_with_vat(connection, user_id, now)) is not None:
        raise Conflict(f"The tariff {name} has VAT. Give it a version without VAT first.")
    values = {"is_vat_registered": is_vat_registered, "vat_id": vat_id, "changed_at": now}
    statement = upsert(billing_profiles).values(user_id=user_id, **values)
    updated = statement.on_conflict_do_update(index_elements=["user_id"], set_=values).returning(billing_profiles)
    row: Row[Any] = (await connection.execute(updated)).one()
    return row


async def _is_vat_registered(connection: AsyncConnection, owner_id: UUID) -> bool:
    await _lock(connection, owner_id)
    profile = await read_billing_profile(connection, owner_id)
    return profile is not None and bool(profile.is_vat_registered)


async def _lock(connection: AsyncConnection, owner_id: UUID) -> None:
    """A version with VAT and the end of the registration do not pass each other."""
    await connection.execute(select(users.c.id).where(users.c.id == owner_id).with_for_update(key_share=True))


async def _tariff_with_vat(connection: AsyncConnection, owner_id: UUID, now: datetime) -> str | None:
    """The name of a tariff with a version that has VAT and holds now, or may hold later."""
    newer = tariff_versions.alias("newer")
    replaced = (
        select(newer.c.id)
        .where(
            newer.c.tariff_id == tariff_versions.c.tariff_id,
            newer.c.valid_from <= now,
            newer.c.valid_until.is_(None),
            tuple_(newer.c.valid_from, newer.c.created_at)
            > tuple_(tariff_versions.c.valid_from, tariff_versions.c.created_at),
        )
        .exists()
    )
    query = (
        select(tariffs.c.name, tariff_versions.c.currency, tariff_versions.c.elements)
        .join(tariff_versions, tariff_versions.c.tariff_id == tariffs.c.id)
        .where(tariffs.c.owner_id == owner_id, ~replaced)
        .where(or_(tariff_versions.c.valid_until.is_(None), tariff_versions.c.valid_until > now))
    )
    rows = await connection.execute(query)
    return next((row.name for row in rows if tariff_from_json(row.currency, row.elements).charges_vat), None)
