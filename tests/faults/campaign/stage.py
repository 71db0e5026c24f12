"""The stack under fire: servers and services that come back by themselves, every connection through a link of ours.

Processes are started here as production starts them and restarted when they die, as a container engine would.
"""

import asyncio
import math
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from standalone.databases import DatabaseUrls, alembic, create_database
from standalone.servers import free_port
from tests.faults.campaign.clocks import Clock, compile_library
from tests.faults.campaign.links import Link
from tests.faults.campaign.namespaces import Cable, are_possible
from tests.faults.campaign.servers import Servers
from tests.faults.campaign.traps import HttpTap, PostgresTap, RedisTap, Tap, Trap
from tests.harness.stack import Service, Stack, answers, eventually

RESTART_PAUSE_S = 0.3
WATCH_EVERY_S = 0.1
READY_DEADLINE_S = 60.0
LOOPBACK = "127.0.0.1"
BANK_ACCOUNT = "CZ6508000000192000145399"
MODULES = {
    "listener-0": "api.listener",
    "listener-1": "api.listener",
    "api-0": "api.app",
    "gateway-0": "ocpp_gateway",
    "gateway-1": "ocpp_gateway",
}
"""What runs in each place."""


def through(link: Link, url: str) -> str:
    """`url` of a server as it is reached by this link."""
    parts = urlsplit(url)
    login, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{login}{at}{link.host}:{link.port}"))


@dataclass
class Slot:
    """A place in the stack that always holds a process of its kind."""

    name: str
    module: str
    settings: dict[str, str]
    postgres: Link
    redis: Link
    trap: Trap
    ready_url: str
    front: Link | None = None
    """Where clients come in; a listener has none."""
    cable: Cable | None = None
    """To its own network, where it has one."""
    clock: Clock | None = None
    """Its own time, where it can have one."""
    service: Service | None = None
    deaths: Counter[int] = field(default_factory=Counter)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self.service is not None:
            self.service.kill()

    @property
    def is_alive(self) -> bool:
        """Whether a process is running (frozen ones are)."""
        return self.service is not None and self.service.process.poll() is None


@dataclass
class Stage:
    """All of it. `slots` by name: gateway-0, gateway-1, listener-0, listener-1, api-0."""

    stack: Stack
    servers: Servers
    slots: dict[str, Slot]
    collapses: list[str] = field(default_factory=list)
    """Processes that ended without being killed, with the end of their logs."""
    opened_at: float = -math.inf
    """When all grants and prices were there, by the monotonic clock: no service's clock goes back beyond it."""

    def links(self) -> list[Link]:
        """Every link between a process and a server."""
        return [link for slot in self.slots.values() for link in (slot.postgres, slot.redis)]

    def fronts(self) -> list[str]:
        """Where charge points connect."""
        return [f"ws://{slot.front.host}:{slot.front.port}" for slot in self.of_kind("gateway") if slot.front]

    def of_kind(self, kind: str) -> list[Slot]:
        """The slots of gateways, listeners or apis."""
        return [slot for name, slot in self.slots.items() if name.startswith(kind)]

    @property
    def api_port(self) -> int:
        """Where people come in."""
        [front] = [slot.front for slot in self.of_kind("api") if slot.front]
        return front.port

    async def watch(self) -> None:
        """Restarts what died, for ever."""
        while True:
            for slot in self.slots.values():
                if not slot.is_alive:
                    await asyncio.sleep(RESTART_PAUSE_S)
                    self.start(slot)
            await asyncio.sleep(WATCH_EVERY_S)

    def start(self, slot: Slot) -> None:
        """Starts the process of a slot, without waiting for it."""
        if slot.service is not None and (code := slot.service.process.poll()) is not None:
            slot.deaths[code] += 1
            if code != -signal.SIGKILL:
                self.collapses.append(f"{slot.name} ended by itself with {code}: {slot.service.tail()}")
        inside = slot.cable.inside if slot.cable else []
        slot.service = self.stack.spawn(slot.name, slot.module, slot.settings, inside)

    async def all_ready(self) -> bool:
        """Whether every process says that it is ready."""
        return all([slot.is_alive and await answers(slot.ready_url) for slot in self.slots.values()])


@asynccontextmanager
async def set_up(folder: Path, prefix: str, direct: Mapping[str, str] | None = None) -> AsyncIterator[Stage]:
    """Two gateways, two listeners and an api on servers of their own; all of it ends with the block.

    With `direct` settings the processes reach their servers without the links, which cost more than the servers.
    """
    servers = Servers.start(folder)
    try:
        urls = await create_database(servers.postgres.url, "voltuj", "faults")
        migrated = await asyncio.to_thread(alembic, urls, "upgrade", "head")
        assert migrated.returncode == 0, migrated.stderr
        async with AsyncExitStack() as exits:
            stack = await exits.enter_async_context(Stack(folder, urls, servers.redis.url, prefix))
            stage = Stage(stack, servers, {})
            library = compile_library(folder) if direct is None else None
            surroundings = Surroundings(exits, servers, urls, library, direct is None and are_possible())
            for name in MODULES:
                stage.slots[name] = await surroundings.slot(name)
                if direct is not None:
                    own = {"DATABASE_URL": urls.application, "REDIS_URL": servers.redis.url}
                    stage.slots[name].settings.update(own | dict(direct))
                stage.start(stage.slots[name])
            watching = asyncio.create_task(stage.watch())
            exits.push_async_callback(_end, watching)
            await eventually(stage.all_ready, "the stack to be ready", READY_DEADLINE_S)
            yield stage
    finally:
        await asyncio.to_thread(servers.stop)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@dataclass
class Surroundings:
    """What each process gets of its own: links to the servers, a way in, and where possible a network and a clock."""

    exits: AsyncExitStack
    servers: Servers
    urls: DatabaseUrls
    clock_library: Path | None
    has_networks: bool

    async def slot(self, name: str) -> Slot:
        """An empty place for a process."""
        kind = name.partition("-")[0]
        committed: list[str] = []
        trap = Trap()
        cable = self.exits.enter_context(Cable()) if self.has_networks else None
        clock = Clock(self.clock_library, self.servers.folder / f"{name}.clock") if self.clock_library else None
        here, there = (cable.here, cable.there) if cable else (LOOPBACK, LOOPBACK)
        postgres = await self._link(here, self.servers.postgres_port, lambda: PostgresTap(trap, committed))
        redis = await self._link(here, self.servers.redis_port, lambda: RedisTap(trap, committed, kind))
        port, ready_port = free_port(), free_port()
        front = await self._front(kind, (there, port), trap)
        settings = {
            "DATABASE_URL": through(postgres, self.urls.application),
            "REDIS_URL": through(redis, self.servers.redis.url),
            **_addresses(kind, there, port, ready_port),
            **(clock.settings if clock else {}),
        }
        path = "metrics" if kind == "listener" else "readyz"
        ready_url = f"http://{there}:{port if kind == 'api' else ready_port}/{path}"
        slot = Slot(name, MODULES[name], settings, postgres, redis, trap, ready_url, front, cable, clock)
        trap.kill = slot.kill
        return slot

    async def _link(self, host: str, port: int, tap: Callable[[], Tap]) -> Link:
        return await self.exits.enter_async_context(Link((LOOPBACK, port), tap, host=host))

    async def _front(self, kind: str, target: tuple[str, int], trap: Trap) -> Link | None:
        """Where clients come in. It is on loopback, as those who come are in no network of their own."""
        if kind == "listener":
            return None
        return await self.exits.enter_async_context(Link(target, (lambda: HttpTap(trap)) if kind == "api" else None))


def _addresses(kind: str, host: str, port: int, ready_port: int) -> dict[str, str]:
    if kind == "gateway":
        return {
            "GATEWAY_HOST": host,
            "GATEWAY_PORT": str(port),
            "GATEWAY_OPERATIONS_HOST": host,
            "GATEWAY_OPERATIONS_PORT": str(ready_port),
        }
    if kind == "api":
        address = {"API_HOST": host, "API_PORT": str(port), "PUBLIC_API_URL": f"http://{host}:{port}"}
        return {**address, "BANK_ACCOUNT": BANK_ACCOUNT}
    return {"LISTENER_METRICS_HOST": host, "LISTENER_METRICS_PORT": str(ready_port)}
