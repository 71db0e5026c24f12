"""What surrounds every request: its id, the limit on its body, security headers, its log line and its metrics.

Plain ASGI, outermost of our code: whatever fails inside is answered here, and nothing about it leaks.
"""

import re
import time
from collections.abc import Sequence
from typing import Final
from uuid import uuid4

import structlog
from prometheus_client import CollectorRegistry, Histogram
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import ApiError, InternalError, TooLarge
from api.problems import problem_response

log = structlog.get_logger(__name__)

LARGEST_BODY: Final = 1024 * 1024
FILE_PATHS: Final = ("/files/upload/", "/api/v1/firmware")
"""Bodies that are written to disk as they come; their limit is LARGEST_FILE_MIB, with room for a form around it."""
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
REQUEST_ID_HEADER: Final = b"x-request-id"
SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
"""Where the answer has the header already, it stays: the docs have a policy of their own."""
OVER_TLS: Final = (*SECURITY_HEADERS, (b"strict-transport-security", b"max-age=31536000"))
"""RFC 6797 7.2: never over plain HTTP; a trusted proxy says which it was."""
QUIET: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines: not worth a log line while they succeed."""


def make_duration_metric(registry: CollectorRegistry) -> Histogram:
    """Durations by method, route template and status; never by path, which has no bound."""
    return Histogram(
        "voltuj_http_request_duration_seconds",
        "Time from the request's head to the end of its answer.",
        ("method", "route", "status"),
        registry=registry,
    )


class Envelope:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, durations: Histogram, largest_file: int) -> None:
        self.app = app
        self.largest_file = largest_file
        self.durations = durations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sent = dict(reversed(scope["headers"]))  # of several the first
        request_id = _request_id(sent.get(REQUEST_ID_HEADER, b"").decode("latin-1"))
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        answer = _Answer(send, request_id, OVER_TLS if scope["scheme"] == "https" else SECURITY_HEADERS)
        began = time.perf_counter()
        try:
            await self._answer(scope, receive, answer, _length(sent.get(b"content-length", b"0")))
        finally:
            self._record(scope, answer.status, time.perf_counter() - began)

    async def _answer(self, scope: Scope, receive: Receive, answer: "_Answer", announced: int) -> None:
        try:
            limit = self.largest_file if scope["path"].startswith(FILE_PATHS) else LARGEST_BODY
            if announced > limit:
                raise TooLarge(f"The body is larger than {limit} bytes.")
            await self.app(scope, _Limited(receive, limit).receive, answer.send)
        except ApiError as error:
            await self._fail(error, scope, receive, answer)
        except Exception:
            log.exception("request failed", path=scope["path"])
            await self._fail(InternalError(), scope, receive, answer)

    async def _fail(self, error: ApiError, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        if answer.status:
            raise error  # half an answer is out: the connection must end, not look complete
        await problem_response(error, scope["path"], answer.request_id)(scope, receive, answer.send)

    def _record(self, scope: Scope, status: int, duration_s: float) -> None:
        route = getattr(scope.get("route"), "path", "") or "none"
        method = scope["method"] if route != "none" else "any"
        self.durations.labels(method, route, str(status)).observe(duration_s)
        if status >= 400 or scope["path"] not in QUIET:
            log.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                duration_ms=round(duration_s * 1000, 1),
            )


class _Answer:
    """Sends on what the application answers, with our headers."""

    def __init__(self, send: Send, request_id: str, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self._send = send
        self._headers = headers
        self.request_id = request_id
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = [header for header in message.get("headers", ()) if header[0] != REQUEST_ID_HEADER]
            names = {name for name, _ in given}
            missing = [header for header in self._headers if header[0] not in names]
            message["headers"] = [*given, *missing, (REQUEST_ID_HEADER, self.request_id.encode())]
        await self._send(message)


class _Limited:
    """Counts a body that announced no length."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._size = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self._size += len(message.get("body", b""))
        if self._size > self._limit:
            raise HTTPException(TooLarge.status)  # the only exception that the reader of the body lets through
        return message


def _request_id(offered: str) -> str:
    return offered if REQUEST_ID.fullmatch(offered) else uuid4().hex


def _length(text: bytes) -> int:
    return int(text) if text.isdigit() and len(text) < 20 else 0
