"""One process of the flood: charge points that send MeterValues without a pause, and come back whatever happens.

One JSON order a line in, one JSON result a line out. A message is sent again until it is answered, as a wallbox does.
The payloads and the WebSocket are the benchmark's, so that it costs little.
"""

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import orjson

from bench.traffic import BOOT, IDLE_CONNECTOR, Wallbox, identity, meter_values
from bench.websocket import Link, RefusedError, upgrade

COME_BACK_S: Final = (0.2, 1.5)
"""Sooner than any real one, so that a storm is one."""
CONNECTING_AT_ONCE: Final = 50
PATIENCE_S: Final = 120.0
PUSHED: Final = b'[2,"%d","DataTransfer",{"vendorId":"Pushy","data":"%b"}]'
PUSHED_BYTES: Final = 60_000
PUSHED_FRAMES: Final = 100


class ChargePoint:
    """Keeps its place: connected, booted, with one message on its way while the flood talks."""

    def __init__(self, flood: "Flood", wallbox: Wallbox) -> None:
        self.wallbox = wallbox
        self.acknowledged = 0
        self.link: Link | None = None
        self.lost = asyncio.Event()
        self._flood = flood
        self._booted = False
        self._message = b""
        self._sent = 0
        self._is_answered = True

    async def live(self) -> None:
        """For ever."""
        while True:
            try:
                await self._come()
                await self.lost.wait()
            except RefusedError as refused:
                self._flood.refusals[str(refused.status)] += 1
                self._flood.pauses_s.add(refused.retry_after_s)
            except OSError:
                self._flood.refusals["no connection"] += 1
            self.link = None
            await asyncio.sleep(self._flood.random.uniform(*COME_BACK_S))

    async def _come(self) -> None:
        self.lost.clear()
        name, loop = identity(self.wallbox.number), asyncio.get_running_loop()
        request = upgrade(name, name, self._flood.key)
        async with self._flood.connecting:
            _, link = await loop.create_connection(
                lambda: Link(request, self._heard, self.lost.set), "127.0.0.1", self._flood.port
            )
            await link.opened
        self.link, self._is_answered = link, True
        self.speak()

    def speak(self) -> None:
        """Boots first; then the message that has no answer yet, or the next one while the flood talks."""
        if self.link is None or not self._is_answered:
            return
        if not self._booted:
            self._send(b"BootNotification", BOOT)
            return
        if not self._message and self._flood.talks(self):
            self._message = meter_values(self.wallbox, IDLE_CONNECTOR, 0)[1]
        if self._message:
            self._send(b"MeterValues", self._message)

    def _send(self, action: bytes, payload: bytes) -> None:
        self._sent += 1
        self._is_answered = False
        assert self.link is not None
        self.link.send(b'[2,"%d","%b",%b]' % (self._sent, action, payload))

    def _heard(self, text: bytes) -> None:
        if text.startswith(b"[2,"):
            self._refuse_command(orjson.loads(text)[1])
            return
        if not text.startswith(b'[3,"%d"' % self._sent):
            self._flood.errors[text[:80].decode(errors="replace")] += 1
            return
        self._is_answered = True
        if not self._booted:
            self._booted = True
        else:
            self._message = b""
            self.acknowledged += 1
            self._flood.answers.append(time.monotonic())
        self.speak()

    def _refuse_command(self, message_id: str) -> None:
        if self.link is not None:
            self.link.send(b'[4,%b,"NotImplemented","",{}]' % orjson.dumps(message_id))

    @property
    def rests(self) -> bool:
        """Connected, with nothing left to be answered."""
        return self.link is not None and self._booted and not self._message

    @property
    def is_connected(self) -> bool:
        """Whether the handshake is over."""
        return self.link is not None


class Pushy:
    """Connects with the others; when it is let loose it sends large messages without waiting, and reads nothing."""

    def __init__(self, flood: "Flood", number: int) -> None:
        self._flood, self._number = flood, number
        self.is_connected = False

    async def live(self) -> None:
        """For ever; where the gateway cuts it, it comes again."""
        while True:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._push()
            self.is_connected = False
            await asyncio.sleep(self._flood.random.uniform(*COME_BACK_S))

    async def _push(self) -> None:
        name = identity(self._number)
        reader, writer = await asyncio.open_connection("127.0.0.1", self._flood.port, limit=1024)
        link = Link(b"", lambda _: None, lambda: None)
        try:
            writer.write(upgrade(name, name, self._flood.key))
            if b" 101 " not in await reader.readuntil(b"\r\n\r\n"):
                return
            self.is_connected = True
            await self._flood.loose.wait()
            link.connection_made(writer.transport)
            link.send(b'[2,"boot","BootNotification",%b]' % BOOT)
            for number in range(PUSHED_FRAMES):
                link.send(PUSHED % (number, b"x" * PUSHED_BYTES))
                await writer.drain()
            await asyncio.Event().wait()
        finally:
            writer.transport.abort()


class Flood:
    """The charge points of this process. `orders` by name."""

    def __init__(self, *, port: int, key: str, first: int, count: int, pushy: int, clock_ms: int, seed: int) -> None:
        self.port, self.key = port, key
        self.random = random.Random(seed)
        self.connecting = asyncio.Semaphore(CONNECTING_AT_ONCE)
        self.refusals: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.pauses_s: set[int] = set()
        self.loose = asyncio.Event()
        self.answers: list[float] = []
        self.charge_points = [ChargePoint(self, Wallbox(number, clock_ms)) for number in range(first, first + count)]
        self._pushy = [Pushy(self, number) for number in range(first + count, first + count + pushy)]
        self._talking: set[ChargePoint] = set()
        self._tasks: list[asyncio.Task[None]] = []

    def talks(self, charge_point: ChargePoint) -> bool:
        """Whether it has anything to say."""
        return charge_point in self._talking

    async def connect(self) -> dict[str, Any]:
        """All of them, booted and quiet."""
        self._tasks = [asyncio.create_task(one.live()) for one in self.charge_points]
        self._tasks += [asyncio.create_task(one.live()) for one in self._pushy]
        return await self._until(lambda: self.all_rest and all(one.is_connected for one in self._pushy))

    async def talk(self, *, count: int, seconds: float) -> dict[str, Any]:
        """So many go on sending from now on; returns after a while, and they do not stop."""
        self._talking = set(self.charge_points[:count])
        self.answers.clear()
        for one in self._talking:
            one.speak()
        await asyncio.sleep(seconds)
        return self.report()

    async def push(self) -> dict[str, Any]:
        """Lets those loose that do not wait and do not read."""
        self.loose.set()
        return self.report()

    async def storm(self, *, seconds: float) -> dict[str, Any]:
        """Half of them lose their connections at once."""
        for one in self.random.sample(self.charge_points, len(self.charge_points) // 2):
            if one.link is not None:
                one.link.close()
        await asyncio.sleep(seconds)
        return self.report()

    async def hush(self) -> dict[str, Any]:
        """Nobody says anything new; returns when all are connected again and all that was said is answered."""
        self._talking.clear()
        for task in self._tasks[len(self.charge_points) :]:
            task.cancel()
        return await self._until(lambda: self.all_rest)

    @property
    def all_rest(self) -> bool:
        """Whether all are connected and served."""
        return all(one.rests for one in self.charge_points)

    async def _until(self, condition: Callable[[], bool]) -> dict[str, Any]:
        began = time.monotonic()
        while not condition() and time.monotonic() < began + PATIENCE_S:  # noqa: ASYNC110 - hundreds, and no event in each
            await asyncio.sleep(0.02)
        return self.report() | {"took_s": time.monotonic() - began}

    def report(self) -> dict[str, Any]:
        """What has come of it so far."""
        return {
            "acknowledged": {identity(one.wallbox.number): one.acknowledged for one in self.charge_points},
            "answered": len(self.answers),
            "connected": sum(one.is_connected for one in self.charge_points),
            "resting": sum(one.rests for one in self.charge_points),
            "refusals": dict(self.refusals),
            "errors": dict(self.errors),
            "pauses_s": sorted(self.pauses_s),
        }


async def main() -> None:
    """Obeys until standard input ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    flood = Flood(**orjson.loads(await reader.readline()))
    orders: dict[str, Callable[..., Awaitable[dict[str, Any]]]] = {
        "connect": flood.connect,
        "talk": flood.talk,
        "push": flood.push,
        "storm": flood.storm,
        "hush": flood.hush,
    }
    while line := await reader.readline():
        order = orjson.loads(line)
        result = await orders[order.pop("do")](**order)
        sys.stdout.buffer.write(orjson.dumps(result) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    asyncio.run(main())
