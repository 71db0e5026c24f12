"""A charge point built on the `ocpp` package's client: a program that is not ours, with a queue like a real one's.

Its CALLs go out one after the other; transaction messages are kept and sent again until they are answered.
"""

import asyncio
import ssl
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import ocpp.exceptions
from ocpp.routing import on
from ocpp.v16 import ChargePoint as OcppChargePoint
from ocpp.v16 import call, call_result
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

DELIVERY_DEADLINE_S = 90.0
RECONNECT_PAUSE_S = 0.1


def minutes_ago(minutes: int) -> str:
    """A time in the past as OCPP writes it."""
    at = datetime.now(UTC) - timedelta(minutes=minutes)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now_text() -> str:
    """The time as OCPP writes it."""
    return minutes_ago(0)


class _Client(OcppChargePoint):
    """The package's charge point, answering the commands of the central system."""

    def __init__(self, identity: str, connection: ClientConnection, wallbox: "Wallbox") -> None:
        super().__init__(identity, connection, response_timeout=30)
        self.wallbox = wallbox

    @on("RemoteStartTransaction")
    def on_remote_start(self, **request: Any) -> call_result.RemoteStartTransaction:
        self.wallbox.commands.put_nowait(("RemoteStartTransaction", request))
        return call_result.RemoteStartTransaction(status=self.wallbox.answer)

    @on("RemoteStopTransaction")
    def on_remote_stop(self, **request: Any) -> call_result.RemoteStopTransaction:
        self.wallbox.commands.put_nowait(("RemoteStopTransaction", request))
        return call_result.RemoteStopTransaction(status=self.wallbox.answer)


class Wallbox:
    """One charge point with one address, which it may change (`url`) between connections."""

    def __init__(self, url: str, identity: str, key: str, *, tls: ssl.SSLContext | None = None) -> None:
        self.url, self.identity, self.key, self.tls = url, identity, key, tls
        self.commands: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()
        self.answer: Any = "Accepted"
        self.call_errors: list[str] = []
        self.closes: list[int] = []
        self.refusals: list[int] = []
        self._client: _Client | None = None
        self._reader: asyncio.Task[None] | None = None
        self._socket: ClientConnection | None = None

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.disconnect()

    async def connect(self) -> None:
        """Opens the WebSocket as OCPP-J says: identity in the path, Basic auth, subprotocol ocpp1.6."""
        scheme, _, rest = self.url.partition("://")
        self._socket = await connect(
            f"{scheme}://{self.identity}:{self.key}@{rest}/{self.identity}",
            subprotocols=[Subprotocol("ocpp1.6")],
            compression=None,
            ssl=self.tls,
        )
        self._client = _Client(self.identity, self._socket, self)
        self._reader = asyncio.create_task(self._read(self._client))

    async def _read(self, client: _Client) -> None:
        try:
            await client.start()
        except ConnectionClosed as closed:
            self.closes.append(closed.rcvd.code if closed.rcvd else 1006)

    async def disconnect(self) -> None:
        """Closes the WebSocket, if it is open."""
        if self._socket is not None:
            await self._socket.close()
        if self._reader is not None:
            await self._reader
        self._socket = self._client = self._reader = None

    async def call(self, request: Any) -> Any:
        """One CALL on the open connection; the answer of the central system.

        Raises:
            ocpp.exceptions.OCPPError: a CALLERROR.
            ConnectionError: the connection ended before the answer came.
        """
        client, reader = self._client, self._reader
        if client is None or reader is None:
            raise ConnectionError("not connected")
        answer = asyncio.ensure_future(client.call(request, suppress=False))
        try:
            await asyncio.wait({answer, reader}, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            raise ConnectionError("the connection ended before the answer")
        except ConnectionClosed as closed:
            raise ConnectionError(str(closed)) from closed
        except ocpp.exceptions.OCPPError as error:
            self.call_errors.append(error.code)
            raise
        finally:
            answer.cancel()
            with suppress(asyncio.CancelledError, ConnectionClosed, ocpp.exceptions.OCPPError):
                await answer

    async def deliver(self, request: Any) -> Any:
        """Sends a transaction message until it is answered, connecting anew as often as it takes (OCPP 1.6 3.7)."""
        async with asyncio.timeout(DELIVERY_DEADLINE_S):
            while True:
                try:
                    if self._client is None or self._reader is None or self._reader.done():
                        await self.disconnect()
                        await self.connect()
                    return await self.call(request)
                except InvalidStatus as refused:
                    self.refusals.append(refused.response.status_code)
                except (OSError, TimeoutError, ConnectionClosed):
                    pass
                await asyncio.sleep(RECONNECT_PAUSE_S)

    async def boot(self) -> Any:
        """BootNotification and the status of connectors 0 and 1."""
        answer = await self.call(
            call.BootNotification(
                charge_point_vendor="Acme", charge_point_model="W1", charge_point_serial_number=uuid.uuid4().hex[:12]
            )
        )
        await self.status(0, "Available")
        await self.status(1, "Available")
        return answer

    async def status(self, connector_id: int, status: Any) -> None:
        """StatusNotification without an error."""
        await self.call(
            call.StatusNotification(
                connector_id=connector_id, error_code="NoError", status=status, timestamp=now_text()
            )
        )

    async def start(self, id_tag: str, meter_start_wh: int, *, at: str | None = None, connector_id: int = 1) -> Any:
        """StartTransaction, delivered as a queued message is."""
        return await self.deliver(
            call.StartTransaction(
                connector_id=connector_id, id_tag=id_tag, meter_start=meter_start_wh, timestamp=at or now_text()
            )
        )

    async def meter(self, transaction_id: int, energy_wh: int, power_w: int = 7400, *, connector_id: int = 1) -> Any:
        """MeterValues with register and power, delivered as a queued message is."""
        sampled = [
            {"value": str(energy_wh), "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
            {"value": str(power_w), "measurand": "Power.Active.Import", "unit": "W"},
        ]
        return await self.deliver(
            call.MeterValues(
                connector_id=connector_id,
                transaction_id=transaction_id,
                meter_value=[{"timestamp": now_text(), "sampled_value": sampled}],
            )
        )

    async def stop(self, transaction_id: int, meter_stop_wh: int, id_tag: str, *, at: str | None = None) -> Any:
        """StopTransaction, delivered as a queued message is."""
        return await self.deliver(
            call.StopTransaction(
                transaction_id=transaction_id, meter_stop=meter_stop_wh, id_tag=id_tag, timestamp=at or now_text()
            )
        )

    async def next_command(self, deadline_s: float = 10) -> tuple[str, dict[str, Any]]:
        """The next command that the central system sent."""
        return await asyncio.wait_for(self.commands.get(), deadline_s)


async def while_running(job: Awaitable[Any], then: Callable[[], Awaitable[Any]]) -> Any:
    """Starts `job`, does `then` while it is under way, and returns the job's result."""
    task = asyncio.ensure_future(job)
    try:
        await then()
        return await task
    finally:
        task.cancel()
