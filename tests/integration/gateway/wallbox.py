"""A charge point's side of the socket, raw: a WebSocket client that sends and reads OCPP-J text as it is told."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Response
from websockets.typing import Subprotocol

from tests.integration.gateway.api_side import KEY, WAIT_S

OCPP16: tuple[str, ...] = ("ocpp1.6",)
METER_VALUES = {
    "connectorId": 1,
    "transactionId": 7,
    "meterValue": [{"timestamp": "2026-01-01T00:00:00Z", "sampledValue": [{"value": "12"}]}],
}
BOOT = {"chargePointModel": "M", "chargePointVendor": "V"}


def basic(user: str, key: bytes) -> dict[str, str]:
    """The header of Basic authentication."""
    return {"Authorization": "Basic " + b64encode(user.encode() + b":" + key).decode()}


def opening_request(identity: str = "CP1", key: bytes = KEY) -> bytes:
    """The bytes of a good handshake, for tests that hold the socket themselves."""
    lines = (
        f"GET /{identity} HTTP/1.1",
        "Host: x",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Protocol: ocpp1.6",
        f"Authorization: {basic(identity, key)['Authorization']}",
    )
    return "\r\n".join((*lines, "", "")).encode()


@asynccontextmanager
async def bare_link(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A socket behind its handshake, for tests that write and read its bytes themselves, in the usual time at most."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(opening_request())
        async with asyncio.timeout(WAIT_S):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


class Wallbox:
    """An open connection."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, frame: object) -> None:
        """A frame: text as it is, anything else as JSON."""
        await self.socket.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))

    async def receive(self) -> list[Any]:
        """The next frame from the gateway."""
        async with asyncio.timeout(WAIT_S):
            return cast("list[Any]", json.loads(await self.socket.recv()))

    async def call(self, action: str, payload: object, message_id: str = "m") -> list[Any]:
        """Sends a CALL and returns the frame that comes back."""
        await self.send([2, message_id, action, payload])
        return await self.receive()

    async def closed(self) -> tuple[int, str]:
        """Waits until the gateway closes; returns the code and the reason."""
        async with asyncio.timeout(WAIT_S):
            try:
                while True:
                    await self.socket.recv()
            except ConnectionClosed as error:
                return (error.rcvd.code, error.rcvd.reason) if error.rcvd is not None else (1006, "")


@asynccontextmanager
async def wallbox(
    port: int,
    identity: str = "CP1",
    *,
    key: bytes = KEY,
    offers: Sequence[str] = OCPP16,
    headers: dict[str, str] | None = None,
    path: str | None = None,
) -> AsyncIterator[Wallbox]:
    """Connects; the connection ends with the block."""
    subprotocols = [Subprotocol(name) for name in offers] or None
    async with connect(
        f"ws://127.0.0.1:{port}{path if path is not None else '/' + identity}",
        subprotocols=subprotocols,
        additional_headers=basic(identity, key) if headers is None else headers,
        compression="deflate",
        proxy=None,
        ping_interval=None,
        close_timeout=2,
        open_timeout=WAIT_S,
    ) as socket:
        yield Wallbox(socket)


async def refusal(port: int, identity: str = "CP1", **options: Any) -> Response:
    """The HTTP answer to a handshake that must fail."""
    try:
        async with wallbox(port, identity, **options):
            raise AssertionError("the handshake was accepted")
    except InvalidStatus as error:
        return error.response
