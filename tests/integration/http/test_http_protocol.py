"""Where a request ends, byte by byte on a socket: nobody hides a second one in it (RFC 9112 6 and 11.2)."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import repeat
from typing import Final

import pytest
import uvicorn

from api.app import _uvicorn_config
from api.http_protocol import LARGEST_HEAD, MOST_PIPELINED
from tests.harness.framings import FRAMINGS
from tests.integration.http.site import Site

PATIENCE_S: Final = 10.0
HEALTH: Final = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
HIDDEN: Final = b"0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\nX-Rest: "
"""An empty body of chunks, and what stands behind it."""
HEADS: Final = {
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
    "a folded line": b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: a\r\n b\r\n\r\n",
    "no version": b"GET /healthz\r\n\r\n",
    "another version": b"GET /healthz HTTP/2.0\r\nHost: x\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 32,
    "a name with a bracket": b"GET /healthz HTTP/1.1\r\nHost: x\r\nX(A: a\r\n\r\n",
    "no name": b"GET /healthz HTTP/1.1\r\nHost: x\r\n: a\r\n\r\n",
    "no colon": b"GET /healthz HTTP/1.1\r\nHost: x\r\nXA\r\n\r\n",
    "a path that is not ASCII": b"GET /\xe9 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a NUL in the path": b"GET /a\x00b HTTP/1.1\r\nHost: x\r\n\r\n",
    "a space before the method": b" GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
}
BODIES: Final = {
    "a size with a sign": b"+2\r\n{}\r\n0\r\n\r\n",
    "a size with 0x": b"0x2\r\n{}\r\n0\r\n\r\n",
    "a size of 68 bits": b"fffffffffffffff02\r\n{}\r\n0\r\n\r\n",
    "a line feed alone behind the size": b"2\n{}\r\n0\r\n\r\n",
    "a line feed alone behind the data": b"2\r\n{}\n0\r\n\r\n",
    "more than the size says": b"2\r\n{}{}\r\n0\r\n\r\n",
    "a line feed in an extension": b"2;a\nb\r\n{}\r\n0\r\n\r\n",
    "a length among the trailers": b"2\r\n{}\r\n0\r\nContent-Length: 9\r\n\r\n",
}
POST: Final = b"POST /api/v1/auth/refresh HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


class Wire:
    """One connection to the process."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def statuses(self) -> list[int]:
        """Of all answers until the process closes."""
        async with asyncio.timeout(PATIENCE_S):
            answers = await self.reader.read()
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)]

    async def one(self) -> bytes:
        """The next answer that says how long it is."""
        async with asyncio.timeout(PATIENCE_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            return head + await self.reader.readexactly(int(length[1]) if length else 0)


class Process:
    """What listens."""

    def __init__(self, port: int) -> None:
        self.port = port

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[Wire]:
        """A connection of its own."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Wire(reader, writer)
        finally:
            writer.close()

    async def answers(self, request: bytes) -> list[int]:
        """The statuses of all answers to what ends with the connection."""
        async with self.wire() as wire:
            await wire.say(request)
            return await wire.statuses()


@pytest.fixture
async def process(site: Site) -> AsyncIterator[Process]:
    """The service behind a socket, as its process serves it."""
    config = _uvicorn_config(site.app, site.settings)
    config.lifespan = "off"  # the site began already
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        yield Process(listener.getsockname()[1])
        server.should_exit = True
        await serving


async def test_what_hides_a_second_request_is_refused_and_ends_the_connection(process: Process) -> None:
    for name, framing in FRAMINGS.items():
        request = POST + framing % len(HIDDEN) + b"\r\n" + HIDDEN
        assert await process.answers(request) == [400], name


async def test_a_head_that_is_none_is_refused(process: Process) -> None:
    for name, head in HEADS.items():
        assert await process.answers(head) == [400], name


async def test_chunks_that_are_none_are_refused(process: Process) -> None:
    for name, body in BODIES.items():
        answers = await process.answers(POST + b"Transfer-Encoding: chunked\r\n\r\n" + body)
        assert answers[-1:] == [400], name


async def test_what_is_right_is_answered_on_one_connection(process: Process) -> None:
    bodies = (b"Content-Length: 2\r\n\r\n{}", b"Transfer-Encoding: CHUNKED\r\n\r\n1;a=b\r\n{\r\n1\r\n}\r\n0\r\n\r\n")
    async with process.wire() as wire:
        for body in bodies * 2:
            await wire.say(POST + body)
            assert (await wire.one()).startswith(b"HTTP/1.1 422 ")
        for byte in HEALTH:
            await wire.say(bytes([byte]))
        assert (await wire.one()).startswith(b"HTTP/1.1 200 ")
        await wire.say(HEALTH * MOST_PIPELINED)
        for _ in range(MOST_PIPELINED):
            assert (await wire.one()).startswith(b"HTTP/1.1 200 ")


async def test_trailers_are_no_headers(process: Process) -> None:
    async with process.wire() as wire:
        body = b"2\r\n{}\r\n0\r\nX-Request-Id: from-the-trailers\r\n\r\n"
        await wire.say(POST + b"Transfer-Encoding: chunked\r\n\r\n" + body)
        answer = await wire.one()
    assert answer.startswith(b"HTTP/1.1 422 ")
    assert b"from-the-trailers" not in answer


async def test_nothing_is_read_behind_a_switch_of_protocols_that_does_not_happen(process: Process) -> None:
    for protocol in (b"h2c", b"websocket"):
        upgrade = b"Connection: Upgrade\r\nUpgrade: " + protocol + b"\r\nHost"
        assert await process.answers(HEALTH.replace(b"Host", upgrade) + HEALTH) == [200]


async def test_what_never_ends_is_not_kept(process: Process) -> None:
    chunked = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    for name, begin, more in (
        ("a path", b"GET /", b"a" * 4096),
        ("a header", b"GET /healthz HTTP/1.1\r\nX-A: ", b"a" * 4096),
        ("headers", b"GET /healthz HTTP/1.1\r\n", b"X-A: aaaa\r\n" * 400),
        ("an extension", chunked + b"2;", b"a" * 4096),
        ("trailers", chunked + b"2\r\n{}\r\n0\r\n", b"X-A: aaaa\r\n" * 400),
        ("a size", chunked, b"0" * 4096),
    ):
        assert await _taken(process, begin, repeat(more, 1000)) < 1000 * 4096, name


async def test_requests_that_wait_for_each_other_have_a_bound(process: Process) -> None:
    assert await _taken(process, b"", repeat(HEALTH * 100, 1000)) < 1000 * 100 * len(HEALTH)


async def _taken(process: Process, begin: bytes, pieces: Iterator[bytes]) -> int:
    """How much could be sent before the process closed."""
    sent = 0
    async with process.wire() as wire, asyncio.timeout(PATIENCE_S):
        try:
            for piece in (begin, *pieces):
                await wire.say(piece)
                sent += len(piece)
                if wire.reader.at_eof():
                    break
                await asyncio.sleep(0)
        except ConnectionError:
            pass
    return sent


def test_the_bounds_are_those_of_h11() -> None:
    assert LARGEST_HEAD == 64 * 1024
