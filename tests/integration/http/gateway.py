"""A program that speaks the wire as gateway and listener do for a command: receives it, moves its row, notifies."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID, uuid4

import asyncpg
from redis.asyncio import Redis

from api.settings import Settings
from standalone.databases import DatabaseUrls
from wire.channels import Channels
from wire.messages import ChargePointChanged, Command, CommandOutcome, decode, encode

DEADLINE_S = 30.0


@dataclass
class Gateway:
    """Obeys commands with `answer`; None leaves them unanswered."""

    database: DatabaseUrls
    settings: Settings
    gateway_id: str = field(default_factory=lambda: uuid4().hex)
    answer: dict[str, Any] | None = field(default_factory=lambda: {"status": "Accepted"})
    notifies: bool = True
    commands: "asyncio.Queue[Command]" = field(default_factory=asyncio.Queue)
    changes: "asyncio.Queue[ChargePointChanged]" = field(default_factory=asyncio.Queue)

    async def __aenter__(self) -> Self:
        self.channels = Channels(self.settings.redis_prefix)
        self.redis = Redis.from_url(self.settings.redis_url.get_secret_value())
        self.sql = await asyncpg.connect(self.database.application)
        subscribed = asyncio.Event()
        self._task = asyncio.create_task(self._run(subscribed))
        await asyncio.wait_for(subscribed.wait(), DEADLINE_S)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.sql.close()
        await self.redis.aclose()

    async def connect(self, charge_point_id: str, epoch: int = 7) -> None:
        """The registry's entry of a connected charge point."""
        key = self.channels.connection(charge_point_id)
        await self.redis.hset(key, mapping={"gateway": self.gateway_id, "epoch": epoch, "since": time.time()})

    async def next_command(self) -> Command:
        return await asyncio.wait_for(self.commands.get(), DEADLINE_S)

    async def next_change(self) -> ChargePointChanged:
        return await asyncio.wait_for(self.changes.get(), DEADLINE_S)

    async def _run(self, subscribed: asyncio.Event) -> None:
        async with self.redis.pubsub() as pubsub:
            await pubsub.subscribe(self.channels.gateway_inbox(self.gateway_id))
            async for item in pubsub.listen():
                if item["type"] == "subscribe":
                    subscribed.set()
                    continue
                for message in decode(item["data"]):
                    if isinstance(message, Command):
                        self.commands.put_nowait(message)
                        if self.answer is not None:
                            await self.finish(message, self.answer)
                    elif isinstance(message, ChargePointChanged):
                        self.changes.put_nowait(message)

    async def finish(self, command: Command, answer: dict[str, Any]) -> None:
        """Moves the row by compare-and-set, and then says so."""
        status = "accepted" if answer["status"] == "Accepted" else "rejected"
        await self.sql.execute(
            """update commands set status = $2, response = $3, sent_at = $4, finished_at = $4
               where id = $1 and status in ('queued', 'sent')""",
            UUID(command.id),
            status,
            json.dumps(answer),
            datetime.now(UTC),
        )
        if self.notifies:
            sent, end = (
                CommandOutcome(command.id, command.charge_point_id, status=each, at=time.time(), notify=command.notify)
                for each in ("sent", "result")
            )
            await self.redis.publish(command.notify, encode([sent]))
            await self.redis.publish(command.notify, encode([end]))
