"""The port for those who run the gateway: /metrics, /healthz and /readyz over plain HTTP. Nothing is changed by it.

One request a connection; charge points never come here.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus

REQUEST_TIMEOUT_S = 5.0
Answer = tuple[HTTPStatus, str, bytes]
TEXT = "text/plain; charset=utf-8"
METRICS = "text/plain; version=0.0.4; charset=utf-8"


class Operations:
    """Answers from functions that it is given."""

    def __init__(self, metrics: Callable[[], bytes], is_ready: Callable[[], str]) -> None:
        self._metrics = metrics
        self._is_ready = is_ready
        """Empty, or why not."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, for `asyncio.start_server`."""
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                status, kind, body = self._answer(head.split(b"\r\n", 1)[0].decode("latin-1").split(" "))
                lines = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\n"
                lines += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                writer.write(lines.encode() + body)
                await writer.drain()
        except (TimeoutError, OSError, EOFError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    def _answer(self, request_line: list[str]) -> Answer:
        if request_line[0] != "GET" or len(request_line) != 3:
            return HTTPStatus.METHOD_NOT_ALLOWED, TEXT, b"GET only\n"
        path = request_line[1].partition("?")[0]
        if path == "/metrics":
            return HTTPStatus.OK, METRICS, self._metrics()
        if path == "/healthz":
            return HTTPStatus.OK, TEXT, b"ok\n"
        if path == "/readyz":
            reason = self._is_ready()
            return (
                (HTTPStatus.SERVICE_UNAVAILABLE if reason else HTTPStatus.OK),
                TEXT,
                f"{reason or 'ready'}\n".encode(),
            )
        return HTTPStatus.NOT_FOUND, TEXT, b"/metrics, /healthz or /readyz\n"
