"""TCP links between a process and a server, which a campaign holds, slows and cuts. What passes is shown to a tap."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from tests.faults.campaign.traps import KilledError, Tap

CHUNK_BYTES = 65536


class Link:
    """Listens on `port` of `host` and forwards each connection to `target`, both ways."""

    def __init__(
        self, target: tuple[str, int], tap: Callable[[], Tap] | None = None, *, host: str = "127.0.0.1"
    ) -> None:
        self.target, self.host, self.port = target, host, 0
        self.delay_s = 0.0
        self._tap = tap
        self._open = asyncio.Event()
        self._open.set()
        self._refuses = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self.host, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self.cut()

    def hold(self) -> None:
        """Nothing passes until `release`, as in a network that drops packets."""
        self._open.clear()

    def release(self) -> None:
        """What was held goes on."""
        self._open.set()
        self._refuses = False

    async def cut(self) -> None:
        """Ends every connection; what is on its way is lost."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def refuse(self) -> None:
        """Ends every connection and lets none through until `release`."""
        self._refuses = True
        await self.cut()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with suppress(OSError, asyncio.CancelledError, KilledError, ExceptionGroup):
            if not self._refuses:
                await self._join(reader, writer)
        writer.transport.abort()
        self._tasks.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(*self.target)
        tap = self._tap() if self._tap is not None else None
        before_server, after_server = (tap.before_server, tap.after_server) if tap else (_ignore, _nothing)
        before_process, after_process = (tap.before_process, tap.after_process) if tap else (_ignore, _nothing)
        try:
            there = asyncio.create_task(self._copy(reader, server_writer, before_server, after_server))
            back = asyncio.create_task(self._copy(server_reader, writer, before_process, after_process))
            try:
                await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
            finally:
                there.cancel()
                back.cancel()
                await asyncio.gather(there, back, return_exceptions=True)
        finally:
            server_writer.transport.abort()

    async def _copy(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        before: Callable[[bytes], None],
        after: Callable[[], None],
    ) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            await self._open.wait()
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            before(chunk)
            writer.write(chunk)
            await writer.drain()
            after()


def _ignore(_chunk: bytes) -> None:
    """Nobody watches."""


def _nothing() -> None:
    """Nobody watches."""
