"""Accounts, balances and transfers as people read them: queries only, scoped to the caller. Nothing here commits."""

from collections.abc import Sequence
from datetime import date
from functools import cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, Select, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from api.credit import balances
from api.database import raw
from api.errors import Conflict, NotFound
from api.identity.caller import Caller
from api.paging import Listing, PageRequest, Window
from api.prepared import Connection, Prepared, slot
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
ACCOUNT: Final = slot("account_id", UUID)
SIDES: Final = (transfers.c.credit_account_id, transfers.c.debit_account_id)
BOOKED: Final = "booked_on >= $2 and booked_on < $3"
ENTRIES: Final = f"""
with lines as materialized (
    select *, amount_minor as signed_minor from transfers where credit_account_id = $1 and {BOOKED}
    union all
    select *, -amount_minor from transfers where debit_account_id = $1 and {BOOKED}
    order by id limit $4
), causes as (
    select settlement_id, no_show_posting_id from lines group by 1, 2
), places as (
    select cause.*, session.public_id, coalesce(session.charge_point_id, booking.charge_point_id) as charge_point_id
    from causes cause
    left join lateral (
        select x.public_id, x.charge_point_id from settlements s join transactions x on x.id = s.transaction_id
        where s.id = cause.settlement_id limit 1
    ) session on cause.settlement_id is not null
    left join lateral (
        select b.charge_point_id from no_show_postings n join bookings b on b.id = n.booking_id
        where n.id = cause.no_show_posting_id limit 1
    ) booking on cause.no_show_posting_id is not null
)
select t.public_id, t.booked_on, t.kind, t.is_reversal, p.public_id, coalesce(c.name, ''), t.currency, t.signed_minor
from lines t
left join places p on coalesce(p.settlement_id, p.no_show_posting_id) = coalesce(t.settlement_id, t.no_show_posting_id)
left join charge_points c on c.id = p.charge_point_id
order by t.id
"""  # noqa: S608 - our own names
"""The fields of `Entry`. Each session is looked up by its key: of thousands a planner left alone would read whole
tables, which only grow.
"""


async def list_accounts(connection: AsyncConnection, caller: Caller) -> Sequence[Row[Any]]:
    """The caller's accounts; for operators also those of the house."""
    table = ledger_accounts
    own = table.c.user_id == caller.user_id
    visible = or_(own, table.c.user_id.is_(None)) if caller.is_operator else own
    query = select(table).where(visible).order_by(table.c.user_id.is_(None), table.c.kind, table.c.id)
    return (await connection.execute(query)).all()


async def find_account(connection: Connection, caller: Caller, account_id: UUID) -> Row[Any]:
    """One account; operators find everybody's.

    Raises:
        NotFound: the caller does not see it.
    """
    row = await _account().first(connection, {"account_id": account_id})
    if row is None or not (caller.is_operator or row.user_id == caller.user_id):
        raise NotFound
    return row


@cache
def _account() -> Prepared:
    return Prepared(select(ledger_accounts).where(ledger_accounts.c.id == ACCOUNT))


async def read_balances(connection: AsyncConnection, account_id: UUID, before: date | None = None) -> dict[str, int]:
    """By currency, in its order, what was credited less what was debited; `before`: booked before that day."""
    return await balances.read_balances(await raw(connection), account_id, before)


async def list_transfers(
    connection: Connection, account_id: UUID, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """The transfers of an account, by the day on which they are booked, newest first."""
    return await _transfers().page(connection, paging, {"account_id": account_id})


@cache
def _transfers() -> Listing:
    sides = [select(transfers.c.booked_on, transfers.c.id).where(side == ACCOUNT) for side in SIDES]

    def build(window: Window) -> Select[Any]:
        page = window.of_all(sides)
        return _entries().join(page, page.c.id == transfers.c.id)

    return Listing(build, [transfers.c.booked_on, transfers.c.id])


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
    rows = await (await raw(connection)).fetch(ENTRIES, account_id, begins, ends, most_lines + 1)
    if len(rows) > most_lines:
        raise Conflict(f"This month has more than {most_lines} transfers: read them page by page.")
    opening = await read_balances(connection, account_id, begins)
    return make_sections(opening, (Entry(*row) for row in rows))


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


def _entries() -> Select[Any]:
    amount = transfers.c.amount_minor
    place = func.coalesce(transactions.c.charge_point_id, bookings.c.charge_point_id)
    joined = (
        transfers.outerjoin(settlements, settlements.c.id == transfers.c.settlement_id)
        .outerjoin(transactions, transactions.c.id == settlements.c.transaction_id)
        .outerjoin(no_show_postings, no_show_postings.c.id == transfers.c.no_show_posting_id)
        .outerjoin(bookings, bookings.c.id == no_show_postings.c.booking_id)
        .outerjoin(charge_points, charge_points.c.id == place)
    )
    return select(
        *(transfers.c[name] for name in ("id", "public_id", "booked_on", "kind", "is_reversal", "currency")),
        case((transfers.c.credit_account_id == ACCOUNT, amount), else_=-amount).label("signed_minor"),
        transactions.c.public_id.label("transaction_id"),
        func.coalesce(charge_points.c.name, "").label("charge_point_name"),
    ).select_from(joined)
