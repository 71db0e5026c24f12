"""What Voltuj is measured beside: `python -m bench.anchors KIND PORT`. They keep nothing and check no log-in.

`bare` is a `websockets` server that only answers; `shell` is the gateway's own WebSocket, which does no more than that
either: below it the gateway cannot come; `ocpp` is the central system of the `ocpp` package's own example, with its
validation of every message, in memory.
"""

import asyncio
import contextlib
import json
import sys
from datetime import UTC, datetime
from typing import Any, Final

import orjson
import uvloop
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call_result
from ocpp.v16.enums import Action, AuthorizationStatus, RegistrationStatus
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request
from websockets.typing import Subprotocol

from ocpp_gateway.frames import MAX_FRAME_BYTES
from ocpp_gateway.handshake import SUBPROTOCOL
from ocpp_gateway.websocket import Limits, Rounds, WebSocket

NOW: Final = "2026-01-01T00:00:00Z"
ANSWERS: Final[dict[str, dict[str, Any]]] = {
    "Authorize": {"idTagInfo": {"status": "Accepted"}},
    "BootNotification": {"status": "Accepted", "currentTime": NOW, "interval": 300},
    "Heartbeat": {"currentTime": NOW},
    "MeterValues": {},
    "StartTransaction": {"idTagInfo": {"status": "Accepted"}, "transactionId": 1},
    "StatusNotification": {},
    "StopTransaction": {"idTagInfo": {"status": "Accepted"}},
}
ACCEPTED: Final = {"status": AuthorizationStatus.accepted}


async def answer_only(connection: ServerConnection) -> None:
    """The least that a server of OCPP-J can do: reads message id and action out of the JSON, and answers in JSON."""
    async for message in connection:
        _, message_id, action, _ = json.loads(message)
        await connection.send(json.dumps([3, message_id, ANSWERS[action]]))


class CentralSystem(ChargePoint):
    """Answers every message of the load."""

    @on(Action.boot_notification)
    def on_boot(self, **_: Any) -> Any:  # noqa: ANN401 - the package passes whatever the message has
        """BootNotification."""
        return call_result.BootNotification(_now(), 300, RegistrationStatus.accepted)

    @on(Action.heartbeat)
    def on_heartbeat(self) -> Any:  # noqa: ANN401
        """Heartbeat."""
        return call_result.Heartbeat(_now())

    @on(Action.authorize)
    def on_authorize(self, **_: Any) -> Any:  # noqa: ANN401
        """Authorize."""
        return call_result.Authorize(ACCEPTED)

    @on(Action.start_transaction)
    def on_start(self, **_: Any) -> Any:  # noqa: ANN401
        """StartTransaction."""
        return call_result.StartTransaction(1, ACCEPTED)

    @on(Action.stop_transaction)
    def on_stop(self, **_: Any) -> Any:  # noqa: ANN401
        """StopTransaction."""
        return call_result.StopTransaction(ACCEPTED)

    @on(Action.status_notification)
    def on_status(self, **_: Any) -> Any:  # noqa: ANN401
        """StatusNotification."""
        return call_result.StatusNotification()

    @on(Action.meter_values)
    def on_meter_values(self, **_: Any) -> Any:  # noqa: ANN401
        """MeterValues."""
        return call_result.MeterValues()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def answer_with_ocpp(connection: ServerConnection) -> None:
    """One charge point of the `ocpp` package."""
    path = connection.request.path if connection.request is not None else "/"
    with contextlib.suppress(ConnectionClosed):
        await CentralSystem(path.strip("/"), connection).start()


class Shell(WebSocket):
    """Lets everybody in, and answers."""

    def on_request(self, request: Request) -> None:
        """Whoever it is."""
        self.accept()

    def on_text(self, data: bytes) -> None:
        """The answer goes out with the flush that follows."""
        _, message_id, action, _ = orjson.loads(data)
        self.send_text(orjson.dumps([3, message_id, ANSWERS[action]]))


async def serve_shell(port: int) -> None:
    """As the gateway listens."""
    limits = Limits(handshake_s=10, close_s=5, ping_s=30, silence_pings=2.5, max_frame_bytes=MAX_FRAME_BYTES,
                    subprotocol=SUBPROTOCOL)  # fmt: skip
    rounds = Rounds(limits)
    server = await asyncio.get_running_loop().create_server(lambda: Shell(rounds), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


async def main(kind: str, port: int) -> None:
    """Serves until it is ended."""
    handler = {"bare": answer_only, "ocpp": answer_with_ocpp}[kind]
    async with serve(handler, "127.0.0.1", port, subprotocols=[Subprotocol("ocpp1.6")], backlog=4096) as server:
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(asyncio.CancelledError, KeyboardInterrupt):
        if sys.argv[1] == "shell":
            uvloop.run(serve_shell(int(sys.argv[2])))
        else:
            asyncio.run(main(sys.argv[1], int(sys.argv[2])))
