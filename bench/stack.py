"""Starts what is measured: the whole of Voltuj on embedded servers, and the anchors beside it. Measures nothing.

Every process is started as production starts it; the charge points of the load are put into the database directly.
"""

import asyncio
import hashlib
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg
import orjson
import redis

from bench.traffic import IDLE_CONNECTOR, SESSION_CONNECTOR, id_tag, identity
from standalone.databases import REPOSITORY, DatabaseUrls, alembic, create_database
from standalone.servers import free_port, start_postgres, start_redis
from standalone.tether import tether
from wire.channels import Channels

PREFIX: Final = "bench:"
API_URL: Final = "http://api.bench"
"""By which tokens are issued."""
START_S: Final = 60.0
STOP_S: Final = 20.0
TARIFF: Final = [
    {
        "price_components": [
            {"type": "ENERGY", "price_e4": 85_000, "vat_bp": 2100, "step_size": 1},
            {"type": "FLAT", "price_e4": 50_000, "vat_bp": 2100, "step_size": 1},
        ]
    }
]
POSTGRES_OPTIONS: Final = ("-c", "shared_buffers=256MB", "-c", "max_connections=200")


class BenchError(Exception):
    """The run cannot go on; the message says why."""


@dataclass
class Target:
    """Something under load: where it listens, and the processes whose cost counts."""

    name: str
    port: int
    processes: dict[str, int]


class Stack:
    """The servers, services and anchors of one run, ended together."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = secrets.token_urlsafe(15)
        self._ending = ExitStack()
        self._database: DatabaseUrls | None = None
        self._redis_url = ""
        self._shared: dict[str, int] = {}

    def close(self) -> None:
        """Ends everything, the last first."""
        self._ending.close()

    def start_servers(self) -> None:
        """PostgreSQL, migrated, and Redis."""
        postgres = start_postgres(self.folder / "postgres", options=POSTGRES_OPTIONS)
        self._ending.callback(postgres.stop)
        redis_server = start_redis(self.folder / "redis")
        self._ending.callback(redis_server.stop)
        self._redis_url = redis_server.url
        self._database = asyncio.run(create_database(postgres.url, "voltuj", "bench"))
        migrated = alembic(self._database, "upgrade", "head")
        if migrated.returncode != 0:
            raise BenchError(f"alembic upgrade head failed: {migrated.stderr[-500:]}")
        self._shared = {"postgresql": postgres.process.pid, "redis": redis_server.process.pid}

    def start_listener(self) -> int:
        """One more listener, and its process id; it is ready when it is subscribed."""
        client = redis.Redis.from_url(self._redis_url)
        pattern = Channels(PREFIX).listener_inboxes
        before = len(client.pubsub_channels(pattern))
        process = self._spawn("listener", ["-m", "api.listener"], {})
        self._until(process, lambda: len(client.pubsub_channels(pattern)) > before)
        client.close()
        self._shared["listener"] = process.pid
        return process.pid

    def start_gateway(self) -> Target:
        """One more gateway."""
        port, operations_port = free_port(), free_port()
        settings = {
            "GATEWAY_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "GATEWAY_OPERATIONS_PORT": str(operations_port),
            "GATEWAY_HANDSHAKES_PER_MINUTE": "0",
        }
        process = self._spawn("gateway", ["-m", "ocpp_gateway"], settings)
        self._until(process, lambda: _is_ready(f"http://127.0.0.1:{operations_port}/readyz"))
        return Target("voltuj", port, {"gateway": process.pid, **self._shared})

    def start_api(self, jwt_secret: str, rate: str = "off") -> Target:
        """One more HTTP process; `rate` limits how often an address and an account may ask."""
        port = free_port()
        settings = {
            "API_PORT": str(port),
            "API_HOST": "127.0.0.1",
            "PUBLIC_API_URL": API_URL,
            "JWT_SECRET": jwt_secret,
            "RATE_LIMIT_ADDRESS": rate,
            "RATE_LIMIT_ACCOUNT": rate,
            "FILES_DIR": str(self.folder / "files"),
            "MAIL_DIR": str(self.folder / "mails"),
        }
        process = self._spawn("api", ["-m", "api.app"], settings)
        self._until(process, lambda: _is_ready(f"http://127.0.0.1:{port}/readyz"))
        return Target("api", port, {"api": process.pid, **self._shared})

    def start_anchor(self, kind: str) -> Target:
        """A server of `bench.anchors`, in the state in which one is that has seen a connection end.

        Before that, glibc maps and unmaps memory for every read of asyncio, and a message costs about twice as much.
        """
        port = free_port()
        process = self._spawn(kind, ["-m", "bench.anchors", kind, str(port)], {})
        self._until(process, lambda: _listens(port))
        return Target(kind, port, {kind: process.pid})

    def _spawn(self, name: str, arguments: list[str], settings: dict[str, str]) -> subprocess.Popen[bytes]:
        database = self._database
        environment = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": database.application if database else "",
            "REDIS_URL": self._redis_url,
            "REDIS_PREFIX": PREFIX,
            **settings,
        }
        with (self.folder / f"{name}-{time.monotonic_ns()}.log").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=REPOSITORY,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # to the scheduler a group of its own, as a container is
                preexec_fn=tether(signal.SIGTERM),  # noqa: PLW1509 - only a system call, from the main thread
            )
        self._ending.callback(_end, process)
        return process

    def _until(self, process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> None:
        end = time.monotonic() + START_S
        while not ready():
            if process.poll() is not None or time.monotonic() > end:
                raise BenchError(f"{process.args!r} does not start; its log is in {self.folder}")
            time.sleep(0.05)

    def make_charge_points(self, first: int, count: int) -> None:
        """Charge points with a tariff, a tag a connector, and a grant for the driver who holds the tags."""
        asyncio.run(self._make_charge_points(range(first, first + count)))

    async def _make_charge_points(self, numbers: range) -> None:
        connection = await self.connect()
        try:
            await insert_charge_points(connection, self.key, numbers)
        finally:
            await connection.close()

    def rows(self) -> Counter[str]:
        """How many effects of each action are committed: its own rows, and the message log's.

        A CALL that missed an attempt and was processed twice is in the log twice; it counts once.
        """
        return asyncio.run(self._rows())

    async def _rows(self) -> Counter[str]:
        connection = await self.connect()
        try:
            return Counter({row["what"]: int(row["count"]) for row in await connection.fetch(ROWS)})
        finally:
            await connection.close()

    async def connect(self) -> asyncpg.Connection:
        """As the owner of the tables."""
        if self._database is None:
            raise BenchError("PostgreSQL is not started")
        return await asyncpg.connect(self._database.owner)


async def insert_charge_points(connection: asyncpg.Connection, key: str, numbers: range) -> None:
    """They share an owner, a driver and a key."""
    async with connection.transaction():
        owner, driver = [await _user(connection, f"{who}-{numbers.start}@bench") for who in ("owner", "driver")]
        digest = hashlib.sha256(key.encode()).digest()
        names = [identity(number) for number in numbers]
        rows = await connection.fetch(CHARGE_POINTS, owner, digest, names)
        ids = [row["id"] for row in rows]
        since = datetime.now(UTC) - timedelta(days=60)
        await connection.execute(TARIFFS, ids, orjson.dumps(TARIFF).decode(), since)
        await connection.execute(GRANTS, ids, driver, since)
        tags = [id_tag(number, place) for number in numbers for place in (IDLE_CONNECTOR, SESSION_CONNECTOR)]
        await connection.execute(ID_TAGS, driver, tags)
    await connection.execute("analyze")


CHARGE_POINTS: Final = """
insert into charge_points (owner_id, identity, key_digest, rated_power_w)
select $1, name, $2, 22000 from unnest($3::text[]) as name returning id
"""
TARIFFS: Final = """
with own as (
    insert into tariffs (owner_id, name, charge_point_id)
    select owner_id, 'Own', id from charge_points where id = any($1::uuid[]) returning id, charge_point_id
), version as (
    insert into tariff_versions (tariff_id, currency, elements, valid_from)
    select id, 'CZK', $2::text::jsonb, $3 from own
)
insert into tariff_assignments (charge_point_id, tariff_id, assigned_at) select charge_point_id, id, $3 from own
"""
GRANTS: Final = (
    "insert into grants (charge_point_id, user_id, valid_from) select id, $2, $3 from unnest($1::uuid[]) as id"
)
ID_TAGS: Final = "insert into id_tags (user_id, tag, kind) select $1, tag, 'card' from unnest($2::text[]) as tag"
ROWS: Final = """
select action || ' logged' as what, count(distinct (charge_point_id, epoch, message_id)) as count from message_log
    where direction = 'in' and message_type = 2 and action <> 'Heartbeat' group by action
union all select 'MeterValues', count(*) from meter_values
union all select 'BootNotification', coalesce(sum(boot_count), 0) from charge_points
union all select 'StartTransaction', count(*) from transactions
union all select 'StopTransaction', count(*) from transaction_stops where applied
union all select 'rated', count(*) from transactions where total_minor is not null
union all select 'held', count(*) from transactions where held_reasons <> '{}'
union all select 'refused', count(*) from transactions where id_tag_status <> 'Accepted'
union all select 'unprocessed', count(*) from unprocessed
"""


async def _user(connection: asyncpg.Connection, email: str) -> Any:  # noqa: ANN401 - a UUID; asyncpg is untyped
    return await connection.fetchval(
        "insert into users (email, password_hash) values ($1, '!') returning id", email.lower()
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - our own loopback address
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _listens(port: int) -> bool:
    try:
        asyncio.run(_touch(port))
    except OSError:
        return False
    return True


async def _touch(port: int) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
