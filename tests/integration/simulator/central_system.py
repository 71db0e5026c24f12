"""A small OCPP-J central system on bare `websockets`, for the simulator's tests. It knows no code of ours."""

import asyncio
import base64
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from itertools import count
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

DEADLINE_S = 15.0
TIME = "2026-01-01T00:00:00Z"
Payload = dict[str, Any]


@dataclass(frozen=True)
class CallError:
    """Answer with a CALLERROR of this code."""

    code: str


@dataclass(frozen=True)
class Silence:
    """Do not answer."""


Answer = Payload | CallError | Silence


@dataclass(frozen=True)
class Received:
    """A CALL of the charge point: on which connection (counted from 1), its message id, action and payload."""

    connection: int
    message_id: str
    action: str
    payload: Payload


class CentralSystem:
    """Accepts `identity` with `key`, answers every CALL, keeps what it received. Tests change `answers`."""

    def __init__(self, identity: str = "CP 1", key: str = "secret") -> None:
        self.received: list[Received] = []
        self.handshakes: list[tuple[str, str]] = []
        transaction_ids = count(1001)
        accepted = {"idTagInfo": {"status": "Accepted"}}
        self.answers: dict[str, Callable[[Payload], Answer]] = {
            "BootNotification": lambda _: {"status": "Accepted", "currentTime": TIME, "interval": 300},
            "Heartbeat": lambda _: {"currentTime": TIME},
            "Authorize": lambda _: accepted,
            "StartTransaction": lambda _: {"transactionId": next(transaction_ids), **accepted},
        }
        self._identity = identity
        self._token = base64.b64encode(f"{identity}:{key}".encode()).decode()
        self._server: Server | None = None
        self._connections = 0
        self._connection: ServerConnection | None = None
        self._changed = asyncio.Condition()
        self._pending: dict[str, asyncio.Future[list[Any]]] = {}
        self._ids = count(1)

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve, "127.0.0.1", 0, subprotocols=["ocpp1.6"], process_request=self._check  # type: ignore[list-item]
        )  # fmt: skip
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Where it listens, without an identity."""
        assert self._server is not None
        return f"ws://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}"

    async def call(self, action: str, payload: Payload) -> list[Any]:
        """Sends a CALL on the newest connection and returns the frame that answers it."""
        assert self._connection is not None
        message_id = f"cs-{next(self._ids)}"
        answer = self.expect(message_id)
        await self._connection.send(json.dumps([2, message_id, action, payload]))
        return await answer

    def expect(self, message_id: str) -> asyncio.Task[list[Any]]:
        """The frame that will answer this message id."""
        future = self._pending[message_id] = asyncio.get_running_loop().create_future()
        return asyncio.ensure_future(asyncio.wait_for(future, DEADLINE_S))

    async def send_text(self, text: str) -> None:
        """Sends anything."""
        assert self._connection is not None
        await self._connection.send(text)

    async def close(self, code: int) -> None:
        """Closes the newest connection."""
        assert self._connection is not None
        await self._connection.close(code)

    def of(self, *actions: str) -> list[Received]:
        """What was received of these actions, in order."""
        return [message for message in self.received if message.action in actions]

    async def until(self, condition: Callable[[], object]) -> None:
        """Waits until `condition` holds; it is looked at after everything that is received."""
        async with asyncio.timeout(DEADLINE_S), self._changed:
            await self._changed.wait_for(lambda: bool(condition()))

    async def until_received(self, action: str, number: int = 1) -> Received:
        """Waits for the `number`-th CALL of this action."""
        await self.until(lambda: len(self.of(action)) >= number)
        return self.of(action)[number - 1]

    def _check(self, connection: ServerConnection, request: Request) -> Response | None:
        self.handshakes.append((request.path, request.headers.get("Authorization", "")))
        if not request.path.endswith("/" + self._identity.replace(" ", "%20")):
            return connection.respond(HTTPStatus.NOT_FOUND, "")
        if request.headers.get("Authorization") != f"Basic {self._token}":
            return connection.respond(HTTPStatus.UNAUTHORIZED, "")
        return None

    def accept_key(self, key: bytes) -> None:
        """From now on only this key is let in."""
        self._token = base64.b64encode(self._identity.encode() + b":" + key).decode()

    async def _serve(self, connection: ServerConnection) -> None:
        self._connections += 1
        number, self._connection = self._connections, connection
        with suppress(ConnectionClosed):
            async for text in connection:
                frame = json.loads(text)
                if frame[0] == 2:
                    await self._answer(connection, Received(number, *frame[1:]))
                elif frame[1] in self._pending:
                    self._pending.pop(frame[1]).set_result(frame)

    async def _answer(self, connection: ServerConnection, message: Received) -> None:
        decide = self.answers.get(message.action)
        answer = decide(message.payload) if decide else {}
        if isinstance(answer, CallError):
            await connection.send(json.dumps([4, message.message_id, answer.code, "", {}]))
        elif not isinstance(answer, Silence):
            await connection.send(json.dumps([3, message.message_id, answer]))
        async with self._changed:
            self.received.append(message)
            self._changed.notify_all()
