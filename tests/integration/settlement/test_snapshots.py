"""Balances by snapshot and what came after it are the plain sums, whenever months are closed."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from api.administration.books import check_ledger
from api.credit.balances import read_balances
from api.settlement.settling import settle_next
from api.settlement.snapshots import last_closed, take_snapshots
from standalone.databases import DatabaseUrls
from tests.integration.settlement.books import add_box, add_person, add_session, balance, check_books

PLAIN = """
select a.id, t.currency, sum(case when t.credit_account_id = a.id then t.amount_minor else -t.amount_minor end)::bigint
from ledger_accounts a join transfers t on a.id in (t.debit_account_id, t.credit_account_id)
where $1::date is null or t.booked_on < $1 group by a.id, t.currency
"""


@pytest.mark.parametrize(
    ("now", "day"),
    [
        (datetime(2026, 6, 2, 23, 59, tzinfo=UTC), date(2026, 4, 30)),
        (datetime(2026, 6, 3, 0, 0, tzinfo=UTC), date(2026, 5, 31)),
        (datetime(2026, 6, 30, tzinfo=UTC), date(2026, 5, 31)),
        (datetime(2026, 1, 2, tzinfo=UTC), date(2025, 11, 30)),
        (datetime(2026, 1, 3, tzinfo=UTC), date(2025, 12, 31)),
    ],
)
def test_a_month_is_closed_when_it_is_over_everywhere(now: datetime, day: date) -> None:
    assert last_closed(now) == day


async def test_balances_are_the_plain_sums_at_every_day(connection: asyncpg.Connection) -> None:
    box = await add_box(connection)
    for number in range(12):
        posted_at = datetime(2026, 1, 10, tzinfo=UTC) + timedelta(days=23 * number)
        await add_session(connection, box, 1000 * (number + 1), driver=await add_person(connection))
        async with connection.transaction():
            await settle_next(connection, 250, posted_at)
        if number % 3 == 2:
            for _ in range(2):
                await take_snapshots(connection, posted_at)
        await compare(connection)
    assert await connection.fetchval("select count(distinct day) from balance_snapshots") == 4
    await check_books(connection)


async def compare(connection: asyncpg.Connection) -> None:
    days = [None, *(date(2026, 1, 1) + timedelta(days=13 * step) for step in range(22))]
    accounts = [row["id"] for row in await connection.fetch("select id from ledger_accounts")]
    for day in days:
        plain = {(row[0], row[1]): row[2] for row in await connection.fetch(PLAIN, day)}
        found = {
            (account_id, currency): minor
            for account_id in accounts
            for currency, minor in (await read_balances(connection, account_id, day)).items()
        }
        assert found == plain, day


async def test_what_is_posted_late_is_booked_on_the_first_open_day(connection: asyncpg.Connection) -> None:
    box = await add_box(connection)
    for posted_at in (datetime(2026, 5, 20, tzinfo=UTC), datetime(2026, 5, 31, 12, tzinfo=UTC)):
        await add_session(connection, box)
        async with connection.transaction():
            await settle_next(connection, 0, posted_at)
        await take_snapshots(connection, datetime(2026, 6, 3, tzinfo=UTC))
    rows = await connection.fetch("select booked_on from transfers order by id")
    assert [row["booked_on"] for row in rows] == [date(2026, 5, 20), date(2026, 6, 1)]
    assert await balance(connection, box.driver, "driver") == -11_000
    await compare(connection)


async def test_many_close_a_month_at_once(pool: asyncpg.Pool, connection: asyncpg.Connection) -> None:
    await add_session(connection, await add_box(connection))
    async with connection.transaction():
        await settle_next(connection, 100, datetime(2026, 5, 4, tzinfo=UTC))

    async def close() -> None:
        async with pool.acquire() as other:
            await take_snapshots(other, datetime(2026, 6, 3, tzinfo=UTC))

    await asyncio.gather(*(close() for _ in range(6)))
    assert await connection.fetchval("select count(*) from balance_snapshots") == 3
    assert await connection.fetchval("select sum(balance_minor)::bigint from balance_snapshots") == 0


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ("balance_minor = 5501 where balance_minor > 0", "says 5501 CZK, its transfers 5500"),
        (
            "credited_minor = 5501 where balance_minor > 0",
            "says credited 5501, debited 0 CZK, its transfers 5500 and 0",
        ),
        ("debited_minor = 0 where balance_minor < 0", "says credited 0, debited 0 CZK, its transfers 0 and 5500"),
    ],
)
async def test_a_snapshot_that_is_not_true_is_found(
    connection: asyncpg.Connection, database: DatabaseUrls, changed: str, said: str
) -> None:
    for month in (5, 6):
        await add_session(connection, await add_box(connection))
        async with connection.transaction():
            await settle_next(connection, 0, datetime(2026, month, 4, tzinfo=UTC))
        await take_snapshots(connection, datetime(2026, month + 1, 3, tzinfo=UTC))
    assert await check_ledger(connection) == []
    owner = await asyncpg.connect(database.owner)
    await owner.execute(
        f"update balance_snapshots set {changed} and day = '2026-06-30' and debited_minor + credited_minor > 0"
    )
    await owner.close()
    [sentence] = await check_ledger(connection)
    assert said in sentence
