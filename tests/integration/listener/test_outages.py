"""PostgreSQL and Redis going away under a listener, and its own orderly end: nothing acknowledged is lost."""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest

from api.charge_points.live import read_live
from standalone.databases import DatabaseUrls, alembic, create_database
from standalone.servers import Server, free_port, start_postgres, start_redis
from tests.conftest import FAST
from tests.harness.stack import eventually
from tests.integration.listener.gateway import (
    Gateway,
    StartListener,
    call,
    gateway_on,
    give_card,
    iso,
    make_charge_point,
)

NOW = datetime.now(UTC).replace(microsecond=0)


class OwnPostgres:
    """A PostgreSQL that a test may stop and start."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.server: Server
        self.start()

    def start(self) -> None:
        self.server = start_postgres(self.folder, port=self.port, options=FAST)

    def stop(self) -> None:
        self.server.stop()

    async def database(self, *, migrated: bool = True) -> DatabaseUrls:
        urls = await create_database(self.server.url, "voltuj", "test", roles="voltuj_outage")
        if migrated:
            self.migrate(urls)
        return urls

    def migrate(self, urls: DatabaseUrls) -> None:
        result = alembic(urls, "upgrade", "head")
        assert result.returncode == 0, result.stderr


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[OwnPostgres]:
    postgres = OwnPostgres(tmp_path / "postgres")
    yield postgres
    postgres.stop()


@contextlib.asynccontextmanager
async def connected(urls: DatabaseUrls) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(urls.application)
    try:
        yield connection
    finally:
        await connection.close()


class Wallbox:
    """Sends session after session as a queueing charge point does: again and again until it is acknowledged."""

    def __init__(self, gateway: Gateway, charge_point_id: str) -> None:
        self.gateway, self.id = gateway, charge_point_id
        self.acknowledged = 0
        self.register = 0

    async def say(self, action: str, payload: dict[str, Any]) -> Any:
        while True:
            message = call(self.id, action, payload, reply_to=self.gateway.inbox, deadline=time.time() + 4)
            with contextlib.suppress(AssertionError, IndexError):
                await self.gateway.send([message])
                outcome = await self.gateway.outcome(message.id, deadline_s=4)
                assert_no_error(outcome)
                self.acknowledged += 1
                return orjson.loads(outcome.payload)
            await asyncio.sleep(0.05)

    async def charge(self, until: asyncio.Event) -> None:
        while not until.is_set():
            at = iso(NOW - timedelta(hours=5) + timedelta(minutes=self.register))
            begun = {"connectorId": 1, "idTag": self.id[:18], "meterStart": self.register, "timestamp": at}
            started = (await self.say("StartTransaction", begun))["transactionId"]
            self.register += 1
            sample = {"timestamp": at, "sampledValue": [{"value": str(self.register)}]}
            await self.say("MeterValues", {"connectorId": 1, "transactionId": started, "meterValue": [sample]})
            at = iso(NOW - timedelta(hours=5) + timedelta(minutes=self.register))
            await self.say("StopTransaction", {"transactionId": started, "meterStop": self.register, "timestamp": at})


def assert_no_error(outcome: Any) -> None:
    if outcome.error_code:
        raise RuntimeError(f"a CALLERROR for our own failure: {outcome}")


async def test_a_restart_under_load_loses_nothing_and_answers_no_callerror(
    postgres: OwnPostgres, gateway: Gateway, listen: StartListener
) -> None:
    urls = await postgres.database()
    async with connected(urls) as connection:
        wallboxes = [Wallbox(gateway, await make_charge_point(connection, f"BOX{n}")) for n in range(6)]
    listen(database_url=urls.application)
    await gateway.wait_for_listeners(1)
    stop = asyncio.Event()
    charging = [asyncio.create_task(wallbox.charge(stop)) for wallbox in wallboxes]

    async def all_have(number: int) -> None:
        async def reached() -> bool:
            return all(wallbox.acknowledged >= number for wallbox in wallboxes)

        await eventually(reached, "wallboxes charge")

    await all_have(10)
    await asyncio.to_thread(postgres.stop)
    await asyncio.to_thread(postgres.start)
    await all_have(max(wallbox.acknowledged for wallbox in wallboxes) + 10)
    stop.set()
    await asyncio.gather(*charging)
    async with connected(urls) as connection:
        for wallbox in wallboxes:
            rows = await connection.fetch("select * from transactions where charge_point_id = $1", wallbox.id)
            assert len(rows) == wallbox.register
            assert {row["status"] for row in rows} == {"stopped"}
            assert sum(row["energy_wh"] for row in rows) == wallbox.register
            assert {len(row["held_reasons"]) for row in rows} == {1}, "only that the card is not ours"
        assert await connection.fetchval("select count(*) from meter_values") == sum(w.register for w in wallboxes)
        assert await connection.fetchval("select count(*) from unprocessed") == 0


async def test_when_postgres_stays_away_the_listener_leaves_and_comes_back(
    postgres: OwnPostgres, gateway: Gateway, listen: StartListener
) -> None:
    urls = await postgres.database()
    async with connected(urls) as connection:
        wallbox = await make_charge_point(connection)
    listen(database_url=urls.application)
    await gateway.wait_for_listeners(1)
    await asyncio.to_thread(postgres.stop)
    start = {"connectorId": 1, "idTag": "X", "meterStart": 1, "timestamp": iso(NOW)}
    in_hand = call(wallbox, "StartTransaction", start, reply_to=gateway.inbox, deadline=time.time() + 30)
    await gateway.send([in_hand])
    await gateway.wait_for_listeners(0)
    await asyncio.to_thread(postgres.start)
    answered = await gateway.outcome(in_hand.id)
    assert orjson.loads(answered.payload)["transactionId"] > 0, "what was in hand is done"
    await gateway.wait_for_listeners(1)
    assert await gateway.ask(wallbox, "StartTransaction", start) == orjson.loads(answered.payload)


async def test_it_starts_before_its_database_and_waits_for_the_migrations(
    postgres: OwnPostgres, gateway: Gateway, listen: StartListener
) -> None:
    urls = await postgres.database(migrated=False)
    await asyncio.to_thread(postgres.stop)
    listener = listen(database_url=urls.application)

    def says(text: str) -> Any:
        async def said() -> bool:
            return text in listener.said()

        return eventually(said, text)

    await says("PostgreSQL is away")
    await asyncio.to_thread(postgres.start)
    await says("run: alembic upgrade head")
    assert await gateway.inboxes() == []
    await asyncio.to_thread(postgres.migrate, urls)
    await gateway.wait_for_listeners(1)


async def test_it_can_be_stopped_while_it_waits_and_says_what_it_measures(
    gateway: Gateway, listen: StartListener
) -> None:
    port = free_port()
    waiting = listen(database_url=f"postgresql://nobody@127.0.0.1:{free_port()}/none", LISTENER_METRICS_PORT=str(port))

    async def waits() -> bool:
        return "PostgreSQL is away" in waiting.said()

    await eventually(waits, "the log says so")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
    assert b"voltuj_listener_subscribed 0.0" in await reader.read()
    writer.close()
    assert await asyncio.to_thread(waiting.stop) == 0
    assert await gateway.inboxes() == []


async def test_redis_gone_at_the_start_restarted_and_emptied(
    connection: asyncpg.Connection, tmp_path: Path, redis_prefix: str, listen: StartListener
) -> None:
    wallbox = await make_charge_point(connection)
    await give_card(connection, wallbox)
    server = start_redis(tmp_path / "redis")
    try:
        await asyncio.to_thread(server.stop)
        listener = listen(redis=server.url)

        async def waits() -> bool:
            return "Redis is away" in listener.said()

        await eventually(waits, "the log says so")
        server = await asyncio.to_thread(start_redis, tmp_path / "redis")
        async with gateway_on(server.url, redis_prefix) as gateway:
            await gateway.wait_for_listeners(1)
            start = {"connectorId": 1, "idTag": "CARD1", "meterStart": 1, "timestamp": iso(NOW)}
            started = await gateway.ask(wallbox, "StartTransaction", start, epoch=3)
            status = {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}
            await gateway.ask(wallbox, "StatusNotification", status, epoch=3)
            reading = {"timestamp": iso(NOW), "sampledValue": [{"value": "42"}]}
            values = {"connectorId": 1, "transactionId": started["transactionId"], "meterValue": [reading]}
            await gateway.ask(wallbox, "MeterValues", values, epoch=3)

            async def rebuilt() -> bool:
                live = (await read_live(gateway.redis, gateway.channels, wallbox)).connectors.get(1)
                return live is not None and (live.status, live.energy_wh) == ("Charging", 42)

            await eventually(rebuilt, "the live state")
            before = (await read_live(gateway.redis, gateway.channels, wallbox)).connectors
            await gateway.redis.flushall()
            await eventually(rebuilt, "the live state after FLUSHALL", 10)
            assert (await read_live(gateway.redis, gateway.channels, wallbox)).connectors == before
            await asyncio.to_thread(server.stop)
            server = await asyncio.to_thread(start_redis, tmp_path / "redis")
            await gateway.wait_for_listeners(1)
            await eventually(rebuilt, "the live state after a restart", 10)
            assert await gateway.ask(wallbox, "StartTransaction", start) == started
    finally:
        await asyncio.to_thread(server.stop)


async def test_a_stale_epoch_never_changes_the_live_state(
    connection: asyncpg.Connection, gateway: Gateway, listen: StartListener
) -> None:
    wallbox = await make_charge_point(connection)
    listen()
    await gateway.wait_for_listeners(1)

    async def measure(epoch: int, value: str) -> None:
        reading = {"timestamp": iso(NOW), "sampledValue": [{"value": value}]}
        await gateway.ask(wallbox, "MeterValues", {"connectorId": 1, "meterValue": [reading]}, epoch=epoch)

    async def shown() -> int | None:
        live = await read_live(gateway.redis, gateway.channels, wallbox)
        return live.connectors[1].energy_wh if 1 in live.connectors else None

    await measure(9, "100")
    await measure(8, "50")
    await measure(9, "101")
    assert await shown() == 101
    await measure(8, "51")
    await gateway.ask(wallbox, "DataTransfer", {"vendorId": "after"}, epoch=9)
    assert await shown() == 101
    assert await connection.fetchval("select count(*) from meter_values") == 4, "late values are committed all the same"


async def test_what_was_taken_is_answered_before_the_end(
    connection: asyncpg.Connection, gateway: Gateway, listen: StartListener
) -> None:
    wallboxes = [await make_charge_point(connection, f"BOX{n}") for n in range(30)]
    listener = listen()
    (inbox,) = await gateway.wait_for_listeners(1)
    sent = []
    for round_ in range(10):
        for wallbox in wallboxes:
            reading = {"timestamp": iso(NOW), "sampledValue": [{"value": str(round_)}]}
            sent.append(
                call(wallbox, "MeterValues", {"connectorId": 1, "meterValue": [reading]}, reply_to=gateway.inbox)
            )
            start = {"connectorId": 1, "idTag": "X", "meterStart": round_, "timestamp": iso(NOW)}
            sent.append(call(wallbox, "StartTransaction", start, reply_to=gateway.inbox))
    await gateway.send([*sent])
    status = await asyncio.to_thread(listener.stop)
    assert status == 0
    assert await gateway.redis.publish(inbox, b"") == 0
    for message in sent:
        assert not (await gateway.outcome(message.id)).error_code
    assert await connection.fetchval("select count(*) from transactions") == 300
    assert await connection.fetchval("select count(*) from meter_values") == 300


async def test_two_listeners_take_the_same_start_at_once(
    connection: asyncpg.Connection, gateway: Gateway, listen: StartListener
) -> None:
    wallboxes = [await make_charge_point(connection, f"BOX{n}") for n in range(10)]
    for _ in range(2):
        listen()
    await gateway.wait_for_listeners(2)
    start = {"connectorId": 1, "idTag": "X", "meterStart": 1, "timestamp": iso(NOW)}
    pairs = [
        [call(wallbox, "StartTransaction", start, reply_to=gateway.inbox) for _ in range(2)] for wallbox in wallboxes
    ]
    for first, second in pairs:
        await asyncio.gather(gateway.send([first], 0), gateway.send([second], 1))
    for first, second in pairs:
        assert (await gateway.outcome(first.id)).payload == (await gateway.outcome(second.id)).payload
    assert await connection.fetchval("select count(*) from transactions") == len(wallboxes)


async def test_a_listener_frozen_in_a_transaction_does_not_stall_its_charge_points(
    pool: asyncpg.Pool, connection: asyncpg.Connection, gateway: Gateway, listen: StartListener
) -> None:
    wallbox = await make_charge_point(connection)
    listen()
    await gateway.wait_for_listeners(1)
    async with pool.acquire() as frozen:
        await frozen.execute("begin")
        await frozen.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))".replace("$1", f"'{wallbox}'"))
        start = {"connectorId": 1, "idTag": "X", "meterStart": 1, "timestamp": iso(NOW)}
        assert (await gateway.ask(wallbox, "StartTransaction", start))["transactionId"] > 0


async def test_handshakes_through_the_process(
    connection: asyncpg.Connection, gateway: Gateway, listen: StartListener
) -> None:
    await make_charge_point(connection)
    listener = listen()
    await gateway.wait_for_listeners(1)
    assert (await gateway.connect("NOBODY")).status == "unknown_identity"
    assert (await gateway.connect("WALL\0BOX")).status == "refused"
    assert (await gateway.connect(key=b"tried-this-secret-key")).status == "wrong_key"
    both = await asyncio.gather(*(gateway.connect() for _ in range(5)), gateway.connect("A\0"))
    assert [outcome.status for outcome in both] == ["accepted"] * 5 + ["refused"]
    assert hashlib.sha256(b"tried-this-secret-key").hexdigest() not in listener.said()
