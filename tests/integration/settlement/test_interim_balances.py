"""Days are closed, and kept of accounts with much to add up: statements and balances stay the plain sums."""

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import asyncpg
import pytest

from api.administration.books import check_ledger
from api.credit.balances import read_balances
from api.listener.chores import close_books
from api.listener.storage import Storage
from api.paging import PageRequest, encode_cursor
from api.settlement.entries import MOST_LINES, MonthPage, read_month
from api.settlement.ledger import ADD_TRANSFERS, BANK, DRIVER, OWNER, PLATFORM, account_of, house_account
from api.settlement.snapshots import (
    LOCK,
    MUCH,
    OPEN_FOR,
    close_days,
    close_what_is_over,
    last_closed,
    last_over,
    take_snapshots,
)
from api.settlement.statement import Totals
from standalone.databases import DatabaseUrls
from tests.integration.settlement.books import add_person

DAY = timedelta(days=1)
DEADLINE_S = 20.0
MONTHS = [date(2026, month, 1) for month in range(4, 9)]
CAUSE = """
with moved as (
    insert into bank_movements (bank_account, reference, booked_on, amount_minor, currency)
    values ('CZ', $1, '2026-05-04', $2, 'CZK') returning id
)
insert into bank_postings (movement_id, revision, decision) select id, 0, 'refund' from moved returning id
"""
WAITING = """
select count(*) from pg_locks l join pg_database d on d.oid = l.database
where d.datname = current_database() and l.locktype = 'advisory' and not l.granted
"""
KEPT = "select * from interim_balances order by day, account_id, currency"
Line = tuple[uuid.UUID, uuid.UUID, int, str]
"""Debit, credit, amount, currency."""
Close = Callable[[asyncpg.Connection, datetime], Coroutine[Any, Any, None]]


@dataclass
class Ledger:
    """Two people's accounts and those of the house; the model is a list of what was booked, and the last closed day."""

    connection: asyncpg.Connection
    bank: uuid.UUID
    platform: uuid.UUID
    fleet: uuid.UUID
    few: uuid.UUID
    closed: date = date.min
    booked: list[tuple[date, Line]] = field(default_factory=list)

    @property
    def accounts(self) -> list[uuid.UUID]:
        return [self.bank, self.platform, self.fleet, self.few]

    async def book(self, day: date, lines: Sequence[Line]) -> None:
        """By one posting, as the services would: in their order, on the first open day at the earliest."""
        async with self.connection.transaction():
            await post(self.connection, day, lines, self.bank)
        self.booked += [(max(day, self.closed + DAY) if self.closed > date.min else day, line) for line in lines]
        self.booked.sort(key=lambda each: each[0])

    async def sell(self, day: date, number: int, currency: str = "CZK", minor: int = 100) -> None:
        """So many payments to the fleet, of which the platform has a tenth."""
        await self.book(day, [(self.bank, self.fleet, minor, currency)] * number)
        await self.book(day, [(self.bank, self.few, 1, "CZK"), (self.fleet, self.platform, number * minor, currency)])

    async def close(self, day: date) -> None:
        """The chore, as soon as that day may be closed."""
        now = datetime(day.year, day.month, day.day, 0, 30, tzinfo=UTC) + OPEN_FOR + DAY
        assert last_over(now) == day
        await close_what_is_over(self.connection, now)
        self.closed = max(self.closed, day)

    async def kept(self) -> set[tuple[uuid.UUID, date]]:
        return {(row["account_id"], row["day"]) for row in await self.connection.fetch(KEPT)}

    async def statement(self, account: uuid.UUID, month: date, limit: int = MOST_LINES, cursor: str = "") -> MonthPage:
        return await read_month(self.connection, account, month, after(month), PageRequest(limit, cursor or None))

    def plain(self, account: uuid.UUID, month: date, passed: int = 0) -> tuple[list[Totals], list[tuple[str, int]]]:
        """A month from behind its first `passed` lines: totals and lines, added up one by one."""
        opening, credited, debited, before = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
        lines: list[tuple[str, int]] = []
        for day, (debit, credit, minor, currency) in self.booked:
            if account not in {debit, credit} or day >= after(month):
                continue
            signed = minor if account == credit else -minor
            before[currency] += signed if day < month or len(lines) < passed else 0
            opening[currency] += signed if day < month else 0
            credited[currency] += max(signed, 0) if day >= month else 0
            debited[currency] += max(-signed, 0) if day >= month else 0
            lines += [(currency, signed)] if day >= month else []
        found = [Totals(each, opening[each], credited[each], debited[each], before[each]) for each in sorted(before)]
        return found, lines[passed:]

    def balances(self, account: uuid.UUID, before: date = date.max) -> dict[str, int]:
        """By currency, of all that was booked before that day."""
        found = Counter[str]()
        for day, (debit, credit, minor, currency) in self.booked:
            if account in {debit, credit} and day < before:
                found[currency] += minor if account == credit else -minor
        return dict(found)

    async def compare(self, source: random.Random, most: int = 5) -> None:
        """Statements of all months, whole and from somewhere within, and balances, with what they must be."""
        for account in self.accounts:
            for month in MONTHS:
                page = await self.statement(account, month)
                assert (page.totals, lines_of(page)) == self.plain(account, month)
                limit = source.randint(1, 150)
                pages, passed = await self.statement(account, month, limit), 0
                for _ in range(most):
                    totals, lines = self.plain(account, month, passed)
                    assert (pages.totals, lines_of(pages)) == (totals, lines[:limit]), (month, passed)
                    if pages.next_cursor is None:
                        break
                    passed += limit
                    pages = await self.statement(account, month, limit, pages.next_cursor)
            day = date(2026, 4, 20) + source.randint(0, 100) * DAY
            assert await read_balances(self.connection, account, day) == self.balances(account, day), day
            assert await read_balances(self.connection, account) == self.balances(account)
        assert await check_ledger(self.connection) == []


def after(month: date) -> date:
    """The first day of the next one."""
    return (month + 31 * DAY).replace(day=1)


def lines_of(page: MonthPage) -> list[tuple[str, int]]:
    return [(entry.currency, entry.amount_minor) for entry in page.entries]


async def post(connection: asyncpg.Connection, day: date, lines: Sequence[Line], bank: uuid.UUID) -> None:
    """In the caller's database transaction."""
    moved = sum(minor if debit == bank else -minor for debit, _, minor, _ in lines)
    cause = await connection.fetchval(CAUSE, uuid.uuid4().hex, moved)
    nothing, times = [None] * len(lines), len(lines)
    await connection.execute(
        ADD_TRANSFERS, nothing, [cause] * times, nothing, *map(list, zip(*lines, strict=True)),
        ["refund"] * times, [False] * times, [day] * times,
    )  # fmt: skip


@pytest.fixture
async def ledger(connection: asyncpg.Connection) -> Ledger:
    """Without a transfer."""
    return Ledger(
        connection,
        await house_account(connection, BANK),
        await house_account(connection, PLATFORM),
        await account_of(connection, await add_person(connection), OWNER),
        await account_of(connection, await add_person(connection), DRIVER),
    )


@pytest.mark.parametrize(
    ("now", "day"),
    [
        (datetime(2026, 6, 3, 23, 59, tzinfo=UTC), date(2026, 5, 31)),
        (datetime(2026, 6, 4, 0, 0, tzinfo=UTC), date(2026, 6, 1)),
        (datetime(2026, 6, 4, 1, 0, tzinfo=timezone(timedelta(hours=2))), date(2026, 5, 31)),
        (datetime(2026, 3, 1, tzinfo=UTC), date(2026, 2, 26)),
        (datetime(2026, 1, 2, tzinfo=UTC), date(2025, 12, 30)),
    ],
)
def test_a_day_is_closed_when_it_is_over_everywhere(now: datetime, day: date) -> None:
    assert last_over(now) == day
    assert last_closed(now) <= day


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_is_booked_and_closed_statements_are_the_plain_sums(ledger: Ledger, seed: int) -> None:
    """Several currencies, busy days and quiet ones, late postings, days on which no listener ran."""
    source = random.Random(seed)
    for number in range(60):
        day = date(2026, 4, 25) + number * DAY
        currency = source.choice(["CZK", "CZK", "EUR", *["USD"] * (number > 30)])
        late = day - source.choice([0, 0, 1, 5, 40]) * DAY
        await ledger.sell(late, source.choice([1, 1, MUCH, MUCH + 30]), currency, source.randint(1, 10_000))
        if source.random() < 0.6:
            await ledger.close(day - source.randint(1, 3) * DAY)
        if number % 15 == 14:
            await ledger.compare(source)
    assert len(await ledger.kept()) > 20
    assert ledger.few not in {account for account, _ in await ledger.kept()}


async def test_each_page_says_the_same_before_and_after_days_are_closed(ledger: Ledger) -> None:
    """Cursors before, on and behind the days that are kept."""
    for day in (3, 4, 5, 9):
        await ledger.sell(date(2026, 5, day), MUCH, minor=day)
    month, cursors = MONTHS[1], [""]
    before = [await ledger.statement(ledger.fleet, month, 37)]
    while cursor := before[-1].next_cursor:
        cursors.append(cursor)
        before.append(await ledger.statement(ledger.fleet, month, 37, cursor))
    days = [date(2026, 5, day) for day in (2, 3, 4, 5, 9)]
    at_days = [encode_cursor((day, number)) for day in days for number in (0, 1 << 62)]
    pages_at_days = [await ledger.statement(ledger.fleet, month, 37, cursor) for cursor in at_days]
    for closed in (3, 5, 8, 9, 12):
        await ledger.close(date(2026, 5, closed))
        assert [await ledger.statement(ledger.fleet, month, 37, cursor) for cursor in cursors] == before
        assert [await ledger.statement(ledger.fleet, month, 37, cursor) for cursor in at_days] == pages_at_days
    assert {day.day for account, day in await ledger.kept() if account == ledger.fleet} == {3, 5, 9}


async def test_all_currencies_of_an_account_are_kept_on_the_same_day(ledger: Ledger) -> None:
    """One that did not move since the month before, and one that did on another day, too."""
    await ledger.sell(date(2026, 4, 7), 1, "USD")
    await ledger.sell(date(2026, 5, 2), 1, "EUR")
    await ledger.close(date(2026, 5, 3))
    await ledger.sell(date(2026, 5, 4), MUCH, "CZK")
    await ledger.close(date(2026, 5, 4))
    kept = [row for row in await ledger.connection.fetch(KEPT) if row["account_id"] == ledger.fleet]
    figures = [tuple(row[f"{name}_minor"] for name in ("balance", "credited", "debited")) for row in kept]
    assert [row["currency"] for row in kept] == ["CZK", "EUR", "USD"]
    assert figures == [(0, 100 * MUCH, 100 * MUCH), (0, 100, 100), (0, 0, 0)]


async def test_a_late_posting_lands_on_the_first_open_day(ledger: Ledger) -> None:
    await ledger.sell(date(2026, 5, 9), MUCH)
    await ledger.close(date(2026, 5, 10))
    for late, booked in ((1, 11), (9, 11), (10, 11), (11, 11), (12, 12)):
        await ledger.book(date(2026, 5, late), [(ledger.bank, ledger.fleet, late, "CZK")])
        newest = await ledger.connection.fetchval("select booked_on from transfers order by id desc limit 1")
        assert newest == date(2026, 5, booked), late
    await ledger.compare(random.Random(0))


@pytest.mark.parametrize("day", [2, 11, 13])
async def test_a_late_posting_and_the_chore_wait_for_each_other(ledger: Ledger, pool: asyncpg.Pool, day: int) -> None:
    """On a closed day, the first open one or another that is closed with it: it is seen, or is moved on."""
    await ledger.sell(date(2026, 5, 10), MUCH)
    await ledger.close(date(2026, 5, 10))
    await ledger.sell(date(2026, 5, 11), MUCH)
    async with pool.acquire() as late, pool.acquire() as closing:
        for each in (late, closing):
            await each.execute("set idle_in_transaction_session_timeout = 0")
        async with late.transaction():
            await post(late, date(2026, 5, day), [(ledger.bank, ledger.fleet, 7, "CZK")], ledger.bank)
            chore = asyncio.create_task(close_days(closing, datetime(2026, 5, 16, tzinfo=UTC)))
            await until_somebody_waits(ledger)
        await chore
        async with late.transaction():
            async with closing.transaction():
                await close_days(closing, datetime(2026, 5, 17, tzinfo=UTC))
                lines = [(ledger.bank, ledger.fleet, 8, "CZK")]
                posting = asyncio.create_task(post(late, date(2026, 5, day), lines, ledger.bank))
                await until_somebody_waits(ledger)
            await posting
    days = "select amount_minor, booked_on from transfers where amount_minor in (7, 8) order by 1"
    booked = [tuple(row) for row in await ledger.connection.fetch(days)]
    assert booked == [(7, date(2026, 5, max(day, 11))), (8, date(2026, 5, 15))]
    assert (ledger.fleet, date(2026, 5, 13)) in await ledger.kept()
    assert await check_ledger(ledger.connection) == []


async def until_somebody_waits(ledger: Ledger) -> None:
    """For a lock."""
    async with asyncio.timeout(DEADLINE_S):
        while not await ledger.connection.fetchval(WAITING):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)


async def test_a_day_is_closed_once_however_often_and_by_how_many(ledger: Ledger, pool: asyncpg.Pool) -> None:
    await ledger.sell(date(2026, 5, 9), MUCH)

    async def close(connection: asyncpg.Connection) -> None:
        await close_days(connection, datetime(2026, 5, 12, tzinfo=UTC))

    await asyncio.gather(*(on_its_own(pool, close) for _ in range(5)))
    kept = await ledger.connection.fetch(KEPT)
    assert {row["account_id"] for row in kept} == {ledger.bank, ledger.fleet}
    for hour in (1, 12, 0):
        await close_days(ledger.connection, datetime(2026, 5, 12, hour, tzinfo=UTC))
    await close_days(ledger.connection, datetime(2026, 5, 6, tzinfo=UTC))
    assert await ledger.connection.fetch(KEPT) == kept
    assert [row["day"] for row in await ledger.connection.fetch("select day from closed_days")] == [date(2026, 5, 9)]


async def on_its_own(pool: asyncpg.Pool, work: Callable[[asyncpg.Connection], Awaitable[None]]) -> None:
    async with pool.acquire() as connection:
        await work(connection)


async def test_the_listener_closes_months_and_days(ledger: Ledger, pool: asyncpg.Pool) -> None:
    long_ago = datetime.now(UTC).date() - 90 * DAY
    await ledger.sell(long_ago, MUCH)
    await close_books(Storage(pool))
    assert await ledger.connection.fetchval("select max(day) from balance_snapshots") >= long_ago
    assert await ledger.connection.fetchval("select count(*) from closed_days") <= 1, "none at the end of a month"
    await ledger.book(long_ago, [(ledger.bank, ledger.few, 1, "CZK")])
    newest = await ledger.connection.fetchval("select max(booked_on) from transfers")
    assert 1 <= (datetime.now(UTC).date() - newest).days <= 3


async def test_what_a_first_start_or_a_long_rest_left_is_kept_at_once(ledger: Ledger) -> None:
    """Few on each day, many together."""
    for day in range(1, 21):
        await ledger.sell(date(2026, 5, day), MUCH // 10)
    await ledger.close(date(2026, 5, 16))
    assert await ledger.kept() == {(account, date(2026, 5, 16)) for account in (ledger.bank, ledger.fleet)}
    await ledger.close(date(2026, 5, 20))
    assert len(await ledger.kept()) == 2, "little on four days is added up"
    await ledger.compare(random.Random(0))


@pytest.mark.parametrize(("number", "is_kept"), [(MUCH - 2, False), (MUCH - 1, True)])
async def test_an_account_with_few_transfers_is_not_kept(ledger: Ledger, number: int, is_kept: bool) -> None:
    """The fleet has one more, for the fee."""
    await ledger.sell(date(2026, 5, 4), number)
    await ledger.close(date(2026, 5, 4))
    assert (ledger.fleet in {account for account, _ in await ledger.kept()}) == is_kept
    await ledger.compare(random.Random(0))


async def test_no_month_goes_on_from_a_day_of_the_one_before(ledger: Ledger) -> None:
    """Its last day is kept for everybody: by the snapshot, and a late posting is booked in the next."""
    source = random.Random(0)
    for number in range(8):
        day = date(2026, 5, 27) + number * DAY
        await ledger.sell(day, MUCH)
        await ledger.close(day)
        await ledger.book(date(2026, 5, 3), [(ledger.bank, ledger.fleet, number + 1, "CZK")])
        await ledger.compare(source)
    days = {day for account, day in await ledger.kept() if account == ledger.fleet}
    assert days == {date(2026, 5, 27) + number * DAY for number in range(8)} - {date(2026, 5, 31)}
    closings = await ledger.connection.fetch("select day from balance_snapshots where account_id = $1", ledger.fleet)
    assert [row["day"] for row in closings] == [date(2026, 5, 31)]


async def test_months_that_nobody_closed_are_right(ledger: Ledger) -> None:
    """Listeners rested from a day of April to one of July; months between have no closing of their own."""
    source = random.Random(0)
    await ledger.sell(date(2026, 4, 10), MUCH, "EUR")
    await ledger.close(date(2026, 4, 12))
    for month in (4, 5, 6, 7):
        await ledger.sell(date(2026, month, 13), MUCH)
    await ledger.compare(source)
    await ledger.close(date(2026, 7, 20))
    await ledger.compare(source)
    days = {day for account, day in await ledger.kept() if account == ledger.fleet}
    assert days == {date(2026, 4, 12), date(2026, 7, 20)}
    assert await ledger.connection.fetchval("select count(distinct day) from balance_snapshots") == 1


async def test_a_statement_takes_its_figures_from_the_day_that_was_kept(ledger: Ledger, database: DatabaseUrls) -> None:
    await ledger.sell(date(2026, 5, 4), MUCH)
    await ledger.close(date(2026, 5, 4))
    await ledger.sell(date(2026, 5, 5), 1)
    await by_hand(database, f"update interim_balances set credited_minor = 7 where account_id = '{ledger.fleet}'")
    [totals] = (await ledger.statement(ledger.fleet, MONTHS[1])).totals
    assert (totals.credited_minor, totals.debited_minor) == (107, 100 * MUCH + 100)
    for other in (MONTHS[0], MONTHS[2]):
        assert all(each.credited_minor == 0 for each in (await ledger.statement(ledger.fleet, other)).totals)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ("update interim_balances set balance_minor = 1 where {}", "kept with 1 EUR, credited 300, debited 300"),
        ("update interim_balances set credited_minor = 1 where {}", "kept with 0 EUR, credited 1, debited 300"),
        ("update interim_balances set debited_minor = 1 where {}", "kept with 0 EUR, credited 300, debited 1"),
        ("delete from interim_balances where {}", "kept with 0 EUR, credited 0, debited 0"),
        ("update interim_balances set currency = 'USD' where {}", "kept with 0 USD, credited 300, debited 300"),
    ],
)
async def test_a_day_that_was_not_kept_right_is_found(
    ledger: Ledger, database: DatabaseUrls, changed: str, said: str
) -> None:
    await ledger.sell(date(2026, 4, 3), 1, "EUR")
    await ledger.sell(date(2026, 5, 3), 3, "EUR")
    await ledger.sell(date(2026, 5, 4), MUCH)
    await ledger.close(date(2026, 5, 4))
    assert await check_ledger(ledger.connection) == []
    await by_hand(database, changed.format(f"account_id = '{ledger.fleet}' and currency = 'EUR'"))
    sentences = await check_ledger(ledger.connection)
    assert any(said in sentence and str(ledger.fleet) in sentence for sentence in sentences), sentences


async def test_no_day_at_the_end_of_a_month_is_kept(ledger: Ledger) -> None:
    """What stands there is the snapshot's: a balance would count both."""
    add = "insert into interim_balances values ($1, $2, 'CZK', 0, 0, 0)"
    for day in (date(2026, 5, 31), date(2026, 2, 28), date(2024, 2, 29)):
        with pytest.raises(asyncpg.CheckViolationError):
            await ledger.connection.execute(add, ledger.few, day)
    await ledger.connection.execute(add, ledger.few, date(2024, 2, 28))


async def by_hand(database: DatabaseUrls, statement: str) -> None:
    owner = await asyncpg.connect(database.owner)
    await owner.execute(statement)
    await owner.close()


@pytest.mark.parametrize(("close", "day"), [(take_snapshots, date(2026, 4, 30)), (close_days, date(2026, 5, 5))])
@pytest.mark.parametrize("held", [LOCK, "lock table balance_snapshots, interim_balances in share row exclusive mode"])
async def test_closing_may_take_longer_than_other_statements(
    ledger: Ledger, database: DatabaseUrls, close: Close, day: date, held: str
) -> None:
    """A listener's connection gives up after seconds; a large month, and another listener's, takes longer."""
    await ledger.sell(date(2026, 4, 3), MUCH)
    await ledger.sell(date(2026, 5, 3), MUCH)
    owner = await asyncpg.connect(database.owner)
    listener = await asyncpg.connect(database.application, command_timeout=1)
    try:
        async with asyncio.timeout(DEADLINE_S), owner.transaction():
            await owner.execute(held)
            closing = asyncio.create_task(close(listener, datetime(2026, 5, 8, tzinfo=UTC)))
            await owner.execute("select pg_sleep(2)")
            assert not closing.done()
        await closing
    finally:
        await asyncio.gather(owner.close(), listener.close())
    kept = "select account_id, day from balance_snapshots union select account_id, day from interim_balances"
    assert (ledger.fleet, day) in {tuple(row) for row in await ledger.connection.fetch(kept)}
