"""The promise under fire: what was acknowledged is in PostgreSQL, once, whatever dies in between (DESIGN 2)."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from ocpp.v16 import call
from redis.asyncio import Redis

from tests.faults.campaign.links import Link
from tests.harness.fixtures import OwnServers, Running, run
from tests.harness.person import Person
from tests.harness.stack import Stack, eventually
from tests.harness.wallbox import Wallbox

OUTAGE_S = 20


async def begin(running: Running) -> tuple[Wallbox, str, int, dict[str, Any]]:
    """A booted wallbox in a running session: (wallbox, id tag, OCPP transaction id, charge point)."""
    created, card = await running.owner.wallbox(), await running.owner.card()
    wallbox = Wallbox(running.url, created["identity"], created["key"])
    await wallbox.connect()
    await wallbox.boot()
    started = await wallbox.start(card, 1000, at=wallbox.began_at)
    await wallbox.meter(started.transaction_id, 1050)
    return wallbox, card, started.transaction_id, created


async def the_transaction(owner: Person) -> Any:
    [transaction] = (await owner.get("/transactions"))["items"]
    return transaction


async def stop_rows(urls_application: str) -> tuple[int, int]:
    """(stopped transactions, stored stops)."""
    connection = await asyncpg.connect(urls_application)
    try:
        stopped = await connection.fetchval("select count(*) from transactions where status = 'stopped'")
        return stopped, await connection.fetchval("select count(*) from transaction_stops")
    finally:
        await connection.close()


class LockedTransactions:
    """A lock in PostgreSQL that lets nobody change transactions: a Stop stands still before its commit."""

    def __init__(self, owner_url: str) -> None:
        self.owner_url = owner_url

    async def __aenter__(self) -> "LockedTransactions":
        self.connection = await asyncpg.connect(self.owner_url)
        self.lock = self.connection.transaction()
        await self.lock.start()
        await self.connection.execute("lock table transactions in share mode")
        return self

    async def somebody_waits(self) -> bool:
        waiting = await self.connection.fetchval(
            "select count(*) from pg_locks where not granted and relation = 'transactions'::regclass"
        )
        return bool(waiting)

    async def __aexit__(self, *_: object) -> None:
        await self.lock.rollback()
        await self.connection.close()


async def test_killed_before_the_commit_of_a_stop(fragile: Running) -> None:
    wallbox, card, ocpp_id, _ = await begin(fragile)
    async with LockedTransactions(fragile.stack.database.owner) as locked:
        stopping = asyncio.create_task(wallbox.stop(ocpp_id, 3000, card, at=wallbox.ended_at))
        await eventually(locked.somebody_waits, "the Stop to stand before its commit")
        fragile.listener.kill()
    assert (await the_transaction(fragile.owner))["status"] == "active"
    await fragile.stack.listener()
    await stopping
    transaction = await the_transaction(fragile.owner)
    assert (transaction["status"], transaction["energy_wh"], transaction["total_minor"]) == ("stopped", 2000, 1100)
    assert await stop_rows(fragile.stack.database.application) == (1, 1)
    assert wallbox.call_errors == []
    await wallbox.disconnect()


async def test_killed_after_the_commit_and_before_the_answer(
    tmp_path: Path, own_servers: OwnServers, redis_prefix: str
) -> None:
    async with (
        Link(("127.0.0.1", own_servers.redis_port)) as link,
        Stack(tmp_path, own_servers.urls, own_servers.redis.url, redis_prefix) as stack,
    ):
        listener = await stack.listener(REDIS_URL=f"redis://127.0.0.1:{link.port}/0")
        api, gateway = await stack.api(), await stack.gateway()
        running = Running(stack, listener, api, gateway, await Person.register(api.port))
        wallbox, card, ocpp_id, _ = await begin(running)
        async with LockedTransactions(stack.database.owner) as locked:
            stopping = asyncio.create_task(wallbox.stop(ocpp_id, 3000, card, at=wallbox.ended_at))
            await eventually(locked.somebody_waits, "the Stop to stand before its commit")
            link.hold()

        async def committed() -> bool:
            return (await stop_rows(stack.database.application)) == (1, 1)

        await eventually(committed, "the commit of the Stop")
        assert not stopping.done(), "the answer is held back"
        listener.kill()
        await link.cut()
        link.release()
        await stack.listener()
        await stopping
        assert await stop_rows(stack.database.application) == (1, 1)
        transaction = await the_transaction(running.owner)
        assert (transaction["status"], transaction["total_minor"]) == ("stopped", 1100)
        assert transaction["held_reasons"] == []
        assert wallbox.call_errors == []
        await wallbox.disconnect()
        await running.owner.close()


async def live_connector(running: Running, charge_point_id: str) -> dict[str, Any]:
    items = (await running.owner.get(f"/charge-points/{charge_point_id}/connectors"))["items"]
    return next((item for item in items if item["connector_id"] == 1), {})


async def live_keys_are_back(running: Running, charge_point_id: str) -> bool:
    """Whether Redis itself knows again what is true now."""
    channels = running.stack.channels
    async with Redis.from_url(running.stack.redis_url) as redis:
        try:
            present = await redis.exists(channels.connection(charge_point_id), channels.live(charge_point_id))
        except OSError:
            return False
    connector = await live_connector(running, charge_point_id)
    seen = await running.owner.get(f"/charge-points/{charge_point_id}")
    return bool(present == 2 and seen["online"] and connector.get("status") == "Charging" and connector["power_w"])


@pytest.mark.parametrize("how", ["flushed", "restarted"])
async def test_redis_loses_everything_in_mid_session(fragile: Running, own_servers: OwnServers, how: str) -> None:
    wallbox, card, ocpp_id, created = await begin(fragile)
    await wallbox.status(1, "Charging")
    assert await live_keys_are_back(fragile, created["id"]), "the live state is there before"
    if how == "flushed":
        async with Redis.from_url(fragile.stack.redis_url) as redis:
            await redis.flushall()
    else:
        own_servers.redis.stop()
        own_servers.start_redis()
    await eventually(lambda: live_keys_are_back(fragile, created["id"]), "the live state", deadline_s=10)
    await wallbox.meter(ocpp_id, 2000)
    await wallbox.stop(ocpp_id, 3000, card, at=wallbox.ended_at)
    transaction = await the_transaction(fragile.owner)
    assert (transaction["status"], transaction["energy_wh"]) == ("stopped", 2000)
    values = (await fragile.owner.get(f"/transactions/{transaction['id']}/meter-values"))["items"]
    assert [value["energy_wh"] for value in values] == [1050, 2000]
    assert wallbox.call_errors == []
    await wallbox.disconnect()


@pytest.mark.slow
async def test_postgresql_is_away_for_twenty_seconds(fragile: Running, own_servers: OwnServers) -> None:
    wallbox, card, ocpp_id, _ = await begin(fragile)
    own_servers.postgres.stop()
    outage = asyncio.get_running_loop().time() + OUTAGE_S
    stopping = asyncio.create_task(wallbox.stop(ocpp_id, 3000, card, at=wallbox.ended_at))

    async def outage_is_over() -> bool:
        assert not stopping.done(), "nothing is acknowledged while PostgreSQL is away"
        return asyncio.get_running_loop().time() > outage

    await eventually(outage_is_over, "twenty seconds", deadline_s=OUTAGE_S + 10)
    own_servers.start_postgres()
    await stopping
    assert wallbox.call_errors == []
    assert set(wallbox.closes) <= {1013}
    assert set(wallbox.refusals) <= {503}
    transaction = await eventually(lambda: stopped(fragile.owner), "the transaction to be readable")
    assert transaction["energy_wh"] == 2000
    assert await stop_rows(fragile.stack.database.application) == (1, 1)
    await wallbox.disconnect()


async def stopped(owner: Person) -> Any:
    with suppress(AssertionError):
        return await the_transaction(owner)
    return None


async def test_a_frozen_listener_is_replaced_by_another(fragile: Running) -> None:
    second = await fragile.stack.listener()
    sessions = [await begin(fragile) for _ in range(4)]
    fragile.listener.freeze()
    try:
        for wallbox, card, ocpp_id, _ in sessions:
            await wallbox.stop(ocpp_id, 3000, card, at=wallbox.ended_at)
            assert wallbox.call_errors == []
            assert wallbox.closes == []
        assert await stop_rows(fragile.stack.database.application) == (4, 4)
    finally:
        fragile.listener.thaw()
    assert second.process.poll() is None
    # what the frozen one still held must change nothing when it wakes up
    for wallbox, card, ocpp_id, _ in sessions:
        await wallbox.stop(ocpp_id, 3000, card, at=wallbox.ended_at)
        await wallbox.disconnect()
    assert await stop_rows(fragile.stack.database.application) == (4, 4)


async def test_a_gateway_that_is_stopped_says_so_and_loses_nothing(fragile: Running) -> None:
    wallbox, card, ocpp_id, _ = await begin(fragile)
    assert fragile.gateway.stop() == 0
    second = await fragile.stack.gateway()
    wallbox.url = f"ws://127.0.0.1:{second.port}"
    await wallbox.stop(ocpp_id, 3000, card, at=wallbox.ended_at)
    assert wallbox.closes == [1012]
    assert await stop_rows(fragile.stack.database.application) == (1, 1)
    await wallbox.disconnect()


async def test_everything_is_killed_and_comes_back(fragile: Running) -> None:
    wallbox, card, ocpp_id, _ = await begin(fragile)
    for service in (fragile.listener, fragile.gateway, fragile.api):
        service.kill()
    stopping = asyncio.create_task(wallbox.stop(ocpp_id, 3000, card, at=wallbox.ended_at))
    again = await run(fragile.stack)
    wallbox.url = again.url
    await stopping
    assert wallbox.call_errors == []
    assert await stop_rows(fragile.stack.database.application) == (1, 1)
    await wallbox.disconnect()
    await again.owner.close()


async def test_the_api_alone_may_die(fragile: Running) -> None:
    """No PDF and no password hash stands between a wallbox and its answer: HTTP is another process."""
    wallbox, card, ocpp_id, _ = await begin(fragile)
    fragile.api.kill()
    assert (await wallbox.call(call.Authorize(id_tag=card))).id_tag_info["status"] == "Accepted"
    await wallbox.stop(ocpp_id, 3000, card, at=wallbox.ended_at)
    assert await stop_rows(fragile.stack.database.application) == (1, 1)
    await wallbox.disconnect()
