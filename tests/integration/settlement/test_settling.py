"""Settling finished sessions: once, by what their record says, whoever else works on them and whoever dies."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from api.settlement.settling import settle_next
from standalone.databases import DatabaseUrls
from tests.integration.settlement.books import NOW, Box, add_box, add_person, add_session, balance, check_books


async def settle_all(pool: asyncpg.Pool, fee_bp: int = 0) -> int:
    """Settles what is due, as the chore does; how many."""
    number = 0
    while True:
        async with pool.acquire() as connection, connection.transaction():
            if await settle_next(connection, fee_bp, NOW) is None:
                return number
        number += 1


@pytest.fixture
async def box(connection: asyncpg.Connection) -> Box:
    return await add_box(connection)


async def balances(connection: asyncpg.Connection, box: Box) -> tuple[int, int, int]:
    return (
        await balance(connection, box.driver, "driver"),
        await balance(connection, box.owner, "owner"),
        await balance(connection, None, "platform"),
    )


async def test_the_driver_owes_what_the_owner_gets_less_the_platforms_fee(
    pool: asyncpg.Pool, connection: asyncpg.Connection, box: Box
) -> None:
    await add_session(connection, box, 10_000)
    assert await settle_all(pool, fee_bp=250) == 1
    # 2.5 % of 55.00 is 1.375: half to even
    assert await balances(connection, box) == (-5500, 5362, 138)
    row = await connection.fetchrow("select * from settlements")
    assert (row["revision"], row["net_minor"], row["fee_bp"], row["currency"]) == (0, 5500, 250, "CZK")
    assert row["charge_detail_record"]["total_minor"] == 5500, "the evidence is kept with the settlement"
    assert await connection.fetchval("select settled_at from transactions") == NOW


async def test_an_owner_on_an_own_wallbox_pays_nothing(
    pool: asyncpg.Pool, connection: asyncpg.Connection, box: Box
) -> None:
    await add_session(connection, box, driver=box.owner)
    assert await settle_all(pool, fee_bp=1000) == 1
    assert await connection.fetchval("select count(*) from transfers") == 0
    assert await connection.fetchval("select count(*) from settlements") == 1
    await check_books(connection)


@pytest.mark.parametrize(
    "columns",
    [
        {"held_reasons": ["register_fell"]},
        {"status": "active"},
        {"status": "abandoned"},
        {"total_minor": None},
    ],
)
async def test_what_is_held_unfinished_or_not_rated_is_not_settled(
    pool: asyncpg.Pool, connection: asyncpg.Connection, box: Box, columns: dict[str, Any]
) -> None:
    await add_session(connection, box, **columns)
    assert await settle_all(pool) == 0
    assert await connection.fetchval("select count(*) from settlements") == 0


@pytest.mark.parametrize(
    "spoil",
    [
        "driver_id = null",
        "charge_detail_record = null",
        "charge_detail_record = jsonb_set(charge_detail_record, '{total_minor}', '1')",
        "charge_detail_record = jsonb_set(charge_detail_record, '{lines}', '[]')",
        "charge_detail_record = charge_detail_record - 'currency'",
        "charge_detail_record = '[]'",
    ],
)
async def test_what_cannot_be_posted_is_held_and_stops_nobody(
    pool: asyncpg.Pool, connection: asyncpg.Connection, box: Box, spoil: str
) -> None:
    bad = await add_session(connection, box)
    await connection.execute(f"update transactions set {spoil}")
    await add_session(connection, box, 2_000)
    assert await settle_all(pool) == 2
    held = await connection.fetchrow("select held_reasons, settled_at from transactions where public_id = $1", bad)
    assert (held["held_reasons"], held["settled_at"]) == (["not_billable"], None)
    assert await balances(connection, box) == (-1100, 1100, 0)
    assert await connection.fetchval("select count(*) from settlements") == 1


async def test_a_session_without_price_or_driver_needs_nobody(
    pool: asyncpg.Pool, connection: asyncpg.Connection, box: Box
) -> None:
    await add_session(connection, box, price_e4=0)
    await connection.execute("update transactions set driver_id = null")
    assert await settle_all(pool) == 1
    assert await connection.fetchval("select held_reasons from transactions") == []


async def test_a_transfer_is_booked_on_the_day_at_the_charge_point(connection: asyncpg.Connection, box: Box) -> None:
    await add_session(connection, box)
    async with connection.transaction():
        await settle_next(connection, 0, datetime(2026, 5, 31, 22, 30, tzinfo=UTC))
    assert (await connection.fetchval("select booked_on from transfers")).isoformat() == "2026-06-01"


async def test_many_at_once_settle_each_session_once(
    pool: asyncpg.Pool, connection: asyncpg.Connection, box: Box
) -> None:
    """Also where the people of the sessions are new, so that their accounts are opened at the same time."""
    people = [await add_person(connection) for _ in range(3)]
    for number in range(30):
        await add_session(connection, box, 1000 * (number + 1), driver=people[number % 3])
    done = await asyncio.gather(*(settle_all(pool, 300) for _ in range(6)))
    assert sum(done) == 30
    assert sum(1 for number in done if number) > 1, "more than one of them found work"
    assert await connection.fetchval("select count(*) from settlements") == 30
    assert sum([await balance(connection, person, "driver") for person in people]) == -sum(range(1, 31)) * 550
    await check_books(connection)


async def test_who_dies_in_the_middle_leaves_nothing_behind(
    pool: asyncpg.Pool, connection: asyncpg.Connection, box: Box, database: DatabaseUrls
) -> None:
    await add_session(connection, box)
    doomed = await asyncpg.connect(database.application)
    await doomed.transaction().start()
    assert await settle_next(doomed, 0, NOW)
    assert await settle_all(pool) == 0, "it is being worked on"
    assert await connection.fetchval("select pg_terminate_backend($1, 10000)", doomed.get_server_pid())
    doomed.terminate()
    assert await connection.fetchval("select count(*) from settlements") == 0
    assert await settle_all(pool) == 1
    assert await balances(connection, box) == (-5500, 5500, 0)


async def test_settled_at_that_was_lost_posts_nothing_again(
    pool: asyncpg.Pool, connection: asyncpg.Connection, box: Box
) -> None:
    await add_session(connection, box)
    await settle_all(pool)
    await connection.execute("update transactions set settled_at = null")
    assert await settle_all(pool) == 1
    assert await balances(connection, box) == (-5500, 5500, 0)
    assert await connection.fetchval("select count(*) from settlements") == 1
