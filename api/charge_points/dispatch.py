"""Sends committed commands to the gateway that holds the charge point, and waits for how they end.

The row is the truth; a notice only says that it is time to read it again, so that a lost one costs a second.
"""

import asyncio
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid4

import orjson
import structlog
from redis.exceptions import RedisError
from sqlalchemy import Row

from api.bus import Bus, LiveConnection
from api.charge_points import commands
from api.charge_points.command_state import in_schema_order
from api.database import Database
from wire.messages import Command, CommandOutcome, Message

log = structlog.get_logger(__name__)

RECHECK_S: Final = 2.0
"""A notice over pub/sub may be lost: the row is read again at least this often."""
RESUBSCRIBE_S: Final = 1.0


class Dispatcher:
    """One HTTP process's way to the gateways, and its one subscription to how commands end."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus
        self._inbox = bus.channels.http_inbox(uuid4().hex)
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._stopping = asyncio.Event()

    async def listen(self) -> None:
        """Receives notices until it is cancelled; subscribes again when Redis went away."""
        while True:
            try:
                async for batch in self._bus.receive(self._inbox):
                    self._wake(batch)
            except (RedisError, OSError) as error:
                log.warning("no notices from redis", error=type(error).__name__)
            await asyncio.sleep(RESUBSCRIBE_S)

    def stop_waiting(self) -> None:
        """Answers everybody who waits with the state of now: the process is about to end."""
        self._stopping.set()
        for events in self._waiting.values():
            for event in events:
                event.set()

    async def locate(self, charge_point_id: UUID) -> LiveConnection | None:
        """The connection of a charge point; None where it is offline.

        Raises:
            redis.RedisError: Redis is down.
        """
        return await self._bus.connection_of(str(charge_point_id))

    async def deliver(self, command_id: UUID, live: LiveConnection | None, wait_s: float) -> Row[Any]:
        """Publishes a committed command where that has not happened yet, and waits up to `wait_s` for its end."""
        event = asyncio.Event()
        self._waiting[str(command_id)].add(event)
        try:
            row = await self._read(command_id)
            if live is not None and row.status == "queued" and row.published_at is None:
                await self._publish(row, live)
                row = await self._read(command_id)
            return await self._wait(row, event, wait_s)
        finally:
            self._forget(str(command_id), event)

    async def _publish(self, row: Row[Any], live: LiveConnection) -> None:
        command = Command(
            id=str(row.id),
            charge_point_id=str(row.charge_point_id),
            epoch=row.epoch,
            action=row.action,
            payload=orjson.dumps(in_schema_order(row.action, row.payload)),
            deadline=row.deadline_at.timestamp(),
            notify=self._inbox,
        )
        try:
            receivers = await self._bus.publish(self._bus.channels.gateway_inbox(live.gateway_id), [command])
        except RedisError as error:
            # it may have arrived: the row stays queued until an outcome or its deadline ends it
            log.warning("command not published", command_id=command.id, error=type(error).__name__)
            return
        now = datetime.now(UTC)
        async with self._database.transaction() as connection:
            if receivers:
                await commands.mark_published(connection, row.id, now)
            else:
                await commands.end_as_offline(connection, row.id, "The gateway that held its connection is gone.", now)

    async def _wait(self, row: Row[Any], event: asyncio.Event, wait_s: float) -> Row[Any]:
        loop = asyncio.get_running_loop()
        end = loop.time() + wait_s
        while row.status in commands.OPEN and (left := end - loop.time()) > 0 and not self._stopping.is_set():
            try:
                async with asyncio.timeout(min(left, RECHECK_S)):
                    await event.wait()
            except TimeoutError:
                pass
            event.clear()
            row = await self._read(row.id)
        return row

    async def _read(self, command_id: UUID) -> Row[Any]:
        async with self._database.transaction() as connection:
            return await commands.read(connection, command_id)

    def _wake(self, batch: list[Message]) -> None:
        for message in batch:
            if isinstance(message, CommandOutcome) and message.status != "sent":
                for event in self._waiting.get(message.id, ()):
                    event.set()

    def _forget(self, command_id: str, event: asyncio.Event) -> None:
        events = self._waiting[command_id]
        events.discard(event)
        if not events:
            del self._waiting[command_id]
