"""When gateways may send to this listener: being subscribed is being ready, and nothing else says so.

It subscribes once PostgreSQL answers and is migrated, and unsubscribes when PostgreSQL stays away, so that gateways
refuse handshakes with 503 while what is in hand is tried on (DESIGN 2.3).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import asyncpg
import structlog
from redis.exceptions import RedisError

from api.bus import Bus
from api.listener.failures import UnavailableError
from api.listener.metrics import SUBSCRIBED
from api.listener.storage import Storage
from api.migrations import Standing, known_revisions
from wire.messages import Message

log = structlog.get_logger(__name__)

PATIENCE_S: Final = 3.0
"""PostgreSQL may be away this long (a restart) before gateways are told."""
CHECK_EVERY_S: Final = 0.2
FIRST_BACK_OFF_S: Final = 0.1
LONGEST_BACK_OFF_S: Final = 1.0
SAY_AGAIN_AFTER: Final = 30
"""Checks between two lines that say the same."""


async def database_revision(connection: asyncpg.Connection) -> str:
    """The revision that the database is at; empty where no migration ever ran."""
    try:
        return await connection.fetchval("select version_num from alembic_version") or ""
    except asyncpg.UndefinedTableError:
        return ""


class Membership:
    """Keeps this listener subscribed to its inbox while it can serve."""

    def __init__(self, bus: Bus, storage: Storage, channel: str, accept: Callable[[Sequence[Message]], None]) -> None:
        self._bus = bus
        self._storage = storage
        self._channel = channel
        self._accept = accept

    async def keep(self, stop: asyncio.Event, on_ready: Callable[[], Awaitable[None]]) -> None:
        """Runs until `stop`; then the channel is given up and what had arrived is accepted still."""
        back_off_s = FIRST_BACK_OFF_S
        while not stop.is_set():
            if not await self._ready(stop):
                continue
            await on_ready()
            try:
                await self._receive(stop)
                back_off_s = FIRST_BACK_OFF_S
            except (RedisError, OSError) as error:
                log.warning("Redis is away, retrying", error=f"{type(error).__name__}: {error}")
                await _sleep(back_off_s, stop)
                back_off_s = min(2 * back_off_s, LONGEST_BACK_OFF_S)
            finally:
                SUBSCRIBED.set(0)

    async def _ready(self, stop: asyncio.Event) -> bool:
        """Waits for PostgreSQL at the newest revision or a later one; False where `stop` came first."""
        revisions, checks = known_revisions(), 0
        while not stop.is_set():
            with contextlib.suppress(UnavailableError):
                found = await self._storage.attempt(database_revision)
                standing = revisions.standing(found)
                if standing is Standing.LATER:
                    log.warning("a newer release has migrated the database; serving still", database_revision=found)
                if standing.serves:
                    return True
                if checks % SAY_AGAIN_AFTER == 0:
                    log.error(
                        "the database is not migrated; run: alembic upgrade head",
                        database_revision=found or "none",
                        needed_revision=revisions.newest,
                    )
            checks += 1
            await _sleep(CHECK_EVERY_S, stop)
        return False

    async def _receive(self, stop: asyncio.Event) -> None:
        leave = asyncio.Event()
        watch = asyncio.create_task(self._leave_in_time(stop, leave))
        try:
            async for messages in self._bus.receive(self._channel, until=leave):
                if messages:
                    self._accept(messages)
                elif not leave.is_set():
                    SUBSCRIBED.set(1)
                    log.info("serving", channel=self._channel)
        finally:
            watch.cancel()

    async def _leave_in_time(self, stop: asyncio.Event, leave: asyncio.Event) -> None:
        while not stop.is_set() and self._storage.down_for_s() < PATIENCE_S:
            await _sleep(CHECK_EVERY_S, stop)
        if not stop.is_set():
            log.error("PostgreSQL stays away: gateways refuse charge points until it is back")
        leave.set()


async def _sleep(seconds: float, stop: asyncio.Event) -> None:
    """Until the time has passed or `stop` is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
