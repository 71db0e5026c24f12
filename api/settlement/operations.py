"""Accounts, balances and transfers as people read them: queries only, scoped to the caller. Nothing here commits."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from api.credit import balances
from api.database import raw
from api.errors import Conflict, NotFound
from api.identity.caller import Caller
from api.paging import PageRequest, read_page
from api.schema import (
    bookings,
    charge_points,
    ledger_accounts,
    no_show_postings,
    settlements,
    transactions,
    transfers,
    users,
)
from api.settlement.statement import Entry, Section, make_sections

MOST_LINES: Final = 20_000
"""Of a statement, which is made in memory."""


async def list_accounts(connection: AsyncConnection, caller: Caller) -> Sequence[Row[Any]]:
    """The caller's accounts; for operators also those of the house."""
    table = ledger_accounts
    own = table.c.user_id == caller.user_id
    visible = or_(own, table.c.user_id.is_(None)) if caller.is_operator else own
    query = select(table).where(visible).order_by(table.c.user_id.is_(None), table.c.kind, table.c.id)
    return (await connection.execute(query)).all()


async def find_account(connection: AsyncConnection, caller: Caller, account_id: UUID) -> Row[Any]:
    """One account; operators find everybody's.

    Raises:
        NotFound: the caller does not see it.
    """
    query = select(ledger_accounts).where(ledger_accounts.c.id == account_id)
    row: Row[Any] | None = (await connection.execute(query)).one_or_none()
    if row is None or not (caller.is_operator or row.user_id == caller.user_id):
        raise NotFound
    return row


async def read_balances(connection: AsyncConnection, account_id: UUID, before: date | None = None) -> dict[str, int]:
    """By currency, in its order, what was credited less what was debited; `before`: booked before that day."""
    return await balances.read_balances(await raw(connection), account_id, before)


async def list_transfers(
    connection: AsyncConnection, account_id: UUID, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """The transfers of an account, newest first."""
    return await read_page(connection, _entries(account_id), [transfers.c.id], paging)


async def read_holder(connection: AsyncConnection, account: Row[Any]) -> str:
    """The name of a person whose account it is; empty for the house."""
    query = select(users.c.display_name).where(users.c.id == account.user_id)
    return (await connection.execute(query)).scalar_one_or_none() or ""


async def read_statement(
    connection: AsyncConnection, account_id: UUID, begins: date, ends: date, most_lines: int = MOST_LINES
) -> list[Section]:
    """What was booked from `begins` and before `ends`, between the balances at both ends.

    Raises:
        Conflict: it has more lines than a statement may have.
    """
    booked_on = transfers.c.booked_on
    query = _entries(account_id).where(booked_on >= begins, booked_on < ends).order_by(transfers.c.id)
    rows = (await connection.execute(query.limit(most_lines + 1))).all()
    if len(rows) > most_lines:
        raise Conflict(f"This month has more than {most_lines} transfers: read them page by page.")
    opening = await read_balances(connection, account_id, begins)
    return make_sections(opening, [as_entry(row) for row in rows])


def as_entry(row: Row[Any]) -> Entry:
    """From a row of `list_transfers`."""
    return Entry(
        row.public_id,
        row.booked_on,
        row.kind,
        row.is_reversal,
        row.transaction_id,
        row.charge_point_name,
        row.currency,
        row.signed_minor,
    )


def _touches(account_id: UUID) -> ColumnElement[bool]:
    return or_(transfers.c.credit_account_id == account_id, transfers.c.debit_account_id == account_id)


def _signed(account_id: UUID) -> ColumnElement[int]:
    amount = transfers.c.amount_minor
    return case((transfers.c.credit_account_id == account_id, amount), else_=-amount)


def _entries(account_id: UUID) -> Select[Any]:
    place = func.coalesce(transactions.c.charge_point_id, bookings.c.charge_point_id)
    joined = (
        transfers.outerjoin(settlements, settlements.c.id == transfers.c.settlement_id)
        .outerjoin(transactions, transactions.c.id == settlements.c.transaction_id)
        .outerjoin(no_show_postings, no_show_postings.c.id == transfers.c.no_show_posting_id)
        .outerjoin(bookings, bookings.c.id == no_show_postings.c.booking_id)
        .outerjoin(charge_points, charge_points.c.id == place)
    )
    return (
        select(
            transfers,
            _signed(account_id).label("signed_minor"),
            settlements.c.revision,
            transactions.c.public_id.label("transaction_id"),
            func.coalesce(charge_points.c.name, "").label("charge_point_name"),
        )
        .select_from(joined)
        .where(_touches(account_id))
    )
