"""One attempt at a database transaction, and whether the database is there at all. Knows nothing of messages."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import asyncpg
import structlog

from api.listener.failures import UnavailableError, is_databases_fault, is_outage
from api.listener.metrics import COMMIT_SECONDS, DATABASE_FAILURES

log = structlog.get_logger(__name__)
T = TypeVar("T")

PROBE_EVERY_S: Final = 0.2
PROBE_TIMEOUT_S: Final = 2.0
LONGEST_PAUSE_S: Final = 0.05
"""After a deadlock or a lost lock, a random pause up to this keeps two listeners from meeting again."""

RECOVERABLE: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class Storage:
    """The pool, with the knowledge of whether PostgreSQL answers."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool
        self._is_up = asyncio.Event()
        self._is_up.set()
        self._down_since: float | None = None

    def down_for_s(self) -> float:
        """Seconds since PostgreSQL was found down; 0 while it answers."""
        return 0.0 if self._down_since is None else time.monotonic() - self._down_since

    async def attempt(self, work: Callable[[asyncpg.Connection], Awaitable[T]], *, one_statement: bool = False) -> T:
        """Does `work` in a transaction and commits it, once; `one_statement` is its own transaction.

        Raises:
            UnavailableError: the database's fault, after a pause; the commit may or may not have happened.
            Exception: whatever the data or our own code caused; nothing was committed.
        """
        began = time.perf_counter()
        try:
            async with self.pool.acquire() as connection:
                if one_statement:
                    result = await work(connection)
                else:
                    async with connection.transaction():
                        result = await work(connection)
        except RECOVERABLE as error:
            if not is_databases_fault(error):
                raise
            await self._pause(error)
            raise UnavailableError(str(error)) from error
        COMMIT_SECONDS.observe(time.perf_counter() - began)
        return result

    async def _pause(self, error: Exception) -> None:
        DATABASE_FAILURES.inc()
        if not is_outage(error):
            await asyncio.sleep(random.uniform(0, LONGEST_PAUSE_S))  # noqa: S311 - spreads load, hides nothing
            return
        if self._down_since is None:
            log.warning("PostgreSQL is away, retrying", error=f"{type(error).__name__}: {error}")
            self._down_since = time.monotonic()
        self._is_up.clear()

    async def wait_until_up(self, timeout_s: float) -> bool:
        """Waits until PostgreSQL answers again, at most `timeout_s`; whether it does."""
        try:
            async with asyncio.timeout(max(timeout_s, 0)):
                await self._is_up.wait()
        except TimeoutError:
            return False
        return True

    async def watch(self) -> None:
        """Runs for ever: while PostgreSQL is down, asks it until it answers."""
        while True:
            await asyncio.sleep(PROBE_EVERY_S)
            if not self._is_up.is_set() and await self._answers():
                log.info("PostgreSQL is back", after_s=round(self.down_for_s(), 1))
                self._down_since = None
                self._is_up.set()

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S), self.pool.acquire() as connection:
                return bool(await connection.fetchval("select 1"))
        except RECOVERABLE:
            return False
