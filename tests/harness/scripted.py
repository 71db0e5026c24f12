"""A charge point that speaks raw OCPP-J: it answers each command as a test says, and sends what a test says."""

import asyncio
import json
import uuid
from dataclasses import dataclass, field
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

DEADLINE_S = 20.0


@dataclass
class ScriptedChargePoint:
    """`answers` are CALLRESULT payloads by action; what is not in there is Accepted."""

    url: str
    identity: str
    key: str
    answers: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    commands: "asyncio.Queue[tuple[str, dict[str, Any]]]" = field(default_factory=asyncio.Queue)

    async def __aenter__(self) -> Self:
        scheme, _, rest = self.url.partition("://")
        self._replies: dict[str, asyncio.Future[list[Any]]] = {}
        self._socket: ClientConnection = await connect(
            f"{scheme}://{self.identity}:{self.key}@{rest}/{self.identity}",
            subprotocols=[Subprotocol("ocpp1.6")],
            compression=None,
            additional_headers=self.headers,
        )
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._socket.close()
        await self._reader

    async def _read(self) -> None:
        try:
            async for text in self._socket:
                frame = json.loads(text)
                if frame[0] == 2:
                    self.commands.put_nowait((frame[2], frame[3]))
                    answer = self.answers.get(frame[2], {"status": "Accepted"})
                    await self._socket.send(json.dumps([3, frame[1], answer]))
                else:
                    self._replies.pop(frame[1]).set_result(frame)
        except ConnectionClosed:
            pass

    async def call(self, action: str, payload: dict[str, Any]) -> Any:
        """One CALL; its CALLRESULT payload."""
        message_id = uuid.uuid4().hex
        reply: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._replies[message_id] = reply
        await self._socket.send(json.dumps([2, message_id, action, payload]))
        frame = await asyncio.wait_for(reply, DEADLINE_S)
        assert frame[0] == 3, frame
        return frame[2]

    async def boot(self, **fields: Any) -> Any:
        """BootNotification."""
        return await self.call("BootNotification", {"chargePointVendor": "Acme", "chargePointModel": "W1", **fields})

    async def next_command(self, action: str) -> dict[str, Any]:
        """The payload of the next command, which must be of this action."""
        got, payload = await asyncio.wait_for(self.commands.get(), DEADLINE_S)
        assert got == action, (got, payload)
        return payload
