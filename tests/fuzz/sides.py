"""Both ends of a fuzzed gateway: charge points on raw sockets, and a listener that answers all they send."""

import asyncio
import json
import time
import uuid
from base64 import b64encode
from collections import Counter
from itertools import count
from typing import Any

from redis.asyncio import Redis

from tests.fuzz.frames import Frames
from wire.channels import Channels
from wire.messages import (
    CallOutcome,
    ChargePointCall,
    Command,
    CommandOutcome,
    Connect,
    ConnectOutcome,
    Disconnected,
    Message,
    decode,
    encode,
)
from wire.quirks import QUIRKS

ANSWER_DEADLINE_S = 60.0
BATCH = 8
"""Below what a gateway lets wait, and below the number of unreadable frames in a row that ends a connection."""
CODES = frozenset(
    {
        *("NotImplemented", "NotSupported", "InternalError", "ProtocolError", "SecurityError", "FormationViolation"),
        *("PropertyConstraintViolation", "OccurenceConstraintViolation", "TypeConstraintViolation", "GenericError"),
    }
)
COMMANDS = (
    ("GetConfiguration", b"{}"),
    ("Reset", b'{"type":"Soft"}'),
    ("GetCompositeSchedule", b'{"connectorId":1,"duration":60}'),
    ("TriggerMessage", b'{"requestedMessage":"Heartbeat"}'),
)


class Listener:
    """Lets everybody in, answers everything, and sends a command now and then."""

    def __init__(self, redis_url: str, prefix: str) -> None:
        self.counts: Counter[str] = Counter()
        self._redis = Redis.from_url(redis_url)
        self._channels = Channels(prefix)
        self._epochs = count(1)
        self._gateway = ""
        self._connected: dict[str, int] = {}

    async def serve(self, subscribed: asyncio.Event) -> None:
        """Runs for ever."""
        async with self._redis.pubsub() as subscription:
            await subscription.subscribe(self._channels.listener_inbox("fuzz"))
            async for item in subscription.listen():
                if item["type"] == "subscribe":
                    subscribed.set()
                elif item["type"] == "message":
                    await self._take(decode(item["data"]))

    async def close(self) -> None:
        """Closes the connections to Redis."""
        await self._redis.aclose()

    async def command(self) -> None:
        """One command to one of the charge points that are connected."""
        if not self._connected:
            return
        number = next(self._epochs)
        charge_point_id = list(self._connected)[number % len(self._connected)]
        action, payload = COMMANDS[number % len(COMMANDS)]
        epoch, deadline = self._connected[charge_point_id], time.time() + 5
        command = Command(str(uuid.uuid4()), charge_point_id, epoch, action, payload, deadline)
        await self._redis.publish(self._channels.gateway_inbox(self._gateway), encode([command]))

    async def _take(self, messages: list[Message]) -> None:
        answers: dict[str, list[Message]] = {}
        for message in messages:
            self.counts[type(message).__name__] += 1
            if isinstance(message, ChargePointCall):
                answers.setdefault(message.reply_to, []).append(_outcome(message))
            elif isinstance(message, Connect):
                answers.setdefault(message.reply_to, []).append(self._let_in(message))
            elif isinstance(message, Disconnected) and self._connected.get(message.charge_point_id) == message.epoch:
                del self._connected[message.charge_point_id]
            elif isinstance(message, CommandOutcome):
                self.counts[f"command {message.status}"] += 1
        for channel, batch in answers.items():
            await self._redis.publish(channel, encode(batch))

    def _let_in(self, connect: Connect) -> ConnectOutcome:
        """Half of them with every quirk; one in eight has not booted yet."""
        epoch, number = next(self._epochs), int(connect.identity.removeprefix("CP"))
        self._gateway = connect.gateway_id
        self._connected[connect.identity] = epoch
        registration = "" if number % 8 == 7 else "Accepted"
        quirks = list(QUIRKS) if number % 2 else []
        return ConnectOutcome(connect.id, "accepted", connect.identity, epoch, registration, 300, quirks)


def _outcome(call: ChargePointCall) -> CallOutcome:
    return CallOutcome(call.id, call.charge_point_id, b'{"status":"Accepted"}')


class FuzzingChargePoint:
    """One identity that sends what it is given, and demands that a Heartbeat among it is answered."""

    def __init__(self, number: int, port: int, frames: Frames) -> None:
        self.identity = f"CP{number}"
        self.counts: Counter[str] = Counter()
        self._port = port
        self._frames = frames
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._sentinels = count()

    async def send(self, total: int) -> None:
        """Sends `total` frames, over as many connections as that takes.

        Raises:
            AssertionError: the gateway did not answer in time, or answered what it must not.
        """
        sent = 0
        while sent < total:
            if self._writer is None:
                await self._connect()
            batch = [self._frames.next() for _ in range(min(BATCH, total - sent))]
            sent += len(batch)
            try:
                async with asyncio.timeout(ANSWER_DEADLINE_S):
                    await self._exchange(batch)
            except (OSError, EOFError):
                self.counts["connections ended"] += 1
                await self.leave()
            self.counts["frames"] += len(batch)

    async def leave(self) -> None:
        """Ends the connection."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None

    async def _connect(self) -> None:
        basic = b64encode(f"{self.identity}:0123456789abcdefghij".encode()).decode()
        lines = (
            *(f"GET /{self.identity} HTTP/1.1", "Host: x", "Upgrade: websocket", "Connection: Upgrade"),
            *("Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="),
            *("Sec-WebSocket-Protocol: ocpp1.6", f"Authorization: Basic {basic}", "", ""),
        )
        async with asyncio.timeout(ANSWER_DEADLINE_S):
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
            self._writer.write("\r\n".join(lines).encode())
            head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        self.counts["connections"] += 1

    async def _exchange(self, batch: list[bytes]) -> None:
        assert self._writer is not None
        sentinel = f"s{next(self._sentinels)}"
        texts = [_masked(frame) for frame in batch]
        if self._frames.chance(0.01):
            texts.append(self._frames.socket_bytes())
        self._writer.write(b"".join(texts) + _masked(b'[2,"%b","Heartbeat",{}]' % sentinel.encode()))
        await self._writer.drain()
        while (answer := await self._receive())[1] != sentinel:
            if answer[0] == 2:
                self._writer.write(_masked(self._frames.result(answer[1], answer[2])))

    async def _receive(self) -> list[Any]:
        """The next text of the gateway. Raises EOFError where it closes."""
        assert self._reader is not None
        while True:
            head = await self._reader.readexactly(2)
            length = head[1] & 0x7F
            if length == 126:
                length = int.from_bytes(await self._reader.readexactly(2))
            elif length == 127:
                length = int.from_bytes(await self._reader.readexactly(8))
            data = await self._reader.readexactly(length)
            if head[0] & 0x0F == 8:
                self.counts[f"close {int.from_bytes(data[:2])}"] += 1
                raise EOFError
            if head[0] & 0x0F == 1:
                return self._checked(json.loads(data))

    def _checked(self, answer: list[Any]) -> list[Any]:
        assert answer[0] in {2, 3, 4}, answer
        if answer[0] == 4:
            assert answer[2] in CODES, answer
            self.counts[answer[2]] += 1
        self.counts[f"type {answer[0]}"] += 1
        return answer


def _masked(text: bytes) -> bytes:
    """A text frame of a client; the mask of zeros changes nothing (RFC 6455 5.3)."""
    if len(text) < 126:
        return b"\x81" + bytes([0x80 | len(text)]) + b"\0\0\0\0" + text
    if len(text) < 65536:
        return b"\x81\xfe" + len(text).to_bytes(2) + b"\0\0\0\0" + text
    return b"\x81\xff" + len(text).to_bytes(8) + b"\0\0\0\0" + text
