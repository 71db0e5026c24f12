"""A WebSocket client that costs little, so that the load generator is not what is measured. Text frames only.

No general client: it trusts the server, masks with zeros (RFC 6455 5.3 wants them random) and answers pings.
"""

import asyncio
import base64
import re
from collections.abc import Callable
from typing import Final, cast

MASKED: Final = 0x80
TWO_BYTES_FOLLOW: Final = 126
EIGHT_BYTES_FOLLOW: Final = 127
NO_MASK: Final = b"\0\0\0\0"
TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
FINAL_FRAME: Final = 0x80
_STATUS: Final = re.compile(rb"HTTP/1\.1 (\d{3})")
_RETRY_AFTER: Final = re.compile(rb"\r\nRetry-After: (\d+)\r\n", re.IGNORECASE)


class RefusedError(ConnectionError):
    """The server answered the opening request with another status than 101."""

    def __init__(self, head: bytes) -> None:
        status, wait = _STATUS.match(head), _RETRY_AFTER.search(head + b"\r\n")
        self.status = int(status[1]) if status else 0
        self.retry_after_s = int(wait[1]) if wait else 0
        super().__init__(head.split(b"\r\n", 1)[0].decode(errors="replace"))


def frame(opcode: int, payload: bytes) -> bytes:
    """One masked frame."""
    size = len(payload)
    if size < TWO_BYTES_FOLLOW:
        head = bytes((FINAL_FRAME | opcode, MASKED | size))
    elif size < 1 << 16:
        head = bytes((FINAL_FRAME | opcode, MASKED | TWO_BYTES_FOLLOW)) + size.to_bytes(2)
    else:
        head = bytes((FINAL_FRAME | opcode, MASKED | EIGHT_BYTES_FOLLOW)) + size.to_bytes(8)
    return head + NO_MASK + payload


def upgrade(path: str, user: str, password: str) -> bytes:
    """The request that opens an OCPP-J connection."""
    login = base64.b64encode(f"{user}:{password}".encode()).decode()
    return (
        f"GET /{path} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: ocpp1.6\r\nAuthorization: Basic {login}\r\n\r\n"
    ).encode()


class Link(asyncio.Protocol):
    """One connection; `opened` resolves after the handshake, `on_text` gets each message.

    `on_lost` is told of the end of a connection that was open; what never was raises in `opened`.
    """

    def __init__(self, request: bytes, on_text: Callable[[bytes], None], on_lost: Callable[[], None]) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request = request
        self._on_text = on_text
        self._on_lost = on_lost
        self._buffer = b""
        self._is_open = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends the upgrade."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of asyncio's
        self._transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells whoever waits."""
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("closed during the handshake"))
        if self._is_open:
            self._on_lost()

    def send(self, text: bytes) -> None:
        """Sends one message."""
        if self._transport is not None:
            self._transport.write(frame(TEXT, text))

    def close(self) -> None:
        """Cuts the connection."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Reads as many whole frames as there are."""
        self._buffer = self._buffer + data if self._buffer else data
        if not self._is_open and not self._read_upgrade():
            return
        while (parsed := _parse(self._buffer)) is not None:
            opcode, payload, end = parsed
            self._buffer = self._buffer[end:]
            self._handle(opcode, payload)

    def _handle(self, opcode: int, payload: bytes) -> None:
        if opcode == TEXT:
            self._on_text(payload)
        elif opcode == PING and self._transport is not None:
            self._transport.write(frame(PONG, payload))
        elif opcode == CLOSE:
            self.close()

    def _read_upgrade(self) -> bool:
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return False
        if b" 101 " not in head.split(b"\r\n", 1)[0] + b" ":
            self.opened.set_exception(RefusedError(head))
            self.close()
            return False
        self._is_open, self._buffer = True, rest
        self.opened.set_result(None)
        return True


def _parse(buffer: bytes) -> tuple[int, bytes, int] | None:
    """Opcode, payload and end of the first frame; None where it is not whole yet."""
    if len(buffer) < 2:
        return None
    size, begin = buffer[1], 2
    if size == TWO_BYTES_FOLLOW:
        size, begin = int.from_bytes(buffer[2:4]), 4
    elif size == EIGHT_BYTES_FOLLOW:
        size, begin = int.from_bytes(buffer[2:10]), 10
    end = begin + size
    return (buffer[0] & 0x0F, buffer[begin:end], end) if len(buffer) >= end else None
