"""Keeps one process's hub fed: new events from PostgreSQL, live readings from Redis, and who may go on listening.

One subscription to Redis for the whole process. What Redis does not say is read a second later all the same.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import structlog
from redis.exceptions import RedisError

from api.bus import Bus
from api.database import Database
from api.errors import DatabaseAway
from api.events import history, notices
from api.events.audience import readers
from api.events.catalogue import server_sent
from api.events.hub import Hub, Subscriber
from api.events.live_sessions import read_costs, read_updates, readers_of, running_sessions
from api.identity.operations import standing_sessions

log = structlog.get_logger(__name__)

LOOK_EVERY_S: Final = 1.0
UPDATE_EVERY_S: Final = 1.0
"""At most one live update a session in this time."""
CHECK_EVERY_S: Final = 2.0
"""A stream of a log-in that was revoked ends within this time."""
RESUBSCRIBE_S: Final = 1.0
MOST_REPLAYS: Final = 4
"""Streams that catch up at the same time; the others wait for their turn."""


class Feed:
    """The tasks behind the event streams of one HTTP process."""

    def __init__(self, database: Database, bus: Bus, hub: Hub) -> None:
        self.hub = hub
        self.is_ready = False
        self._database = database
        self._bus = bus
        self._woken = asyncio.Event()
        self._metered: set[str] = set()
        self._replays = asyncio.Semaphore(MOST_REPLAYS)

    def start(self) -> list[asyncio.Task[None]]:
        """The tasks, which run for ever."""
        return [
            asyncio.create_task(self._listen(), name="event notices"),
            asyncio.create_task(self._follow(), name="events"),
            asyncio.create_task(_every(UPDATE_EVERY_S, self._update), name="live updates"),
            asyncio.create_task(_every(CHECK_EVERY_S, self._check), name="standing sessions"),
        ]

    async def missed(self, subscriber: Subscriber, after: int, until: int) -> list[bytes] | None:
        """What a subscriber missed and may read now; None where it must begin anew.

        Raises:
            DatabaseAway: PostgreSQL does not answer.
        """
        async with self._replays, self._database.long_reading() as connection:
            events = await history.read_missed(connection, after, until)
            if events is None:
                return None
            wanted = [each for each in events if subscriber.wanted.takes(each.type, each.charge_point_id)]
            seen = await history.seen_now(connection, wanted, datetime.now(UTC))
        caller = subscriber.caller
        return [
            server_sent(event.type, event.envelope(), event.position)
            for event in wanted
            if caller.is_operator or caller.user_id in readers(event, seen)
        ]

    async def _listen(self) -> None:
        while True:
            try:
                async for charge_point_ids in notices.receive(self._bus):
                    if len(self.hub):
                        self._metered.update(charge_point_ids)
                    if not charge_point_ids:
                        self._woken.set()
            except (RedisError, OSError) as error:
                log.warning("no event notices from redis", error=type(error).__name__)
            await asyncio.sleep(RESUBSCRIBE_S)

    async def _follow(self) -> None:
        while True:
            try:
                while await self._advance():
                    pass
                self.is_ready = True
            except DatabaseAway as error:
                log.warning("no events from the database", error=str(error.__cause__))
            except Exception:
                log.exception("an event could not be handed on")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._woken.wait()
            self._woken.clear()

    async def _advance(self) -> bool:
        """Hands on one batch; whether there may be more."""
        async with self._database.reading() as connection:
            if not len(self.hub):
                newest = await history.newest_position(connection)
                if not len(self.hub):
                    self.hub.position = newest
                    return False
            events = await history.read_after(connection, self.hub.position)
            seen = await history.seen_now(connection, events, datetime.now(UTC))
        self.hub.tell(events, seen)
        return len(events) == history.BATCH

    async def _update(self) -> None:
        metered, self._metered = self._metered, set()
        if not metered or not len(self.hub):
            return
        version, now = self.hub.position, datetime.now(UTC)
        async with self._database.long_reading() as connection:
            sessions = await running_sessions(connection, [UUID(each) for each in metered])
            watched = (each for each in sessions if self.hub.has_any(readers_of(each)))
            costs = await read_costs(connection, watched, now)
        if not sessions:
            return
        for update in await read_updates(self._bus.redis, self._bus.channels, sessions, costs, now):
            self.hub.tell_live(update, now, version)

    async def _check(self) -> None:
        if not len(self.hub):
            return
        session_ids = {subscriber.caller.session_id for subscriber in self.hub.all()}
        async with self._database.transaction() as connection:
            standing = await standing_sessions(connection, session_ids)
        now = datetime.now(UTC)
        for subscriber in self.hub.all():
            caller = subscriber.caller
            stands = caller.session_id not in session_ids or standing.get(caller.session_id) == caller.role
            if not stands or subscriber.ends_at <= now:
                subscriber.end()


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except (DatabaseAway, RedisError, OSError) as error:
            log.debug("events wait for a server", error=type(error).__name__)
        except Exception:
            log.exception("a task of the event streams failed")
