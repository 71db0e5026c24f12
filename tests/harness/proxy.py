"""A TCP proxy between two parts of the stack that a test can hold or cut, as a network does. Nothing is understood."""

import asyncio
from contextlib import suppress
from typing import Self

CHUNK_BYTES = 65536


class Proxy:
    """Forwards connections to (`host`, `port`); `port` of its own once entered."""

    def __init__(self, target_host: str, target_port: int) -> None:
        self.target = (target_host, target_port)
        self.port = 0
        self._open = asyncio.Event()
        self._open.set()
        self._held_bytes = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self.cut()

    def hold(self) -> None:
        """From now on what clients send stays here; what the server sends still reaches them."""
        self._open.clear()

    @property
    def held_bytes(self) -> int:
        """How much is being held back."""
        return self._held_bytes

    async def cut(self) -> None:
        """Ends every connection, throws away what is held, and lets new connections through."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._held_bytes = 0
        self._open.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with suppress(OSError, asyncio.CancelledError):
            server_reader, server_writer = await asyncio.open_connection(*self.target)
            back = asyncio.create_task(self._copy(server_reader, writer))
            try:
                await self._forward(reader, server_writer)
            finally:
                back.cancel()
                server_writer.transport.abort()
        writer.transport.abort()
        self._tasks.discard(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK_BYTES):
            if not self._open.is_set():
                self._held_bytes += len(data)
                await self._open.wait()
            writer.write(data)
            await writer.drain()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):
            while data := await reader.read(CHUNK_BYTES):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
