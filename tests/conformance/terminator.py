"""A TLS terminator in front of the gateway, forwarding what a reverse proxy forwards: scheme and client certificate.

It replaces the headers that only a proxy may set, and understands nothing else of what passes.
"""

import asyncio
import ssl
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

from cryptography import x509

from tests.conformance import pki

CHUNK_BYTES = 65536
OWN_HEADERS = ("x-forwarded-", "x-client-")
WITHOUT_CERTIFICATE = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7", "X-Client-Verify": "NONE"}


class Terminator:
    """Takes TLS connections on `port` and forwards them to the gateway at `target`."""

    def __init__(self, target: str, context: ssl.SSLContext) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname, parts.port)
        self._context = context
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Where charge points connect."""
        return f"wss://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with suppress(OSError, asyncio.CancelledError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            gateway_reader, gateway_writer = await asyncio.open_connection(*self._target)
            gateway_writer.write(_with_headers(head, writer.get_extra_info("ssl_object")))
            back = asyncio.create_task(_copy(gateway_reader, writer))
            try:
                await _copy(reader, gateway_writer)
            finally:
                back.cancel()
                gateway_writer.transport.abort()
        writer.transport.abort()
        self._tasks.discard(task)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, asyncio.CancelledError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()


def _with_headers(head: bytes, connection: ssl.SSLObject) -> bytes:
    lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    lines = [line for line in lines if not line.lower().startswith(OWN_HEADERS)]
    der = connection.getpeercert(binary_form=True)
    own = WITHOUT_CERTIFICATE if der is None else pki.proxy_headers(x509.load_der_x509_certificate(der))
    lines += [f"{name}: {value}" for name, value in own.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
