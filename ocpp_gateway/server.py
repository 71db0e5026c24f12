"""One gateway process: puts the parts together, listens, hands what comes over Redis to the right connection, stops.

Charge points are served by `connection`; here is only what concerns all of them.
"""

import asyncio
import contextlib
import time
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import structlog

from ocpp_gateway.bus import FAILURES, Bus, make_redis
from ocpp_gateway.connection import Connection, Services
from ocpp_gateway.forwarding import Forwarding
from ocpp_gateway.listeners import Listeners
from ocpp_gateway.message_log import MessageLog
from ocpp_gateway.metrics import Metrics
from ocpp_gateway.operations import Operations
from ocpp_gateway.registry import Registry
from ocpp_gateway.remarks import Remarks
from ocpp_gateway.settings import Settings
from ocpp_gateway.timing import Timing
from wire.channels import Channels
from wire.messages import (
    CallOutcome,
    ChargePointChanged,
    Command,
    CommandOutcome,
    ConnectOutcome,
    Message,
    Superseded,
)

log = structlog.get_logger(__name__)

BACKLOG: Final = 4096
REMEMBERED_COMMANDS: Final = 50_000
LAST_WORDS_S: Final = 2.0
"""How long a stopping gateway tries to tell Redis what is left to tell."""


class CannotListenError(Exception):
    """A port is taken or an address is not this machine's; the message is one sentence."""


class Gateway:
    """`start` it inside a running event loop, `stop` it once."""

    def __init__(self, settings: Settings, timing: Timing) -> None:
        self.id = uuid.uuid4().hex
        self.metrics = Metrics()
        self.metrics.tasks.set_function(_tasks)
        self._settings = settings
        self._timing = timing
        self._redis = make_redis(settings.redis_url.get_secret_value())
        self._bus = Bus(self._redis, Channels(settings.redis_prefix), self.id, self.metrics)
        self._listeners = Listeners(avoid_s=timing.avoid_s)
        bounds = {"in_flight": settings.gateway_in_flight_per_listener, "waiting": settings.gateway_waiting}
        self._forwarding = Forwarding(self._bus, self._listeners, timing, self.metrics, **bounds)
        self._registry = Registry(self._bus, timing, self.metrics.connections.set)
        self._services = Services(
            settings=settings,
            timing=timing,
            bus=self._bus,
            forwarding=self._forwarding,
            registry=self._registry,
            message_log=MessageLog(self._bus, self._listeners, timing, self.metrics),
            remarks=Remarks(self._forwarding),
            metrics=self.metrics,
        )
        self._commands: OrderedDict[str, None] = OrderedDict()
        self._redis_answers = False
        self._ask_members = asyncio.Event()
        self._servers: list[asyncio.Server] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Raises what broke a part that should never end."""

    async def start(self) -> tuple[int, int]:
        """Listens; returns the port for charge points and the one for operations.

        Raises:
            CannotListenError: a port is taken or an address is not ours; nothing is left running.
        """
        settings, loop = self._settings, asyncio.get_running_loop()
        operations = Operations(self.metrics.text, self._reason_not_ready)
        host, port = settings.gateway_host, settings.gateway_port
        serving = loop.create_server(lambda: Connection(self._services), host, port, backlog=BACKLOG)
        await self._listen("GATEWAY_PORT", f"{host}:{port}", serving)
        host, port = settings.gateway_operations_host, settings.gateway_operations_port
        await self._listen(
            "GATEWAY_OPERATIONS_PORT", f"{host}:{port}", asyncio.start_server(operations.serve, host, port)
        )
        for part in (
            self._bus.publish(self._forwarding.unheard),
            self._bus.receive(self._received, self._subscribed),
            self._keep_members(),
            self._registry.run(),
            self._tick(),
        ):
            self._run(part)
        ports = [server.sockets[0].getsockname()[1] for server in self._servers]
        return ports[0], ports[1]

    async def _listen(self, setting: str, address: str, serving: Awaitable[asyncio.Server]) -> None:
        try:
            self._servers.append(await serving)
        except OSError as error:
            for server in self._servers:
                server.close()
            raise CannotListenError(f"Cannot listen on {address} ({setting}): {error.strerror or error}") from error

    async def stop(self) -> None:
        """No CALL that was acknowledged is lost, and none that is not is acknowledged: then 1012 to everybody."""
        self._services.draining = True
        for connection in list(self._services.sockets):
            connection.drain()
        await self._until(lambda: not self._is_busy(), self._timing.drain_s)
        for server in self._servers[:1]:
            server.close()
        for connection in list(self._services.sockets):
            connection.restart()
        await self._until(lambda: not self._services.sockets, self._timing.close_s)
        await self._say_last_words()
        for server in self._servers:
            server.close()
        await self._end_tasks()
        await self._redis.aclose()

    # --- what comes over Redis ---

    def _received(self, message: Message) -> None:
        try:
            self._dispatch(message)
        except Exception:
            # A fault of ours in one charge point's business is no reason to drop all the others.
            log.exception("message not processed", type=type(message).__name__)

    def _dispatch(self, message: Message) -> None:
        if isinstance(message, CallOutcome | ConnectOutcome):
            self._forwarding.answered(message)
        elif isinstance(message, Command):
            self._command(message)
        elif isinstance(message, Superseded):
            self._registry.superseded(message.charge_point_id, message.epoch)
        elif isinstance(message, ChargePointChanged):
            connection = self._registry.connections.get(message.charge_point_id)
            if isinstance(connection, Connection):
                connection.changed(message)

    def _command(self, command: Command) -> None:
        """A repeated id is ignored; a command for another connection than the one meant ends as offline."""
        if command.id in self._commands:
            return
        self._commands[command.id] = None
        if len(self._commands) > REMEMBERED_COMMANDS:
            self._commands.popitem(last=False)
        connection = self._registry.connections.get(command.charge_point_id)
        if isinstance(connection, Connection) and connection.epoch == command.epoch and not self._services.draining:
            connection.command(command)
            return
        self.metrics.commands.labels("offline").inc()
        self._forwarding.tell(
            CommandOutcome(command.id, command.charge_point_id, "offline", time.time(), notify=command.notify)
        )

    def _subscribed(self) -> None:
        """Redis is there, perhaps again and empty."""
        log.info("subscribed", inbox=self._bus.inbox)
        self._registry.announce()
        self._ask_members.set()

    # --- what never ends ---

    async def _keep_members(self) -> None:
        while True:
            await self._refresh_members()
            pause_s = self._timing.membership_s if len(self._listeners) else self._timing.membership_empty_s
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._ask_members.wait()
            self._ask_members.clear()

    async def _refresh_members(self) -> None:
        try:
            channels = await self._bus.listeners()
            self._redis_answers = True
        except FAILURES as error:
            if self._redis_answers:
                log.warning("redis does not answer", error=str(error))
            self._redis_answers, channels = False, []
        self._forwarding.members(channels)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._timing.tick_s)
            self._forwarding.tick()

    def _run(self, part: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(part)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and not self.failed.done():
            self.failed.set_exception(error)

    # --- asked by the operations port and by stop ---

    def _reason_not_ready(self) -> str:
        if self._services.draining:
            return "stopping"
        if not (self._redis_answers and self._bus.subscribed):
            return "Redis does not answer"
        return "" if len(self._listeners) else "no listener of the api is up"

    def _is_busy(self) -> bool:
        sessions = (connection.session for connection in self._services.sockets if connection.is_open)
        return any(session is not None and session.is_busy for session in sessions)

    async def _end_tasks(self) -> None:
        """Cancels until it takes: `asyncio.wait_for` before Python 3.12, which libraries use, may swallow it once."""
        running = set(self._tasks)
        while running:
            for task in running:
                task.cancel()
            _, running = await asyncio.wait(running, timeout=0.2)

    async def _say_last_words(self) -> None:
        self._services.message_log.flush()
        self._services.remarks.flush()
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                await self._registry.write()
                await self._bus.flushed()
        except TimeoutError:
            log.warning("stopped before everything was told", notes=self._forwarding.waiting_notes)

    async def _until(self, condition: Callable[[], bool], limit_s: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + limit_s
        while not condition() and loop.time() < end:  # noqa: ASYNC110 - once in a process's life
            await asyncio.sleep(0.02)


def _tasks() -> float:
    return len(asyncio.all_tasks())
