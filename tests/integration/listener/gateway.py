"""The test's side of the wire: what a gateway sends to a listener, and a listener as a real process.

Only speaking and starting live here; what must hold is said in the tests.
"""

import asyncio
import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from standalone.databases import REPOSITORY
from tests.harness.stack import eventually
from wire.channels import Channels
from wire.messages import CallOutcome, ChargePointCall, Connect, Message, decode, encode

KEY = b"abcdefghijklmnopqrst"
KEY_DIGEST = hashlib.sha256(KEY).digest()
DEADLINE_S = 15.0
_sequence = count(1)


def call(
    charge_point_id: str, action: str, payload: dict[str, Any] | bytes, *, reply_to: str = "", **changes: Any
) -> ChargePointCall:
    """A CALL as the gateway hands it on; each is newer than the one before."""
    raw = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    now = time.time()
    values: dict[str, Any] = {
        "id": uuid.uuid4().hex, "charge_point_id": charge_point_id, "epoch": 1, "sequence": next(_sequence),
        "message_id": str(uuid.uuid4()), "action": action, "payload": raw, "received_at": now,
        "deadline": now + DEADLINE_S, "reply_to": reply_to,
    }  # fmt: skip
    return ChargePointCall(**(values | changes))


def iso(at: datetime) -> str:
    """A time as charge points write it."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


async def make_charge_point(connection: asyncpg.Connection, identity: str = "WALLBOX", **columns: Any) -> str:
    """A charge point and its owner; returns its id."""
    owner = await connection.fetchval(
        "insert into users (email, password_hash) values ($1, '') returning id", f"{uuid.uuid4().hex}@example.org"
    )
    made = await connection.fetchval(
        "insert into charge_points (owner_id, identity, key_digest) values ($1, $2, $3) returning id",
        owner, identity, KEY_DIGEST,
    )  # fmt: skip
    for name, value in columns.items():
        await connection.execute(f"update charge_points set {name} = $2 where id = $1", made, value)
    return str(made)


async def give_card(connection: asyncpg.Connection, charge_point_id: str, tag: str = "CARD1") -> None:
    """A card of the charge point's owner."""
    await connection.execute(
        "insert into id_tags (user_id, tag, kind) select owner_id, $2, 'card' from charge_points where id = $1",
        charge_point_id, tag,
    )  # fmt: skip


OWN_TARIFF = """
insert into tariffs (owner_id, name, charge_point_id) select owner_id, 'Own', id from charge_points where id = $1
on conflict do nothing
"""
OWN_VERSION = """
with version as (
    insert into tariff_versions (tariff_id, currency, elements, terms, valid_from, created_at)
    select id, 'CZK', $2::text::jsonb, $3::text::jsonb, $4, $4 from tariffs where charge_point_id = $1
    returning tariff_id)
insert into tariff_assignments (charge_point_id, tariff_id, assigned_at) select $1, tariff_id, $4 from version
"""


async def give_price(
    connection: asyncpg.Connection, charge_point_id: str, price_e4: int = 55000, since_hours: float = 24
) -> None:
    """A flat price per kWh in CZK, in force since then."""
    elements = [{"price_components": [{"type": "ENERGY", "price_e4": price_e4, "step_size": 1}]}]
    await give_tariff(connection, charge_point_id, elements, {}, datetime.now(UTC) - timedelta(hours=since_hours))


async def give_tariff(
    connection: asyncpg.Connection, charge_point_id: str, elements: list[Any], terms: dict[str, Any], since: datetime
) -> None:
    """A version of the charge point's own tariff in CZK, in force since then."""
    await connection.execute(OWN_TARIFF, charge_point_id)
    await connection.execute(
        OWN_VERSION, charge_point_id, orjson.dumps(elements).decode(), orjson.dumps(terms).decode(), since
    )


@dataclass
class Listener:
    """One `python -m api.listener`."""

    process: subprocess.Popen[bytes]
    log: Path

    def stop(self) -> int:
        """SIGTERM; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def end(self) -> None:
        """Whatever it takes."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait(10)

    def said(self) -> str:
        """Its log."""
        return self.log.read_text(errors="replace")


StartListener = Callable[..., Listener]


def start_listener(folder: Path, database_url: str, redis_url: str, prefix: str, **settings: str) -> Listener:
    """Starts a listener as production does."""
    log = folder / f"listener-{uuid.uuid4().hex[:6]}.log"
    environment = {
        "PATH": os.environ["PATH"], "DATABASE_URL": database_url, "REDIS_URL": redis_url, "REDIS_PREFIX": prefix,
        **settings,
    }  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "api.listener"], cwd=REPOSITORY, env=environment,
                                   stdout=output, stderr=subprocess.STDOUT)  # fmt: skip
    return Listener(process, log)


@dataclass
class Gateway:
    """One gateway's end of the wire: publishes to a listener's inbox and keeps what comes back."""

    redis: Redis
    channels: Channels
    gateway_id: str = "gw-test"
    outcomes: dict[str, Any] = field(default_factory=dict)
    publishes: int = 0

    @property
    def inbox(self) -> str:
        """Where listeners answer."""
        return self.channels.gateway_inbox(self.gateway_id)

    async def inboxes(self) -> list[str]:
        """The listeners that are up, as Redis knows them."""
        found = await self.redis.pubsub_channels(self.channels.listener_inboxes)
        return sorted(bytes(name).decode() for name in found if isinstance(name, bytes))

    async def wait_for_listeners(self, number: int) -> list[str]:
        """Waits until so many listeners are subscribed."""

        async def there() -> list[str]:
            with contextlib.suppress(RedisError, OSError):
                found = await self.inboxes()
                return found if len(found) == number else []
            return []

        if number == 0:

            async def gone() -> bool:
                return not await self.inboxes()

            await eventually(gone, "no listener")
            return []
        found: list[str] = await eventually(there, f"{number} listeners")
        return found

    async def send(self, messages: list[Message], listener: int = 0) -> None:
        """One PUBLISH to one listener."""
        inbox = (await self.inboxes())[listener]
        assert await self.redis.publish(inbox, encode(messages)) == 1

    async def outcome(self, message_id: str, deadline_s: float = 20.0) -> Any:
        """The outcome of a call, connect or command."""

        async def there() -> Any:
            return self.outcomes.get(message_id)

        return await eventually(there, "an outcome", deadline_s)

    async def ask(self, charge_point_id: str, action: str, payload: dict[str, Any] | bytes, **changes: Any) -> Any:
        """Sends one CALL and gives back the payload of its answer."""
        sent = call(charge_point_id, action, payload, reply_to=self.inbox, **changes)
        await self.send([sent])
        outcome: CallOutcome = await self.outcome(sent.id)
        assert not outcome.error_code, outcome
        return orjson.loads(outcome.payload)

    async def connect(self, identity: str = "WALLBOX", key: bytes = KEY, **changes: Any) -> Any:
        """A handshake; its outcome."""
        now = time.time()
        values: dict[str, Any] = {
            "id": uuid.uuid4().hex, "gateway_id": self.gateway_id, "identity": identity,
            "key_digests": [hashlib.sha256(key).digest()], "offered_subprotocol": True, "remote_address": "127.0.0.1",
            "secure": True, "received_at": now, "deadline": now + DEADLINE_S, "reply_to": self.inbox,
        }  # fmt: skip
        connect = Connect(**(values | changes))
        await self.send([connect])
        return await self.outcome(connect.id)

    async def receive(self) -> None:
        """Runs for ever: keeps every outcome by its id; subscribes anew when Redis comes back."""
        while True:
            try:
                async with self.redis.pubsub() as subscription:
                    await subscription.subscribe(self.inbox)
                    async for item in subscription.listen():
                        self._take(item)
            except (RedisError, OSError):
                await asyncio.sleep(0.05)

    def _take(self, item: dict[str, Any]) -> None:
        if item["type"] == "message":
            self.publishes += 1
            self.outcomes |= {message.id: message for message in decode(item["data"]) if hasattr(message, "id")}


@contextlib.asynccontextmanager
async def gateway_on(redis_url: str, prefix: str, gateway_id: str = "gw-test") -> AsyncIterator[Gateway]:
    """A gateway that is subscribed to its inbox."""
    redis = Redis.from_url(redis_url)
    gateway = Gateway(redis, Channels(prefix), gateway_id)
    receiving = asyncio.create_task(gateway.receive())

    async def subscribed() -> bool:
        return bool(await redis.pubsub_channels(gateway.inbox))

    try:
        await eventually(subscribed, "the gateway's subscription")
        yield gateway
    finally:
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
        await redis.aclose()
