"""What is watched from outside while the stack is overloaded: inboxes, memory, metrics, and a stream nobody reads."""

import asyncio
import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import psutil
from redis.asyncio import Redis

from tests.faults.campaign.stage import Slot, Stage
from wire.messages import ChargePointCall, decode

SAMPLE_EVERY_S: Final = 0.25


@dataclass
class Inboxes:
    """The CALLs that gateways send to listeners, each by its first attempt, in the order of each gateway and inbox."""

    order: dict[tuple[str, str], list[ChargePointCall]] = field(default_factory=lambda: defaultdict(list))
    _seen: set[str] = field(default_factory=set)

    def take(self, inbox: str, data: bytes) -> None:
        """One PUBLISH."""
        for message in decode(data):
            if isinstance(message, ChargePointCall) and message.id not in self._seen:
                self._seen.add(message.id)
                self.order[message.reply_to, inbox].append(message)


@asynccontextmanager
async def overhearing(stage: Stage) -> AsyncIterator[Inboxes]:
    """Subscribes to the inboxes of all listeners."""
    inboxes = Inboxes()
    async with Redis.from_url(stage.servers.redis.url) as redis, redis.pubsub() as subscription:
        names = await redis.pubsub_channels(stage.stack.channels.listener_inboxes)
        await subscription.subscribe(*names)

        async def listen() -> None:
            async for item in subscription.listen():
                if item["type"] == "message":
                    inboxes.take(item["channel"].decode(), item["data"])

        task = asyncio.create_task(listen())
        try:
            yield inboxes
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@dataclass
class Memory:
    """Resident memory of the processes in MiB, by name: when it began, and at its highest."""

    began: dict[str, float] = field(default_factory=dict)
    highest: dict[str, float] = field(default_factory=dict)

    def weigh(self, slots: list[Slot]) -> None:
        """Now."""
        for slot in slots:
            if slot.service is None or not slot.is_alive:
                continue
            mib = psutil.Process(slot.service.process.pid).memory_info().rss / 2**20
            self.began.setdefault(slot.name, mib)
            self.highest[slot.name] = max(self.highest.get(slot.name, 0.0), mib)

    async def watch(self, slots: list[Slot]) -> None:
        """For ever."""
        while True:
            self.weigh(slots)
            await asyncio.sleep(SAMPLE_EVERY_S)


async def metric(slots: list[Slot], name: str) -> float:
    """The sum of one metric over processes; `name` with its labels."""
    texts = [await _metrics(urlsplit(slot.ready_url).port or 0) for slot in slots]
    lines = [line for text in texts for line in text.splitlines() if line.startswith(f"{name} ")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def _metrics(port: int) -> str:
    """Without a library, whose client costs more than what it asks."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    return text


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """SIGSTOP for a process and those it started, until the block ends."""
    parent = psutil.Process(pid)
    family = [parent, *parent.children(recursive=True)]
    _each(family, "suspend")
    try:
        yield
    finally:
        _each(family, "resume")


def _each(family: list[psutil.Process], act: str) -> None:
    for member in family:
        with suppress(psutil.NoSuchProcess):
            getattr(member, act)()


@asynccontextmanager
async def deaf_stream(port: int, authorization: str) -> AsyncIterator[None]:
    """Asks for the event stream, and never reads a byte of it."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_connect(client, ("127.0.0.1", port))
        request = f"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n\r\n"
        await loop.sock_sendall(client, request.encode())
        yield
    finally:
        with suppress(OSError):
            client.close()
