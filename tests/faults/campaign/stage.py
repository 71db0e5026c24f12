"""The stack under fire: servers and services that come back by themselves, every connection through a link of ours.

Processes are started here as production starts them and restarted when they die, as a container engine would.
"""

import asyncio
import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psutil

from standalone.databases import DatabaseUrls, alembic, create_database
from standalone.servers import Server, ServerError, free_port, start_postgres, start_redis
from tests.faults.campaign.links import Link
from tests.faults.campaign.traps import PostgresTap, RedisTap, Trap
from tests.harness.stack import Service, Stack, answers, eventually

RESTART_PAUSE_S = 0.3
WATCH_EVERY_S = 0.1
SERVERS_DEADLINE_S = 60.0
DISK_MIB = 1024
BALLAST_CHUNK_BYTES = 1 << 20


def at_port(url: str, port: int) -> str:
    """`url` with another port on loopback."""
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    return urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{port}" if login else f"127.0.0.1:{port}"))


@dataclass
class Servers:
    """PostgreSQL and Redis on ports that they keep."""

    folder: Path
    postgres: Server
    postgres_port: int
    redis: Server
    redis_port: int
    has_own_disk: bool

    @classmethod
    def start(cls, folder: Path) -> "Servers":
        """Both, empty."""
        postgres_port, redis_port = free_port(), free_port()
        has_own_disk = mount_disk(folder / "postgres")
        postgres = start_postgres(folder / "postgres", port=postgres_port)
        redis = start_redis(folder / "redis", port=redis_port)
        return cls(folder, postgres, postgres_port, redis, redis_port, has_own_disk)

    async def crash_postgres(self) -> None:
        """kill -9 for PostgreSQL and all its processes, and a new start that recovers."""
        kill_tree(self.postgres.process.pid)
        self.postgres.process.wait()
        await self.start_postgres()

    async def start_postgres(self) -> None:
        """Starts it again; after a crash its memory may take a moment to be free."""

        async def started() -> bool:
            with suppress(ServerError):
                folder, port = self.folder / "postgres", self.postgres_port
                self.postgres = await asyncio.to_thread(start_postgres, folder, port=port)
                return True
            return False

        await eventually(started, "PostgreSQL to start again", SERVERS_DEADLINE_S)

    async def crash_redis(self) -> None:
        """kill -9 for Redis, and an empty one in its place."""
        self.redis.process.kill()
        self.redis.process.wait()
        self.redis = await asyncio.to_thread(start_redis, self.folder / "redis", port=self.redis_port)

    def fill_disk(self) -> None:
        """Leaves PostgreSQL without a byte to write."""
        with suppress(OSError), self._ballast.open("wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(BALLAST_CHUNK_BYTES))

    async def empty_disk(self) -> None:
        """Gives the space back; PostgreSQL, which may have died of it, is started again."""
        self._ballast.unlink(missing_ok=True)
        if self.postgres.process.poll() is not None:
            await self.start_postgres()

    @property
    def _ballast(self) -> Path:
        return self.folder / "postgres" / "ballast"

    def stop(self) -> None:
        """Ends both."""
        self.redis.stop()
        self.postgres.stop()
        if self.has_own_disk:
            subprocess.run(["umount", "--lazy", str(self.folder / "postgres")], check=False)


def mount_disk(folder: Path) -> bool:
    """A small file system for PostgreSQL, which root can make; without it the disk cannot be filled."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=0755", "voltuj-faults", str(folder)]
    return subprocess.run(mount, capture_output=True, check=False).returncode == 0


def kill_tree(pid: int) -> None:
    """SIGKILL for a process and those it started."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.send_signal(signal.SIGKILL)


@dataclass
class Slot:
    """A place in the stack that always holds a process of its kind."""

    name: str
    module: str
    settings: dict[str, str]
    postgres: Link
    redis: Link
    trap: Trap
    port: int
    ready_port: int
    front: Link | None = None
    """Where clients come in."""
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

    @property
    def is_frozen(self) -> bool:
        """Whether its process is stopped by SIGSTOP."""
        with suppress(psutil.NoSuchProcess):
            return self.service is not None and psutil.Process(self.service.process.pid).status() == "stopped"
        return False


@dataclass
class Stage:
    """All of it. `slots` by name: gateway-0, gateway-1, listener-0, listener-1, api-0."""

    stack: Stack
    servers: Servers
    slots: dict[str, Slot]

    def links(self) -> list[Link]:
        """Every link between a process and a server."""
        return [link for slot in self.slots.values() for link in (slot.postgres, slot.redis)]

    def fronts(self) -> list[str]:
        """Where charge points connect."""
        return [f"ws://127.0.0.1:{slot.front.port}" for slot in self.slots.values() if slot.front is not None]

    def of_kind(self, kind: str) -> list[Slot]:
        """The slots of gateways, listeners or apis."""
        return [slot for name, slot in self.slots.items() if name.startswith(kind)]

    @property
    def api_port(self) -> int:
        """Of the HTTP process."""
        return self.of_kind("api")[0].port

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
        slot.service = self.stack.spawn(slot.name, slot.module, slot.settings)

    async def all_ready(self) -> bool:
        """Whether every process says that it is ready."""
        return all([slot.is_alive and await answers(_readiness(slot)) for slot in self.slots.values()])


def _readiness(slot: Slot) -> str:
    return f"http://127.0.0.1:{slot.ready_port}/{'metrics' if slot.name.startswith('listener') else 'readyz'}"


@asynccontextmanager
async def set_up(folder: Path, prefix: str, direct: Mapping[str, str] | None = None) -> AsyncIterator[Stage]:
    """Two gateways, two listeners and an api on servers of their own; all of it ends with the block.

    With `direct` settings the processes reach their servers without the links, which cost more than the servers.
    """
    servers = await asyncio.to_thread(Servers.start, folder)
    try:
        urls = await create_database(servers.postgres.url, "voltuj", "faults")
        migrated = await asyncio.to_thread(alembic, urls, "upgrade", "head")
        assert migrated.returncode == 0, migrated.stderr
        async with AsyncExitStack() as exits:
            stack = await exits.enter_async_context(Stack(folder, urls, servers.redis.url, prefix))
            stage = Stage(stack, servers, {})
            for name in ("listener-0", "listener-1", "api-0", "gateway-0", "gateway-1"):
                stage.slots[name] = await _slot(exits, name, servers, urls)
                if direct is not None:
                    own = {"DATABASE_URL": urls.application, "REDIS_URL": servers.redis.url}
                    stage.slots[name].settings.update(own | dict(direct))
                stage.start(stage.slots[name])
            watching = asyncio.create_task(stage.watch())
            exits.push_async_callback(_end, watching)
            await eventually(stage.all_ready, "the stack to be ready", SERVERS_DEADLINE_S)
            yield stage
    finally:
        await asyncio.to_thread(servers.stop)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _slot(exits: AsyncExitStack, name: str, servers: Servers, urls: DatabaseUrls) -> Slot:
    committed: list[str] = []
    trap = Trap()
    is_gateway = name.startswith("gateway")
    postgres = await _link(exits, servers.postgres_port, lambda: PostgresTap(trap, committed))
    redis = await _link(exits, servers.redis_port, lambda: RedisTap(trap, committed, is_gateway=is_gateway))
    port, ready_port = free_port(), free_port()
    front = await _link(exits, port, None) if is_gateway else None
    settings = {
        "DATABASE_URL": at_port(urls.application, postgres.port),
        "REDIS_URL": at_port(servers.redis.url, redis.port),
        **_addresses(name, port, ready_port),
    }
    module = {"listener": "api.listener", "api": "api.app", "gateway": "ocpp_gateway"}[name.partition("-")[0]]
    ready = port if name.startswith("api") else ready_port
    slot = Slot(name, module, settings, postgres, redis, trap, port, ready, front)
    trap.kill = slot.kill
    return slot


async def _link(
    exits: AsyncExitStack, port: int, tap: Callable[[], PostgresTap] | Callable[[], RedisTap] | None
) -> Link:
    return await exits.enter_async_context(Link(("127.0.0.1", port), tap))


def _addresses(name: str, port: int, ready_port: int) -> dict[str, str]:
    if name.startswith("gateway"):
        return {
            "GATEWAY_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "GATEWAY_OPERATIONS_PORT": str(ready_port),
        }
    if name.startswith("api"):
        return {"API_HOST": "127.0.0.1", "API_PORT": str(port), "PUBLIC_API_URL": f"http://127.0.0.1:{port}"}
    return {"LISTENER_METRICS_PORT": str(ready_port)}
