"""A charge point that a case scripts: it answers each CALL as it was told, and keeps every frame.

Built on the `ocpp` package's client. A CALL that no case expects, and any flaw of form, is kept as a problem.
"""

import asyncio
import json
import ssl
from collections import defaultdict, deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import ocpp.exceptions
from ocpp.messages import Call, validate_payload
from ocpp.v16 import ChargePoint as OcppChargePoint
from ocpp.v16 import call
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.conformance.frames import flaws
from tests.harness.wallbox import now_text

DEADLINE_S = 15.0


@dataclass(frozen=True)
class CallErrorAnswer:
    """Told to the script instead of a payload: answer with this CALLERROR."""

    error: ocpp.exceptions.OCPPError


@dataclass
class Script:
    """What the charge point does and what it saw; it outlives connections."""

    answers: defaultdict[str, deque[dict[str, Any] | CallErrorAnswer]] = field(
        default_factory=lambda: defaultdict(deque)
    )
    calls: asyncio.Queue[tuple[str, dict[str, Any]]] = field(default_factory=asyncio.Queue)
    frames: list[tuple[str, str]] = field(default_factory=list)
    """Every frame, ("in" | "out", text), in order."""
    problems: list[str] = field(default_factory=list)
    _sent: dict[str, str] = field(default_factory=dict)

    def saw(self, direction: str, raw: str) -> None:
        """Keeps a frame, and checks what comes from the central system."""
        self.frames.append((direction, raw))
        message = json.loads(raw)
        if direction == "out" and message[0] == 2:
            self._sent[message[1]] = message[2]
        elif direction == "in" and message[0] == 2:
            self.problems += flaws(raw, message[2])
        elif direction == "in" and message[0] == 3:
            self.problems += flaws(raw, self._sent[message[1]])
        elif direction == "in":
            self.problems.append(f"CALLERROR: {raw}")


class _Client(OcppChargePoint):
    """The package's charge point, answering from the script."""

    def __init__(self, identity: str, connection: ClientConnection, script: Script) -> None:
        super().__init__(identity, connection, response_timeout=30)
        self.script = script

    async def route_message(self, raw_msg: str) -> None:
        self.script.saw("in", raw_msg)
        await super().route_message(raw_msg)

    async def _send(self, message: str) -> None:
        self.script.saw("out", message)
        await super()._send(message)

    async def _handle_call(self, msg: Call) -> None:
        payload = msg.payload
        try:
            await validate_payload(msg, "1.6")  # puts Decimals into msg.payload
        except ocpp.exceptions.OCPPError as error:
            self.script.problems.append(f"{msg.action} does not fit its schema: {error} {payload}")
            raise
        answers = self.script.answers[msg.action]
        if not answers:
            self.script.problems.append(f"unexpected {msg.action} {payload}")
            await self._send(msg.create_call_error(ocpp.exceptions.NotSupportedError()).to_json())
            return
        answer = answers.popleft()
        if isinstance(answer, CallErrorAnswer):
            await self._send(msg.create_call_error(answer.error).to_json())
        else:
            response = msg.create_call_result(answer)
            await validate_payload(response, "1.6")
            await self._send(response.to_json())
        self.script.calls.put_nowait((msg.action, payload))


class ChargePoint:
    """One charge point with one script, connected or not."""

    def __init__(
        self,
        url: str,
        identity: str,
        key: str | None,
        *,
        tls: ssl.SSLContext | None = None,
        subprotocols: tuple[str, ...] = ("ocpp1.6",),
    ) -> None:
        self.url, self.identity, self.key, self.tls = url, identity, key, tls
        self.subprotocols = subprotocols
        self.headers: dict[str, str] = {}
        self.local_address: str | None = None
        """Where it connects from; None: as the system chooses."""
        self.script = Script()
        self._client: _Client | None = None
        self._reader: asyncio.Task[None] | None = None
        self._socket: ClientConnection | None = None

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.disconnect()

    # --- the link ---

    async def connect(self) -> ClientConnection:
        """Opens the WebSocket as OCPP-J says: identity in the path, Basic auth, the subprotocols offered.

        Raises:
            websockets.exceptions.InvalidStatus: the central system refuses the handshake.
        """
        await self.disconnect()
        scheme, _, rest = self.url.partition("://")
        login = f"{self.identity}:{self.key}@" if self.key is not None else ""
        self._socket = await connect(
            f"{scheme}://{login}{rest}/{self.identity}",
            subprotocols=[Subprotocol(name) for name in self.subprotocols] or None,
            compression=None,
            ssl=self.tls,
            additional_headers=self.headers,
            local_addr=(self.local_address, 0) if self.local_address else None,
        )
        self._client = _Client(self.identity, self._socket, self.script)
        self._reader = asyncio.create_task(self._read(self._client))
        return self._socket

    async def _read(self, client: _Client) -> None:
        with suppress(ConnectionClosed):
            await client.start()

    async def disconnect(self) -> None:
        """Closes the WebSocket, if it is open."""
        if self._socket is not None:
            await self._socket.close()
        if self._reader is not None:
            await self._reader
        self._socket = self._client = self._reader = None

    async def lose_power(self) -> None:
        """The link is gone without a word."""
        assert self._socket is not None
        self._socket.transport.abort()
        await self.disconnect()

    async def closed(self) -> int:
        """Waits until the central system closes the link; the close code."""
        assert self._socket is not None
        async with asyncio.timeout(DEADLINE_S):
            await self._socket.wait_closed()
        code = self._socket.close_code
        assert code is not None
        return code

    # --- what the central system sends ---

    def will_answer(self, action: str, *answers: dict[str, Any] | CallErrorAnswer) -> None:
        """The next CALLs of this action are answered so, in order."""
        self.script.answers[action].extend(answers)

    async def received(self, action: str) -> dict[str, Any]:
        """The payload of the next CALL, which must be of this action."""
        async with asyncio.timeout(DEADLINE_S):
            got, payload = await self.script.calls.get()
        assert got == action, f"{got} {payload} came where {action} was due"
        return payload

    # --- what it sends ---

    async def call(self, request: Any) -> Any:
        """One CALL; the answer of the central system, which fits its schema."""
        assert self._client is not None
        async with asyncio.timeout(DEADLINE_S):
            return await self._client.call(request, suppress=False)

    async def boot(self, *connectors: int, **fields: Any) -> Any:
        """BootNotification, and Available for connector 0 and the others (1 where none is named)."""
        answer = await self.call(
            call.BootNotification(charge_point_vendor="Acme", charge_point_model="W1", firmware_version="1.0", **fields)
        )
        for connector_id in (0, *(connectors or (1,))):
            await self.status("Available", connector_id)
        return answer

    async def status(self, status: Any, connector_id: int = 1, *, error_code: Any = "NoError") -> None:
        """StatusNotification."""
        await self.call(
            call.StatusNotification(
                connector_id=connector_id, error_code=error_code, status=status, timestamp=now_text()
            )
        )

    async def authorize(self, id_tag: str) -> dict[str, Any]:
        """Authorize; the idTagInfo in the package's spelling."""
        answer = await self.call(call.Authorize(id_tag=id_tag))
        info: dict[str, Any] = answer.id_tag_info
        return info

    async def start(
        self, id_tag: str, meter_start_wh: int = 1000, *, at: str | None = None, connector_id: int = 1, **fields: Any
    ) -> Any:
        """StartTransaction."""
        return await self.call(
            call.StartTransaction(
                connector_id=connector_id,
                id_tag=id_tag,
                meter_start=meter_start_wh,
                timestamp=at or now_text(),
                **fields,
            )
        )

    async def meter(self, transaction_id: int, energy_wh: int, *, connector_id: int = 1) -> None:
        """MeterValues with the register of the meter."""
        sampled = [{"value": str(energy_wh), "measurand": "Energy.Active.Import.Register", "unit": "Wh"}]
        await self.call(
            call.MeterValues(
                connector_id=connector_id,
                transaction_id=transaction_id,
                meter_value=[{"timestamp": now_text(), "sampled_value": sampled}],
            )
        )

    async def stop(
        self, transaction_id: int, meter_stop_wh: int, reason: Any = None, id_tag: str | None = None, *, at: str = ""
    ) -> Any:
        """StopTransaction."""
        return await self.call(
            call.StopTransaction(
                transaction_id=transaction_id,
                meter_stop=meter_stop_wh,
                timestamp=at or now_text(),
                reason=reason,
                id_tag=id_tag,
            )
        )
