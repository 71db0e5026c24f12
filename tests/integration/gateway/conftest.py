"""Gateways under test: the real process, or one in the test's own event loop where its durations must be short."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Any

import pytest
from pydantic import SecretStr

from ocpp_gateway.server import Gateway
from ocpp_gateway.settings import Settings
from ocpp_gateway.timing import Timing
from tests.harness.stack import eventually
from tests.integration.gateway.api_side import WAIT_S, ApiSide

QUICK = Timing(
    attempt_s=0.4,
    avoid_s=5.0,
    call_deadline_s=1.5,
    connect_deadline_s=1.5,
    membership_s=0.1,
    membership_empty_s=0.05,
    registry_refresh_s=0.3,
    log_flush_s=0.05,
    close_s=2.0,
    drain_s=2.0,
    tick_s=0.02,
)
PATIENT = replace(QUICK, attempt_s=30, call_deadline_s=60, connect_deadline_s=60)
"""For tests in which the api answers late, or a busy machine lets it."""


@dataclass
class Running:
    """A gateway under test."""

    port: int
    operations_port: int
    gateway: Gateway | None = None
    process: asyncio.subprocess.Process | None = None

    async def get(self, path: str) -> tuple[int, str]:
        """Asks the operations port; returns status and body."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.operations_port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        async with asyncio.timeout(WAIT_S):
            text = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
        head, _, body = text.partition("\r\n\r\n")
        return int(head.split(" ")[1]), body

    async def shows(self, line: str) -> None:
        """Waits until /metrics has this line."""

        async def shown() -> bool:
            return line in (await self.get("/metrics"))[1].splitlines()

        await eventually(shown, f"{line!r} in /metrics", WAIT_S)

    async def ready(self) -> None:
        """Waits for /readyz."""

        async def is_ready() -> bool:
            return (await self.get("/readyz"))[0] == 200

        await eventually(is_ready, "the gateway to be ready", WAIT_S)


Start = Callable[..., Awaitable[Running]]


@pytest.fixture
async def api(redis_url: str, redis_prefix: str) -> AsyncIterator[ApiSide]:
    """One listener that is up."""
    side = ApiSide(redis_url, redis_prefix)
    await side.start()
    yield side
    await side.close()


@pytest.fixture
async def second_api(redis_url: str, redis_prefix: str) -> AsyncIterator[ApiSide]:
    """Another listener, not started."""
    side = ApiSide(redis_url, redis_prefix)
    yield side
    await side.close()


@pytest.fixture
async def start_process(redis_url: str, redis_prefix: str) -> AsyncIterator[Start]:
    """Starts `python -m ocpp_gateway` with nothing but environment variables; returns when it listens."""
    started: list[Running] = []

    async def start(**environment: str) -> Running:
        own = {"REDIS_URL": redis_url, "REDIS_PREFIX": redis_prefix, "GATEWAY_HOST": "127.0.0.1"}
        own |= {"GATEWAY_PORT": "0", "GATEWAY_OPERATIONS_PORT": "0", "GATEWAY_HANDSHAKES_PER_MINUTE": "0"}
        own |= environment
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ocpp_gateway"), stdout=asyncio.subprocess.PIPE, env=os.environ | own
        )
        assert process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            while (line := json.loads(await process.stdout.readline()))["event"] != "started":
                pass
        started.append(Running(line["port"], line["operations_port"], process=process))
        return started[-1]

    yield start
    for running in started:
        if running.process is not None and running.process.returncode is None:
            running.process.terminate()
        if running.process is not None:
            await running.process.communicate()


@pytest.fixture
async def start_gateway(redis_url: str, redis_prefix: str) -> AsyncIterator[Start]:
    """Starts a gateway with short durations in this event loop; returns when it is ready to serve."""
    started: list[Running] = []

    async def start(
        *,
        timing: Timing = QUICK,
        ready: bool = True,
        url: str = redis_url,
        ping_s: float = 30,
        proxies: str = "",
        **bounds: Any,
    ) -> Running:
        settings = Settings(
            redis_url=SecretStr(url),
            redis_prefix=redis_prefix,
            gateway_host="127.0.0.1",
            gateway_port=0,
            gateway_operations_port=0,
            gateway_ping_interval_s=ping_s,
            gateway_trusted_proxies=[ip_network(proxies)] if proxies else [],
            **{"gateway_handshakes_per_minute": 0, **bounds},
        )
        gateway = Gateway(settings, timing)
        started.append(Running(*await gateway.start(), gateway=gateway))
        if ready:
            await started[-1].ready()
        return started[-1]

    yield start
    for running in started:
        if running.gateway is not None:
            await running.gateway.stop()
            assert not running.gateway.failed.done(), running.gateway.failed.exception()
