"""The transfers of an account as it sees them: all of them by page, and those of a month beside its totals.

Queries only, one for each answer, so that all of it is of one moment. Nothing here asks who may see the account.
"""

from dataclasses import dataclass
from datetime import date
from typing import Final
from uuid import UUID

import asyncpg

from api.paging import LARGEST_BIGINT, ROWS, PageRequest, cut, decode_cursor, large_enough
from api.settlement.statement import Entry, Totals

DEFAULT_LINES: Final = 100
MOST_A_PAGE: Final = 1_000
"""Of a month: more than elsewhere, so that most people have theirs at once."""
MOST_LINES: Final = 20_000
"""Of a statement that is one file, which is made in memory."""
MOST_PRINTED: Final = 2_000
"""Of one on paper: some 60 pages, made in a few seconds."""
END: Final = (date.max, LARGEST_BIGINT)
"""Behind every (booked_on, id), the order of entries; for PostgreSQL that day is infinity."""
CAUSES: Final = """
sessions as materialized (
    select u.settlement_id, session.* from (select distinct settlement_id from page) u cross join lateral (
        select x.public_id as transaction_id, c.name
        from settlements s join transactions x on x.id = s.transaction_id
        join charge_points c on c.id = x.charge_point_id
        where s.id = u.settlement_id limit 1
    ) session
)"""
"""Of `page`: each session once, though it has a transfer for the fee too and one for the VAT."""
CAUSED: Final = """
left join sessions on sessions.settlement_id = t.settlement_id
left join lateral (
    select c.name from no_show_postings n join bookings b on b.id = n.booking_id
    join charge_points c on c.id = b.charge_point_id
    where t.no_show_posting_id is not null and n.id = t.no_show_posting_id limit 1
) booking on true
"""
"""Of entries `t`. Each cause is looked up by its key, and only where there is one: of thousands a planner left alone
would read whole tables, which only grow."""
FIELDS: Final = """
t.public_id, t.booked_on, t.kind, t.is_reversal, sessions.transaction_id, coalesce(sessions.name, booking.name, ''),
t.currency, t.signed_minor
"""
"""Those of `Entry`."""
TOTALS: Final = 5
"""Columns of a month before them: those of `Totals`; then comes the key within a day."""


def _page(bounds: str, direction: str, rows: int) -> str:
    """The first rows of what account $1 was credited and debited; each side is read along an index of its own.

    Accounts are compared within rows, never by themselves: whatever its statistics are, PostgreSQL then finds no other
    index for that order, such as the one by day alone, which it would walk past everybody's transfers.
    """
    sides = []
    for side, sign in (("credit_account_id", ""), ("debit_account_id", "-")):
        order = ", ".join(f"{column} {direction}" for column in (side, "booked_on", "id"))
        sides.append(
            f"(select *, {sign}amount_minor as signed_minor from transfers where {bounds.format(side=side)}"  # noqa: S608 - our own words
            f" order by {order} limit {rows})"
        )
    return f"{' union all '.join(sides)} order by booked_on {direction}, id {direction} limit {rows}"


def _booked(side: str) -> str:
    """What account $1 has on one side after the day that is `known`, by currency; `within` of it the month."""
    return f"""
    select currency, sum(amount_minor) as booked,
        coalesce(sum(amount_minor) filter (where booked_on >= $2), 0) as within
    from transfers where {side} = $1 and booked_on > (select day from known) and booked_on < $3 group by currency"""  # noqa: S608 - our own words


def _passed(side: str) -> str:
    """The same after the day that is known of what has `passed`, and before the page."""
    return f"""
    select currency, sum(amount_minor) as booked
    from transfers where {side} = $1 and booked_on > (select day from passed) and booked_on < $3
        and (booked_on, id) <= ($4, $5) group by currency"""  # noqa: S608 - our own words


def _newest(rows: int) -> str:
    bounds = "({side}, booked_on, id) < ($1, $2::date, $3::bigint) and {side} >= $1::uuid"
    return f"""
with page as materialized ({_page(bounds, "desc", rows)}), {CAUSES}
select {FIELDS}, t.id from page t {CAUSED} order by t.booked_on desc, t.id desc
"""  # noqa: S608 - our own words


def _month(rows: int) -> str:
    """The entries, and behind them by currency a row of totals, the last one the balance before the page.

    Both are added up from the newest day of which the account's balances are kept: the end of the month where it is
    closed, a day within it where the account has much to add up, and else the end of the month that was closed before.
    """
    bounds = "({side}, booked_on, id) > ($1, $4::date, $5::bigint) and ({side}, booked_on) < ($1, $3::date)"
    return f"""
with base as (
    select coalesce(max(day), '-infinity'::date) as day from balance_snapshots where day < $2::date
), kept as (
    select day, currency, balance_minor, 0 as credited_minor, 0 as debited_minor
    from balance_snapshots where day = (select day from base) and account_id = $1::uuid
    union all
    select day, currency, balance_minor, credited_minor, debited_minor
    from interim_balances where account_id = $1 and day >= $2 and day < $3::date
    union all
    select day, currency, balance_minor, credited_minor, debited_minor
    from balance_snapshots where account_id = $1 and day = $3::date - 1 and credited_minor is not null
        and (select day from base) = $2::date - 1
), known as (
    select coalesce(max(day), (select day from base)) as day from kept
), passed as (
    select coalesce(max(day), (select day from base)) as day from kept where day < $4
), parts as (
    select currency, balance_minor as closing, credited_minor as credited, debited_minor as debited, 0 as before
    from kept where day = (select day from known)
    union all select currency, 0, 0, 0, balance_minor from kept where day = (select day from passed)
    union all select currency, booked, within, 0, 0 from ({_booked("credit_account_id")}) as credits
    union all select currency, -booked, 0, within, 0 from ({_booked("debit_account_id")}) as debits
    union all select currency, 0, 0, 0, booked from ({_passed("credit_account_id")}) as credits_before
    union all select currency, 0, 0, 0, -booked from ({_passed("debit_account_id")}) as debits_before
), page as materialized ({_page(bounds, "asc", rows)}), {CAUSES}
select {", ".join(["null"] * TOTALS)}, t.id, {FIELDS} from page t {CAUSED}
union all
select currency, sum(closing - credited + debited)::bigint, sum(credited)::bigint, sum(debited)::bigint,
    sum(before)::bigint, null, {", ".join(["null"] * len(Entry._fields))}
from parts group by currency
order by booked_on, id
"""  # noqa: S608 - our own words


NEWEST: Final = {rows: _newest(rows) for rows in ROWS}
MONTH: Final = {rows + 1: _month(rows + 1) for rows in (DEFAULT_LINES, MOST_A_PAGE, MOST_PRINTED, MOST_LINES)}


@dataclass(frozen=True, slots=True)
class MonthPage:
    """What an account was credited and debited in a month, by currency, and a part of the entries, oldest first."""

    totals: list[Totals]
    entries: list[Entry]
    next_cursor: str | None


async def read_newest(
    connection: asyncpg.Connection, account_id: UUID, paging: PageRequest
) -> tuple[list[Entry], str | None]:
    """One page of the entries of an account, by the day on which they are booked, newest first.

    Raises:
        Invalid: the cursor is not one of this list.
    """
    after = _after(paging, END)
    rows = await connection.fetch(large_enough(NEWEST, paging), account_id, *after)
    kept, cursor = cut(rows, paging, _key)
    return [Entry(*row[:-1]) for row in kept], cursor


async def read_month(
    connection: asyncpg.Connection, account_id: UUID, begins: date, ends: date, paging: PageRequest
) -> MonthPage:
    """One page of what was booked from `begins` and before `ends`, with the totals of all of it.

    Raises:
        Invalid: the cursor is not one of this list.
    """
    after = max(_after(paging, (begins, 0)), (begins, 0))
    rows = await connection.fetch(large_enough(MONTH, paging), account_id, begins, ends, *after)
    totals = [Totals(*row[:TOTALS]) for row in rows if row["id"] is None]
    kept, cursor = cut(rows[: len(rows) - len(totals)], paging, _key)
    entries = [Entry(*row[TOTALS + 1 :]) for row in kept]
    return MonthPage(sorted(totals, key=lambda each: each.currency), entries, cursor)


def _key(row: asyncpg.Record) -> tuple[date, int]:
    return row["booked_on"], row["id"]


def _after(paging: PageRequest, start: tuple[date, int]) -> tuple[date, int]:
    if paging.cursor is None:
        return start
    day, number = decode_cursor(paging.cursor, [date, int])
    assert isinstance(day, date) and isinstance(number, int)  # noqa: S101, PT018 - for the type checker
    return day, number
