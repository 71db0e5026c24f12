"""Sends committed commands to the gateway that holds the charge point, and waits for how they end.

The row is the truth; a notice only says that it is time to read it again, so that a lost one costs a second.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid4

import structlog
from redis.exceptions import RedisError
from sqlalchemy import Row

from api.bus import Bus, LiveConnection
from api.charge_points import commands
from api.charge_points.call_schemas import encode_payload
from api.charge_points.command_state import OPEN
from api.database import Database
from wire.messages import Command, CommandOutcome, Message

log = structlog.get_logger(__name__)

RECHECK_S: Final = 2.0
"""A notice over pub/sub may be lost: the row is read again at least this often."""
RESUBSCRIBE_S: Final = 1.0
BATCH: Final = 200
"""Commands in one message to a gateway."""


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

    async def locate_many(self, charge_point_ids: Sequence[UUID]) -> dict[UUID, LiveConnection]:
        """The connections of those that are online.

        Raises:
            redis.RedisError: Redis is down.
        """
        found = await self._bus.connections_of([str(each) for each in charge_point_ids])
        return {UUID(each): connection for each, connection in found.items()}

    async def deliver(
        self, command_id: UUID, live: LiveConnection | None, wait_s: float, secret: dict[str, Any] | None = None
    ) -> Row[Any]:
        """Publishes a committed command where that has not happened yet, and waits up to `wait_s` for its end.

        `secret` leaves in the place of the stored payload; its row counts as published from the start.
        """
        event = asyncio.Event()
        self._waiting[str(command_id)].add(event)
        try:
            row = await self._read(command_id)
            is_new = row.published_at is None or secret is not None
            if live is not None and row.status == "queued" and is_new:
                await self._publish([row], live.gateway_id, secret)
                row = await self._read(command_id)
            return await self._wait(row, event, wait_s)
        finally:
            self._forget(str(command_id), event)

    async def deliver_many(self, command_ids: Sequence[UUID], lives: Mapping[UUID, LiveConnection]) -> None:
        """Publishes committed commands to many charge points, few at a time; nobody waits for how they end."""
        for start in range(0, len(command_ids), BATCH):
            async with self._database.transaction() as connection:
                rows = await commands.read_many(connection, command_ids[start : start + BATCH])
            by_gateway: defaultdict[str, list[Row[Any]]] = defaultdict(list)
            for row in rows:
                if row.status == "queued" and row.published_at is None and row.charge_point_id in lives:
                    by_gateway[lives[row.charge_point_id].gateway_id].append(row)
            for gateway_id, its_rows in by_gateway.items():
                await self._publish(its_rows, gateway_id)

    async def _publish(self, rows: Sequence[Row[Any]], gateway_id: str, secret: dict[str, Any] | None = None) -> None:
        messages: list[Message] = [self._command(row, secret) for row in rows]
        try:
            receivers = await self._bus.publish(self._bus.channels.gateway_inbox(gateway_id), messages)
        except RedisError as error:
            # they may have arrived: the rows stay queued until an outcome or their deadline ends them
            log.warning("commands not published", count=len(rows), error=type(error).__name__)
            return
        now, ids = datetime.now(UTC), [row.id for row in rows]
        async with self._database.transaction() as connection:
            if receivers:
                await commands.mark_published(connection, ids, now)
            else:
                await commands.end_as_offline(connection, ids, "The gateway that held its connection is gone.", now)

    def _command(self, row: Row[Any], secret: dict[str, Any] | None) -> Command:
        return Command(
            id=str(row.id),
            charge_point_id=str(row.charge_point_id),
            epoch=row.epoch,
            action=row.action,
            payload=encode_payload(row.action, secret or row.payload),
            deadline=row.deadline_at.timestamp(),
            notify=self._inbox,
        )

    async def _wait(self, row: Row[Any], event: asyncio.Event, wait_s: float) -> Row[Any]:
        loop = asyncio.get_running_loop()
        end = loop.time() + wait_s
        while row.status in OPEN and (left := end - loop.time()) > 0 and not self._stopping.is_set():
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
