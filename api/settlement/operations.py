"""Accounts, balances and statements as people read them: queries only, scoped to the caller. Nothing here commits."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final
from uuid import UUID

import asyncpg
from sqlalchemy import Row, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from api.credit import balances
from api.database import raw
from api.errors import Conflict, NotFound
from api.identity.caller import Caller
from api.paging import PageRequest
from api.schema import ledger_accounts
from api.settlement.entries import MOST_LINES, read_month
from api.settlement.statement import Section, make_sections

FIND: Final = "select id, kind, user_id from ledger_accounts where id = $1"
HOLDER: Final = "select display_name from users where id = $1"


async def list_accounts(connection: AsyncConnection, caller: Caller) -> Sequence[Row[Any]]:
    """The caller's accounts; for operators also those of the house."""
    table = ledger_accounts
    own = table.c.user_id == caller.user_id
    visible = or_(own, table.c.user_id.is_(None)) if caller.is_operator else own
    query = select(table).where(visible).order_by(table.c.user_id.is_(None), table.c.kind, table.c.id)
    return (await connection.execute(query)).all()


async def find_account(connection: asyncpg.Connection, caller: Caller, account_id: UUID) -> asyncpg.Record:
    """One account; operators find everybody's.

    Raises:
        NotFound: the caller does not see it.
    """
    row = await connection.fetchrow(FIND, account_id)
    if row is None or not (caller.is_operator or row["user_id"] == caller.user_id):
        raise NotFound
    return row


async def read_balances(connection: AsyncConnection, account_id: UUID, before: date | None = None) -> dict[str, int]:
    """By currency, in its order, what was credited less what was debited; `before`: booked before that day."""
    return await balances.read_balances(await raw(connection), account_id, before)


async def read_holder(connection: asyncpg.Connection, account: asyncpg.Record) -> str:
    """The name of a person whose account it is; empty for the house."""
    return await connection.fetchval(HOLDER, account["user_id"]) or ""


async def read_statement(
    connection: asyncpg.Connection, account_id: UUID, begins: date, ends: date, most_lines: int = MOST_LINES
) -> list[Section]:
    """All that was booked from `begins` and before `ends`, between the balances at both ends.

    Raises:
        Conflict: it has more lines than a statement may have.
    """
    month = await read_month(connection, account_id, begins, ends, PageRequest(most_lines))
    if month.next_cursor is not None:
        raise Conflict(f"This month has more than {most_lines} transfers: read them page by page.")
    return make_sections({each.currency: each.opening_minor for each in month.totals}, month.entries)
