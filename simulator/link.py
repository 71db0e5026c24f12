"""One connection to the central system: CALLs out, answers in. What a CALL means to the wallbox is not known here.

Built on the `ocpp` package's charge point. A CALL is never awaited on the task that reads its answer: `serve` reads,
everybody else calls `request`.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeAlias

from ocpp import exceptions as ocpp_errors
from ocpp.v16 import ChargePoint
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, NegotiationError, WebSocketException
from websockets.typing import Subprotocol

from simulator.address import SUBPROTOCOL, Address, explain

Answer: TypeAlias = Any
"""A dataclass of `ocpp.v16.call_result`."""
ReceivedCall: TypeAlias = Any
"""`ocpp.messages.Call`, whose fields may hold whatever JSON can."""

log = logging.getLogger("simulator.ocpp")


class LinkError(Exception):
    """A CALL got no useful answer."""


class OfflineError(LinkError):
    """There is no connection, or it was lost before the answer came."""


class NoAnswerError(LinkError):
    """The connection stands, but the answer did not come in time."""


class CallFailedError(LinkError):
    """The central system answered with a CALLERROR, or with a CALLRESULT that breaks its schema."""


class Link(ChargePoint):
    """An open connection. Subclasses add the handlers of the central system's CALLs."""

    def __init__(self, identity: str, connection: ClientConnection, *, timeout_s: float, check_schemas: bool) -> None:
        super().__init__(identity, connection, response_timeout=timeout_s, logger=log)
        self.connection = connection
        self._check_schemas = check_schemas
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._effects: list[Callable[[], object]] = []

    async def serve(self) -> str:
        """Reads and answers until the connection ends; returns why it did."""
        try:
            while True:
                await self.route_message(await self.connection.recv())
        except ConnectionClosed:
            code, reason = self.connection.close_code, self.connection.close_reason
            return f"{code} {reason}".strip()
        finally:
            if not self._lost.done():
                self._lost.set_result(None)

    async def request(self, payload: object) -> Answer:
        """Sends a CALL and returns its answer.

        Raises:
            OfflineError, NoAnswerError, CallFailedError: as their names say.
        """
        if self._lost.done():
            raise OfflineError
        calling = asyncio.ensure_future(
            self.call(payload, suppress=False, skip_schema_validation=not self._check_schemas)
        )
        try:
            await asyncio.wait({calling, self._lost}, return_when=asyncio.FIRST_COMPLETED)
            if not calling.done():
                raise OfflineError
            return calling.result()
        except TimeoutError as error:
            raise NoAnswerError(str(error)) from error
        except ConnectionClosed as error:
            raise OfflineError from error
        except (ocpp_errors.OCPPError, ocpp_errors.ValidationError, ocpp_errors.UnknownCallErrorCodeError) as error:
            raise CallFailedError(_describe(error)) from error
        finally:
            calling.cancel()

    def then(self, effect: Callable[[], object]) -> None:
        """Runs `effect` once the answer to the CALL being handled is on its way (5.17: answer first, then act)."""
        self._effects.append(effect)

    def abort(self) -> None:
        """Drops the connection without a closing handshake, as a cut cable does."""
        self.connection.transport.abort()

    async def close(self) -> None:
        """Ends the connection properly."""
        await self.connection.close(1000)

    async def _handle_call(self, call: ReceivedCall) -> None:
        self._effects.clear()
        if not isinstance(call.action, str) or call.action not in self.route_map:
            raise ocpp_errors.NotImplementedError(description=f"{call.action} is unknown")
        call.payload = {} if call.payload is None else call.payload  # J 4.2.1
        try:
            await super()._handle_call(call)
        except (ocpp_errors.FormatViolationError, ocpp_errors.ValidationError) as error:
            raise ocpp_errors.FormationViolationError(description=str(error)[:255]) from error
        for effect in self._effects:
            effect()


async def dial(address: Address, *, ping_interval_s: float | None) -> ClientConnection:
    """Opens the connection.

    Raises:
        RefusalError: it did not come about.
    """
    try:
        connection = await connect(
            address.url,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            additional_headers=address.headers,
            user_agent_header="Voltuj simulator",
            compression=None,
            proxy=None,
            open_timeout=15,
            ping_interval=ping_interval_s,
            ping_timeout=ping_interval_s,
            close_timeout=5,
            logger=log,
        )
    except (OSError, WebSocketException, EOFError) as error:
        raise explain(error, address) from error
    if connection.subprotocol != SUBPROTOCOL:
        await connection.close(1002)
        raise explain(NegotiationError("no subprotocol"), address)
    return connection


def _describe(error: Exception) -> str:
    if isinstance(error, ocpp_errors.OCPPError):
        return f"{error.code}: {error.description}".removesuffix(": ")
    return str(error)
