"""The whole of Voltuj as real processes on servers that a test may break. Starting and stopping live here.

Every process is started as production starts it (`python -m ...`, settings in the environment) and ends with the test.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
from redis.asyncio import Redis

from standalone.databases import REPOSITORY, DatabaseUrls
from standalone.servers import free_port
from wire.channels import Channels

START_DEADLINE_S = 30.0
STOP_DEADLINE_S = 20.0
JWT_SECRET = "only-for-tests-" + uuid.uuid4().hex


async def eventually(condition: Callable[[], Awaitable[Any]], what: str, deadline_s: float = 20.0) -> Any:
    """The first truthy result of `condition`, asked again and again until the deadline."""
    end = time.monotonic() + deadline_s
    while True:
        result = await condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {deadline_s:g} s (last: {result!r})")
        await asyncio.sleep(0.02)


@dataclass
class Service:
    """One process of the stack."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    port: int = 0
    operations_port: int = 0

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """SIGSTOP: the process keeps its sockets and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        """Asks it to end and returns its exit code."""
        self.thaw()
        self.process.terminate()
        try:
            return self.process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop:\n{self.tail()}") from None

    def tail(self) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])


@dataclass
class Stack:
    """The stack of one test. `database` and `redis_url` may point at servers of the test's own."""

    folder: Path
    database: DatabaseUrls
    redis_url: str
    prefix: str
    services: list[Service] = field(default_factory=list)

    @property
    def channels(self) -> Channels:
        """Channel names of this stack."""
        return Channels(self.prefix)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for service in reversed(self.services):
            if service.process.poll() is None:
                service.thaw()
                service.process.terminate()
        for service in self.services:
            try:
                await asyncio.to_thread(service.process.wait, STOP_DEADLINE_S)
            except subprocess.TimeoutExpired:
                service.kill()

    def spawn(self, name: str, module: str, settings: dict[str, str], inside: Sequence[str] = ()) -> Service:
        """Starts a process without waiting for it. `inside`: a command that becomes the one after it."""
        log = self.folder / f"{name}-{len(self.services)}.log"
        environment = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": self.database.application,
            "REDIS_URL": self.redis_url,
            "REDIS_PREFIX": self.prefix,
            "JWT_SECRET": JWT_SECRET,
            "PYTHONWARNINGS": "error::DeprecationWarning:api,error::DeprecationWarning:ocpp_gateway",
            "LOG_FORMAT": "console",
            "FILES_DIR": str(self.folder / "files"),
            "EMAIL_VERIFICATION": "off",
            "RATE_LIMIT_ADDRESS": "off",
            "RATE_LIMIT_ACCOUNT": "off",
            "GATEWAY_HANDSHAKES_PER_MINUTE": "0",
            "MAIL_DIR": str(self.folder / "mails"),
            **settings,
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*inside, sys.executable, "-m", module],
                cwd=REPOSITORY,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        service = Service(name, process, log)
        self.services.append(service)
        return service

    async def listener(self, **settings: str) -> Service:
        """Starts one more listener and waits until it is subscribed."""
        before = await self._inboxes()
        service = self.spawn("listener", "api.listener", settings)
        await self._until(service, lambda: self._has_more_inboxes(before))
        return service

    async def api(self, **settings: str) -> Service:
        """Starts one HTTP process and waits until it answers."""
        port = free_port()
        address = {"API_PORT": str(port), "API_HOST": "127.0.0.1", "PUBLIC_API_URL": f"http://127.0.0.1:{port}"}
        service = self.spawn("api", "api.app", {**address, **settings})
        service.port = port
        await self._until(service, lambda: answers(f"http://127.0.0.1:{port}/readyz"))
        return service

    async def gateway(self, **settings: str) -> Service:
        """Starts one gateway and waits until it takes charge points (a listener must be up)."""
        port, operations_port = free_port(), free_port()
        service = self.spawn(
            "gateway",
            "ocpp_gateway",
            {
                "GATEWAY_HOST": "127.0.0.1",
                "GATEWAY_PORT": str(port),
                "GATEWAY_OPERATIONS_PORT": str(operations_port),
                **settings,
            },
        )
        service.port, service.operations_port = port, operations_port
        await self._until(service, lambda: answers(f"http://127.0.0.1:{operations_port}/readyz"))
        return service

    async def _inboxes(self) -> set[bytes | str]:
        async with Redis.from_url(self.redis_url) as redis:
            return set(await redis.pubsub_channels(self.channels.listener_inboxes))

    async def _has_more_inboxes(self, before: set[bytes | str]) -> bool:
        return bool(await self._inboxes() - before)

    async def _until(self, service: Service, ready: Callable[[], Awaitable[bool]]) -> None:
        async def ready_or_dead() -> bool:
            if service.process.poll() is not None:
                raise AssertionError(f"{service.name} ended with {service.process.returncode}:\n{service.tail()}")
            return await ready()

        await eventually(ready_or_dead, f"{service.name} to be ready", START_DEADLINE_S)


async def answers(url: str) -> bool:
    async with httpx.AsyncClient(timeout=2) as client:
        try:
            return (await client.get(url)).status_code == 200
        except httpx.HTTPError:
            return False
