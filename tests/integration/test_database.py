"""Connections for what is only read: they go back to the pool whatever happens, and broken ones are replaced."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from pydantic import SecretStr

from api.database import Database, make_engine
from api.errors import DatabaseAway
from api.settings import Settings
from standalone.databases import DatabaseUrls

SIZE = 2


@pytest.fixture
async def served(database: DatabaseUrls) -> AsyncIterator[Database]:
    settings = Settings(database_url=SecretStr(database.application), database_pool_size=SIZE)
    served = Database(make_engine(settings))
    yield served
    await served.close()


async def own_process(served: Database) -> int:
    async with served.reading() as connection:
        found: int = await connection.fetchval("select pg_backend_pid()")
    return found


async def test_who_comes_when_all_are_taken_waits(served: Database) -> None:
    assert len(set(await asyncio.gather(*(own_process(served) for _ in range(10 * SIZE))))) == SIZE


async def test_one_that_breaks_in_the_middle_is_replaced(served: Database) -> None:
    seen = {await own_process(served)}
    for _ in range(2 * SIZE):  # more than there are
        with pytest.raises(DatabaseAway):
            async with served.reading() as connection:
                await connection.execute("select pg_terminate_backend(pg_backend_pid())")
        seen.add(await own_process(served))
    assert len(seen) == 2 * SIZE + 1


async def test_what_fails_or_is_given_up_keeps_no_connection(served: Database) -> None:
    async def fail() -> None:
        async with served.reading() as connection:
            await connection.execute("select 1 / 0")

    async def sleep() -> None:
        async with served.reading() as connection:
            await connection.execute("select pg_sleep(60)")

    for _ in range(2 * SIZE):
        with pytest.raises(asyncpg.DivisionByZeroError):
            await fail()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sleep(), timeout=0.05)
    async with asyncio.timeout(30):
        assert await asyncio.gather(*(own_process(served) for _ in range(2 * SIZE)))
