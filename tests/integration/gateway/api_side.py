"""The api as the gateway sees it: a small program that speaks wire over a real Redis. It commits nothing.

It answers like a listener and can be told to stay silent; what it received is kept in order.
"""

import asyncio
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from typing import TypeVar

from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from wire.channels import Channels
from wire.messages import (
    CallOutcome,
    ChargePointCall,
    Command,
    CommandOutcome,
    Connect,
    ConnectOutcome,
    Message,
    decode,
    encode,
)

KEY = b"0123456789abcdefghij"
WAIT_S = 20.0
M = TypeVar("M")


class ApiSide:
    """One listener. Charge point `CP1` has the id `id-CP1` and the key `KEY`, unless `identities` says otherwise."""

    def __init__(self, redis_url: str, prefix: str, name: str = "") -> None:
        self.redis = Redis.from_url(redis_url)
        self.channels = Channels(prefix)
        self.inbox = self.channels.listener_inbox(name or uuid.uuid4().hex)
        self.identities = {"CP1": KEY, "CP2": KEY}
        self.registration = "Accepted"
        self.quirks: list[str] = []
        self.heartbeat_interval_s = 300
        self.allow_no_subprotocol = False
        self.silent = False
        self.answers: dict[str, bytes] = {}
        self.received: list[Message] = []
        self._arrived = asyncio.Condition()
        self._subscription: PubSub | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Subscribes: from now on this listener is up."""
        self._subscription = self.redis.pubsub()
        await self._subscription.subscribe(self.inbox)
        confirmation = await self._subscription.get_message(timeout=WAIT_S)
        assert confirmation is not None
        self._task = asyncio.create_task(self._serve(self._subscription))

    async def stop(self) -> None:
        """Goes away as a killed listener does."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self._task
            self._task = None
        if self._subscription is not None:
            with suppress(Exception):
                await self._subscription.aclose()  # type: ignore[no-untyped-call]
            self._subscription = None
        with suppress(Exception):
            await self.redis.connection_pool.disconnect()

    async def close(self) -> None:
        """Stops, and closes the connections to Redis."""
        await self.stop()
        await self.redis.aclose()

    async def wait_for(self, kind: type[M], condition: Callable[[M], bool] = lambda _: True) -> M:
        """The first message of this kind that fits, of those received or yet to come."""
        async with asyncio.timeout(WAIT_S), self._arrived:
            while True:
                for message in self.received:
                    if isinstance(message, kind) and condition(message):
                        return message
                await self._arrived.wait()

    def calls(self, action: str) -> list[ChargePointCall]:
        """The CALLs of this action that arrived so far."""
        return [call for call in self.received if isinstance(call, ChargePointCall) and call.action == action]

    async def send(self, channel: str, *messages: Message) -> None:
        """Publishes to a gateway."""
        await self.redis.publish(channel, encode(messages))

    async def command(self, action: str = "ClearCache", payload: bytes = b"{}", **changes: object) -> Command:
        """Publishes a command to the gateway that holds CP1, as the registry says."""
        gateway, epoch = await self.holder("id-CP1")
        fields: dict[str, object] = {"id": str(uuid.uuid4()), "charge_point_id": "id-CP1", "epoch": epoch}
        fields |= {"action": action, "payload": payload, "deadline": time.time() + 60, "notify": "someone"}
        command = Command(**(fields | changes))  # type: ignore[arg-type]
        await self.send(self.channels.gateway_inbox(gateway), command)
        return command

    async def outcome(self, command: Command, status: str) -> CommandOutcome:
        """Waits for this outcome of a command."""
        return await self.wait_for(CommandOutcome, lambda one: one.id == command.id and one.status == status)

    async def holder(self, charge_point_id: str, at_least: int = 0) -> tuple[str, int]:
        """Waits until the registry names a gateway for this charge point; returns it and the epoch."""
        async with asyncio.timeout(WAIT_S):
            while True:
                gateway, epoch = await self.redis.hmget(self.channels.connection(charge_point_id), ["gateway", "epoch"])
                if gateway is not None and epoch is not None and int(epoch) >= at_least:
                    return (gateway.decode() if isinstance(gateway, bytes) else gateway), int(epoch)
                await asyncio.sleep(0.01)

    async def _serve(self, subscription: PubSub) -> None:
        async for item in subscription.listen():
            if item["type"] != "message":
                continue
            for message in decode(item["data"]):
                await self._take(message)

    async def _take(self, message: Message) -> None:
        async with self._arrived:
            self.received.append(message)
            self._arrived.notify_all()
        if self.silent:
            return
        if isinstance(message, Connect):
            await self.send(message.reply_to, await self._connect_outcome(message))
        elif isinstance(message, ChargePointCall):
            await self.send(message.reply_to, self._call_outcome(message))

    async def _connect_outcome(self, connect: Connect) -> ConnectOutcome:
        key = self.identities.get(connect.identity)
        if key is None:
            return ConnectOutcome(connect.id, "unknown_identity")
        if sha256(key).digest() not in connect.key_digests:
            return ConnectOutcome(connect.id, "wrong_key")
        if not connect.offered_subprotocol and not self.allow_no_subprotocol:
            return ConnectOutcome(connect.id, "no_subprotocol")
        epoch = await self.redis.incr(f"{self.channels.prefix}test-epochs")
        return ConnectOutcome(
            connect.id,
            "accepted",
            f"id-{connect.identity}",
            epoch,
            self.registration,
            self.heartbeat_interval_s,
            self.quirks,
        )

    def _call_outcome(self, call: ChargePointCall) -> CallOutcome:
        payload = self.answers.get(call.action, b"{}")
        if call.action == "BootNotification":
            self.registration = "Accepted"
            payload = b'{"currentTime":"2026-01-01T00:00:00Z","interval":300,"status":"Accepted"}'
            return CallOutcome(
                call.id, call.charge_point_id, payload, registration="Accepted", heartbeat_interval_s=300
            )
        return CallOutcome(call.id, call.charge_point_id, payload)
