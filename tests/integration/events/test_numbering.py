"""Positions: in the order in which events become visible, each once, however many number them."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg

from api.database import make_pool
from api.events.history import read_after, read_missed
from api.events.numbering import KEPT, forget_old, number_next
from api.settings import Settings
from standalone.databases import DatabaseUrls

ADD = """insert into events (type, at, audience, data, created_at)
    select 'security.event', now(), 'owner', jsonb_build_object('n', n), $3 from generate_series($1::integer, $2) n"""


async def number_all(pool: asyncpg.Pool, done: asyncio.Event) -> int:
    """Numbers until it is done and nothing is left."""
    total = 0
    while True:
        is_last = done.is_set()
        async with pool.acquire() as connection, connection.transaction():
            count = await number_next(connection, datetime.now(UTC))
        total += count
        if is_last and not count:
            return total
        await asyncio.sleep(0)


async def test_an_event_that_commits_late_is_behind_those_that_readers_have_seen(database: DatabaseUrls) -> None:
    pool = await make_pool(Settings(database_url=database.application))
    now = datetime.now(UTC)
    async with pool.acquire() as early, pool.acquire() as late:
        slow = early.transaction()
        await slow.start()
        await early.execute(ADD, 1, 1, now)
        await late.execute(ADD, 2, 2, now)
        async with late.transaction():
            assert await number_next(late, now) == 1
        [seen] = await read_after(late, 0)
        await slow.commit()
        async with late.transaction():
            assert await number_next(late, now) == 1
        [missed] = await read_after(late, seen.position)
        assert (seen.data, missed.data) == ('{"n": 2}', '{"n": 1}')
    await pool.close()


async def test_many_writers_and_two_who_number_give_each_event_one_position(database: DatabaseUrls) -> None:
    pool = await make_pool(Settings(database_url=database.application))
    done = asyncio.Event()
    numbering = [asyncio.create_task(number_all(pool, done)) for _ in range(2)]

    async def write(first: int) -> None:
        for n in range(first, first + 10):
            async with pool.acquire() as connection:
                await connection.execute(ADD, n, n, datetime.now(UTC))

    await asyncio.gather(*(write(10 * each) for each in range(8)))
    done.set()
    await asyncio.gather(*numbering)
    async with pool.acquire() as connection:
        events = await read_after(connection, 0)
        assert len(events) == 80
        assert sorted({event.position for event in events}) == [event.position for event in events]
        assert await connection.fetchval("select count(*) from events where position is null") == 0
    await pool.close()


async def test_old_events_are_forgotten_and_who_was_before_them_begins_anew(database: DatabaseUrls) -> None:
    pool = await make_pool(Settings(database_url=database.application))
    now = datetime.now(UTC)
    async with pool.acquire() as connection:
        await connection.execute(ADD, 1, 3, now - KEPT - timedelta(minutes=1))
        await connection.execute(ADD, 4, 6, now)
        async with connection.transaction():
            await number_next(connection, now)
        first, *_, last = await read_after(connection, 0)
        assert not await forget_old(connection, now)
        assert [event.data for event in await read_after(connection, 0)] == [f'{{"n": {n}}}' for n in (4, 5, 6)]
        assert await read_missed(connection, first.position, last.position) is None
        kept = await read_missed(connection, first.position + 2, last.position)
        assert kept is not None
        assert len(kept) == 3
        assert await read_missed(connection, last.position, last.position) == []
        assert await read_missed(connection, last.position + 1, last.position) is None
    await pool.close()
