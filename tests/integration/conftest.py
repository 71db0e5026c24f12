"""What tests in the process share: the listener's kind of pool, of the restricted role, on the test's own database."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from api.database import make_pool
from api.settings import Settings
from standalone.databases import DatabaseUrls


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
