"""Plain sessions are settled together: each once, with a receipt of its own, and one at fault harms no other."""

import asyncio
from datetime import datetime
from typing import Any

import asyncpg
import pytest

from api.settlement.settling import NotBillableError, settle_next, settle_plain
from tests.integration.settlement.books import NOW, Box, add_box, add_session, balance, check_books

MOST = 10


@pytest.fixture
async def box(connection: asyncpg.Connection) -> Box:
    """One whose people's accounts are open: their first session is settled."""
    return await make_box(connection)


async def make_box(connection: asyncpg.Connection) -> Box:
    box = await add_box(connection)
    await add_session(connection, box, 1_000)
    async with connection.transaction():
        assert await settle_next(connection, 1000, NOW)
    return box


async def together(connection: asyncpg.Connection, now: datetime = NOW) -> int:
    async with connection.transaction():
        return await settle_plain(connection, 1000, now, MOST)


async def receipts(connection: asyncpg.Connection, box: Box) -> list[int]:
    rows = await connection.fetch(
        "select r.number from receipts r join ledger_accounts a on a.id = r.owner_account_id "
        "where a.user_id = $1 order by r.number", box.owner
    )  # fmt: skip
    return [row["number"] for row in rows]


async def test_each_is_posted_as_it_would_be_alone(connection: asyncpg.Connection, box: Box) -> None:
    other = await make_box(connection)
    for energy_wh in (1_000, 2_000, 3_000):
        await add_session(connection, box, energy_wh)
        await add_session(connection, other, energy_wh)
    await add_session(connection, box, driver=box.owner)
    assert await together(connection) == 7
    for each in (box, other):
        assert await balance(connection, each.driver, "driver") == -550 * 7
        assert await balance(connection, each.owner, "owner") == 495 * 7
    assert await receipts(connection, box) == [1, 2, 3, 4, 5]
    assert await receipts(connection, other) == [1, 2, 3, 4]
    assert await connection.fetchval("select count(*) from transactions where settled_at is distinct from $1", NOW) == 0
    row = await connection.fetchrow("select * from settlements where net_minor = 1650 limit 1")
    assert (row["revision"], row["fee_bp"], row["currency"]) == (0, 1000, "CZK")
    assert row["charge_detail_record"]["total_minor"] == 1650, "the evidence is kept with the settlement"
    assert await together(connection) == 0
    await check_books(connection)


async def test_no_more_than_was_asked_for(connection: asyncpg.Connection, box: Box) -> None:
    for _ in range(MOST + 1):
        await add_session(connection, box)
    assert [await together(connection) for _ in range(3)] == [MOST, 1, 0]
    await check_books(connection)


@pytest.mark.parametrize(
    "columns",
    [
        {"held_reasons": ["register_fell"]},
        {"status": "active"},
        {"total_minor": None},
        {"driver_id": None},
    ],
)
async def test_what_is_not_plain_is_left(connection: asyncpg.Connection, box: Box, columns: dict[str, Any]) -> None:
    await add_session(connection, box, **columns)
    assert await together(connection) == 0
    async with connection.transaction():
        settled = await settle_next(connection, 1000, NOW, but_plain=True)
    assert (settled is not None) == (columns == {"driver_id": None}), "it is due, and goes alone"


async def test_alone_goes_only_what_is_not_plain(connection: asyncpg.Connection, box: Box) -> None:
    await add_session(connection, box)
    newcomer = await add_session(connection, await add_box(connection))
    async with connection.transaction():
        settled = await settle_next(connection, 1000, NOW, but_plain=True)
        assert settled is not None
        assert settled.public_id == newcomer
        assert await settle_next(connection, 1000, NOW, but_plain=True) is None
    assert await together(connection) == 1


async def test_the_first_session_of_somebody_is_left(connection: asyncpg.Connection) -> None:
    await add_session(connection, await add_box(connection))
    assert await together(connection) == 0


async def test_what_was_posted_already_is_left(connection: asyncpg.Connection, box: Box) -> None:
    await connection.execute("update transactions set settled_at = null")
    assert await together(connection) == 0


async def test_one_at_fault_lets_nothing_be_posted(connection: asyncpg.Connection, box: Box) -> None:
    await add_session(connection, box)
    bad = await add_session(connection, box)
    await connection.execute(
        "update transactions set charge_detail_record = jsonb_set(charge_detail_record, '{total_minor}', '1') "
        "where public_id = $1", bad
    )  # fmt: skip
    with pytest.raises(NotBillableError):
        await together(connection)
    assert await connection.fetchval("select count(*) from settlements") == 1
    assert await connection.fetchval("select count(*) from transactions where settled_at is null") == 2


async def test_two_at_once_settle_each_session_once(
    pool: asyncpg.Pool, connection: asyncpg.Connection, box: Box
) -> None:
    """Of two owners, in the order that would make the two wait for each other in a circle."""
    other = await make_box(connection)
    for number in range(40):
        await add_session(connection, box if number % 3 else other)

    async def settle() -> int:
        done = 0
        async with pool.acquire() as own:
            while settled := await together(own):
                done += settled
        return done

    assert sum(await asyncio.gather(*(settle() for _ in range(4)))) == 40
    assert await connection.fetchval("select count(*) from settlements") == 42
    await check_books(connection)
