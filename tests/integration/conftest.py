"""What the integration tests share: the listener's kind of pool in the process, and listeners as processes."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from api.database import make_pool
from api.settings import Settings
from standalone.databases import DatabaseUrls
from tests.integration.listener.gateway import Listener, StartListener, start_listener


@pytest.fixture
async def pool(database: DatabaseUrls) -> AsyncIterator[asyncpg.Pool]:
    """The listener's own kind of pool."""
    pool = await make_pool(Settings(database_url=database.application))
    yield pool
    await pool.close()


@pytest.fixture
async def connection(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.Connection]:
    """One connection of it, which stays when a busy machine lets the test stand still in a transaction."""
    async with pool.acquire() as connection:
        await connection.execute("set idle_in_transaction_session_timeout = 0")
        yield connection


@pytest.fixture
def listen(tmp_path: Path, database: DatabaseUrls, redis_url: str, redis_prefix: str) -> Iterator[StartListener]:
    """Starts listener processes, which end with the test; their logs are shown where it fails."""
    started: list[Listener] = []

    def start(*, database_url: str = "", redis: str = "", **settings: str) -> Listener:
        listener = start_listener(
            tmp_path, database_url or database.application, redis or redis_url, redis_prefix, **settings
        )
        started.append(listener)
        return listener

    yield start
    for listener in started:
        listener.end()
        print(listener.said()[-4000:])  # noqa: T201 - pytest shows it with a failure
