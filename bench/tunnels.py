"""What a WebSocket tunnel costs Apache: opens many through port 9000 of the production stack and prints a table.

`make bench-tunnels COUNT=10000`; nothing here is asserted. The wallboxes send Heartbeats only, which a gateway answers
itself: what it costs that they charge is measured by `make bench`.
"""

import argparse
import asyncio
import hashlib
import ssl
import sys
import time
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench.program import conduct
from bench.scenarios import most_open_files
from bench.usage import cpu_s, memory_kib
from bench.websocket import Link, upgrade
from tests.deploy.compose import DOMAIN, REPOSITORY, Production, production_environment

KEY: Final = "the-key-of-each-tunnel"
OPENING_AT_ONCE: Final = 100
SPARE: Final = 1000
"""Connections of Apache beside the tunnels."""
MEASURED: Final = ("apache", "ocpp_gateway")
IDLE_S: Final = 60
"""Two pings of the gateway to each wallbox."""
CHARGE_POINTS: Final = """
with owner as (insert into users (email, password_hash) values ('tunnels@example.org', '!') returning id)
insert into charge_points (owner_id, identity, key_digest, registration)
select id, 'tunnel-' || n, '\\x{digest}', 'Accepted' from owner, generate_series(1, {count}) n
"""


@dataclass
class Tunnel:
    """One wallbox: it answers what it is asked, and tells when its own CALL is answered."""

    number: int
    link: Link | None = None
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    lost: bool = False

    async def open(self, host: str, tls: ssl.SSLContext) -> None:
        """Opens it as far as the gateway's 101."""
        name = f"tunnel-{self.number}"
        request = upgrade(name, name, KEY)
        _, self.link = await asyncio.get_running_loop().create_connection(
            lambda: Link(request, self._heard, self._lost), host, 9000, ssl=tls, server_hostname=DOMAIN
        )
        await self.link.opened

    async def beat(self) -> None:
        """A Heartbeat and its answer."""
        if self.link is not None:
            self.answered.clear()
            self.link.send(b'[2,"1","Heartbeat",{}]')
            await self.answered.wait()

    def _heard(self, text: bytes) -> None:
        if text.startswith(b"[2,") and self.link is not None:
            self.link.send(b'[4,%b,"NotSupported","",{}]' % text.split(b",", 2)[1])
        elif text.startswith(b"[3,"):
            self.answered.set()

    def _lost(self) -> None:
        self.lost = True


@dataclass(frozen=True)
class Usage:
    """Of all replicas of each service: CPU seconds since they started, memory now."""

    at: float
    cpu_s: dict[str, float]
    memory_mib: dict[str, float]


def usage(production: Production) -> Usage:
    """As /proc tells it (PSS: memory that processes share counts once)."""
    pids = {name: [each["State"]["Pid"] for each in production.containers(name)] for name in MEASURED}
    return Usage(
        time.perf_counter(),
        {name: sum(map(cpu_s, found)) for name, found in pids.items()},
        {name: sum(map(memory_kib, found)) / 1024 for name, found in pids.items()},
    )


async def at_once(tasks: Iterable[Coroutine[Any, Any, None]]) -> None:
    """All of them, OPENING_AT_ONCE at a time."""
    gate = asyncio.Semaphore(OPENING_AT_ONCE)

    async def one(task: Coroutine[Any, Any, None]) -> None:
        async with gate:
            await task

    await asyncio.gather(*(one(task) for task in tasks))


def row(*cells: object) -> None:
    """A line of the table."""
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


async def measure(production: Production, steps: list[int]) -> None:
    """Opens up to each step, lets all beat once, then lets them be."""
    host = production.containers("apache")[0]["NetworkSettings"]["Networks"][f"{production.name}_outside"]["IPAddress"]
    empty = usage(production)
    tunnels: list[Tunnel] = []
    row("tunnels", "opened/s", "Apache MiB", "kB a tunnel", "gateways MiB", "CPU ms an opening: Apache", "gateways",
        "CPU us a Heartbeat: Apache", "gateways", "idle, % of a core: Apache", "gateways", "lost")  # fmt: skip
    row(*["---"] * 12)
    for step in steps:
        new = [Tunnel(number) for number in range(len(tunnels) + 1, step + 1)]
        before = usage(production)
        await at_once(tunnel.open(host, production.tls) for tunnel in new)
        opened = usage(production)
        tunnels += new
        await at_once(tunnel.beat() for tunnel in tunnels)
        beaten = usage(production)
        await asyncio.sleep(IDLE_S)
        idle = usage(production)
        memory = opened.memory_mib
        row(
            step,
            round(len(new) / (opened.at - before.at)),
            *(round(memory["apache"]), round((memory["apache"] - empty.memory_mib["apache"]) * 1024 / step)),
            round(memory["ocpp_gateway"]),
            *(round(1e3 * (opened.cpu_s[name] - before.cpu_s[name]) / len(new), 2) for name in MEASURED),
            *(round(1e6 * (beaten.cpu_s[name] - opened.cpu_s[name]) / step) for name in MEASURED),
            *(round(1e2 * (idle.cpu_s[name] - beaten.cpu_s[name]) / (idle.at - beaten.at), 1) for name in MEASURED),
            sum(tunnel.lost for tunnel in tunnels),
        )


def measure_all(arguments: argparse.Namespace, folder: Path) -> None:
    """From the images to the last row."""
    count = arguments.count
    sizes = {"APACHE_MAX_CONNECTIONS": str(count + SPARE), "APACHE_MEMORY": "3500m"}
    environment = production_environment(folder / ".env", **sizes)
    production = Production("voltuj-ci", "docker-compose.yaml", REPOSITORY, environment)
    production.down()
    try:
        scale = ("--scale", f"ocpp_gateway={arguments.gateways}")
        production.compose("up", "--build", "--detach", "--wait", *scale)
        production.read_authority()
        digest = hashlib.sha256(KEY.encode()).hexdigest()
        production.query(CHARGE_POINTS.format(digest=digest, count=count))
        asyncio.run(measure(production, [count * part // 10 for part in (1, 3, 10)]))
    finally:
        production.down()


def main() -> int:
    """The entry of the process; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--gateways", type=int, default=2)
    arguments = parser.parse_args()
    most_open_files()
    return conduct(partial(measure_all, arguments))


if __name__ == "__main__":
    sys.exit(main())
