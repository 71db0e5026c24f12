"""Receipts of settled sessions: found for those who may have them and put together, never priced. Nothing here commits.

A receipt is a settlement of the session, under the number that the database gave it. People are named as they are
today: the ledger knows them by opaque ids only.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from api.accounting.tariff import tariff_from_document
from api.database import find_one
from api.documents.receipt import Issued, Receipt, Seller
from api.errors import Conflict, NotFound
from api.schema import billing_profiles, charge_points, ledger_accounts, receipts, settlements, transactions, users

owner_account, driver_account = ledger_accounts.alias("owner_account"), ledger_accounts.alias("driver_account")


def _revisions(transaction_id: UUID, user_id: UUID) -> Select[Any]:
    """The settlements of a session in which a person takes part, as owner or as driver, oldest first."""
    joined = (
        settlements.join(transactions, transactions.c.id == settlements.c.transaction_id)
        .join(receipts, receipts.c.settlement_id == settlements.c.id)
        .join(owner_account, owner_account.c.id == settlements.c.owner_account_id)
        .outerjoin(driver_account, driver_account.c.id == settlements.c.driver_account_id)
    )
    driver_id = func.coalesce(driver_account.c.user_id, transactions.c.driver_id).label("driver_id")
    owner_id = owner_account.c.user_id.label("owner_id")
    return (
        select(settlements, receipts.c.number, owner_id, driver_id)
        .select_from(joined)
        .where(transactions.c.public_id == transaction_id, or_(owner_id == user_id, driver_id == user_id))
        .order_by(settlements.c.revision)
    )


async def list_revisions(connection: AsyncConnection, transaction_id: UUID, user_id: UUID) -> list[Row[Any]]:
    """All receipts of a session, oldest first, for its driver and for who owned the wallbox then.

    Raises:
        NotFound: the person is neither.
        Conflict: the session is not settled yet.
    """
    rows = list((await connection.execute(_revisions(transaction_id, user_id))).all())
    if not rows:
        await _explain(connection, transaction_id, user_id)
    return rows


async def _explain(connection: AsyncConnection, transaction_id: UUID, user_id: UUID) -> None:
    """Why there is no receipt; what is settled belongs to others."""
    query = select(transactions.c.held_reasons).where(
        transactions.c.public_id == transaction_id,
        or_(transactions.c.owner_id == user_id, transactions.c.driver_id == user_id),
        ~select(settlements.c.id).where(settlements.c.transaction_id == transactions.c.id).exists(),
    )
    row = await find_one(connection, query)
    raise Conflict("This session waits for a decision." if row.held_reasons else "This session is not settled yet.")


async def read_receipt(
    connection: AsyncConnection, transaction_id: UUID, user_id: UUID, revision: int | None = None
) -> Receipt:
    """One receipt of a session, the newest where no revision is given.

    Raises:
        NotFound: no such revision, or not a receipt of this person's.
        Conflict: the session is not settled yet.
    """
    rows = await list_revisions(connection, transaction_id, user_id)
    number = len(rows) - 1 if revision is None else revision
    if not 0 <= number < len(rows):
        raise NotFound
    settled = rows[number]
    session = (await connection.execute(_session(settled.transaction_id))).one()
    people = await _people(connection, settled.owner_id, settled.driver_id)
    return _receipt(settled, rows[number - 1] if number else None, session, people)


def _session(transaction_id: int) -> Select[Any]:
    joined = transactions.join(charge_points, charge_points.c.id == transactions.c.charge_point_id)
    columns = (transactions, charge_points.c.name.label("charge_point_name"), charge_points.c.time_zone)
    return select(*columns).select_from(joined).where(transactions.c.id == transaction_id)


async def _people(connection: AsyncConnection, *user_ids: UUID | None) -> dict[UUID, Row[Any]]:
    known = [user_id for user_id in user_ids if user_id is not None]
    joined = users.outerjoin(billing_profiles, billing_profiles.c.user_id == users.c.id)
    profile = (billing_profiles.c.is_vat_registered, billing_profiles.c.vat_id)
    rows = await connection.execute(select(users, *profile).select_from(joined).where(users.c.id.in_(known)))
    return {row.id: row for row in rows}


def _receipt(settled: Row[Any], before: Row[Any] | None, session: Row[Any], people: Mapping[UUID, Row[Any]]) -> Receipt:
    """Amounts, lines, times and registers are those of the sealed record; a waived session has its own."""
    record: Mapping[str, Any] = settled.charge_detail_record or {}
    measured = record or session._mapping
    driver = people.get(settled.driver_id)
    return Receipt(
        number=settled.number,
        revision=settled.revision,
        settlement_id=settled.id,
        issued_at=settled.posted_at,
        seller=_seller(people[settled.owner_id], record),
        driver_name=driver.display_name if driver is not None else "",
        is_own=settled.driver_account_id == settled.owner_account_id,
        transaction_id=session.public_id,
        charge_point_name=session.charge_point_name,
        connector_id=session.connector_id,
        time_zone=record.get("time_zone") or session.time_zone,
        started_at=_moment(measured["started_at"]),
        stopped_at=_moment(measured["stopped_at"]) if measured["stopped_at"] else None,
        meter_start_wh=measured["meter_start_wh"],
        meter_stop_wh=measured["meter_stop_wh"],
        energy_wh=measured["energy_wh"],
        currency=settled.currency,
        tariff=tariff_from_document(session.tariff) if record else None,
        lines=record.get("lines", ()),
        net_minor=settled.net_minor,
        vat_minor=settled.vat_minor,
        corrects=before and Issued(before.number, before.posted_at, before.net_minor + before.vat_minor),
    )


def _moment(at: str | datetime) -> datetime:
    return datetime.fromisoformat(at) if isinstance(at, str) else at


def _seller(owner: Row[Any], record: Mapping[str, Any]) -> Seller:
    """The one place where a receipt learns who sells: whose lines carry a rate of VAT is registered for it."""
    has_vat = any(line.get("vat_bp") is not None for line in record.get("lines", ()))
    return Seller(owner.display_name, is_vat_registered=has_vat or bool(owner.is_vat_registered), vat_id=owner.vat_id)
