"""The event stream over real sockets: who receives what, resuming, and how streams end."""

import asyncio
import contextlib
import socket
import time
import uuid

import asyncpg
import httpx
from jose import jwt
from redis.asyncio import Redis

from tests.harness.fixtures import OwnServers, Running
from tests.harness.stack import JWT_SECRET, eventually
from tests.integration.events.conftest import Site
from tests.integration.events.reader import reading


async def test_an_owner_hears_of_what_happens_and_a_stranger_does_not(site: Site) -> None:
    owner, stranger = await site.person("owner"), await site.person("stranger")
    wallbox, other = await owner.wallbox(), await stranger.wallbox()
    async with reading(owner.http) as mine, reading(stranger.http) as theirs:
        await site.status(wallbox["id"], "Available")
        await site.status(wallbox["id"], "Charging")
        await site.status(other["id"], "Faulted")
        first, second = await mine.until("connector.status", 2)
        assert [first["data"]["status"], second["data"]["status"]] == ["Available", "Charging"]
        assert first["charge_point_id"] == wallbox["id"]
        assert second["version"] > first["version"]
        [heard] = await theirs.until("connector.status")
        assert heard["charge_point_id"] == other["id"]
    assert {each["charge_point_id"] for each in mine.of("connector.status")} == {wallbox["id"]}


async def test_every_durable_type_is_written_with_its_effect(site: Site) -> None:
    owner, guest = await site.person("owner"), await site.person("guest")
    wallbox = await owner.wallbox()
    key = uuid.UUID(wallbox["id"])
    async with reading(owner.http) as stream:
        await site.execute("update charge_points set connection_epoch = 5, connected_at = now() where id = $1", key)
        await site.execute("""update charge_points set boot_count = 1, booted_at = now(), registration = 'Accepted',
            boot = '{"chargePointVendor": "Acme"}' where id = $1""", key)  # fmt: skip
        grant = await owner.post(f"/charge-points/{wallbox['id']}/grants", {"email": guest.email})
        await owner.http.delete(f"/charge-points/{wallbox['id']}/grants/{grant['id']}")
        await owner.post(f"/charge-points/{wallbox['id']}/commands", {"action": "ClearCache", "payload": {}})
        session = uuid.UUID(await site.transaction(wallbox["id"], guest))
        await site.execute("update transactions set held_reasons = '{a_reason}' where public_id = $1", session)
        await site.execute("""update transactions set status = 'stopped', stopped_at = now(), energy_wh = 7000
            where public_id = $1""", session)  # fmt: skip
        await site.execute("update transactions set settled_at = now() where public_id = $1", session)
        command = await site.sql.fetchval("select id from commands")
        await site.execute("""insert into reservations (charge_point_id, reservation_id, connector_id, id_tag,
            expires_at, command_id) values ($1, 1, 1, 'TAG', now() + interval '1h', $2)""", key, command)  # fmt: skip
        await site.execute("""insert into charge_point_jobs (charge_point_id, command_id, kind, action, location)
            values ($1, $2, 'firmware', 'UpdateFirmware', '')""", key, command)  # fmt: skip
        await site.execute("""insert into security_events (charge_point_id, type, at, is_critical, received_at)
            values ($1, 'TamperDetectionActivated', now(), true, now())""", key)  # fmt: skip
        await site.execute("update charge_points set disconnected_at = now() where id = $1", key)
        await stream.until("charge_point.disconnected")
    kinds = [each["event"] for each in stream.events]
    assert kinds == [
        *("ready", "charge_point.connected", "charge_point.booted", "grant.created", "grant.revoked"),
        *("command.finished", "transaction.started", "transaction.held", "transaction.stopped"),
        *("transaction.settled", "reservation.changed", "job.status", "security.event", "charge_point.disconnected"),
    ]
    [stopped] = stream.of("transaction.stopped")
    assert (stopped["data"]["transaction_id"], stopped["data"]["energy_wh"]) == (str(session), 7000)


async def test_what_changes_nothing_is_no_event(site: Site) -> None:
    owner = await site.person("owner")
    wallbox = await owner.wallbox()
    async with reading(owner.http) as stream:
        await site.status(wallbox["id"], "Available")
        await site.status(wallbox["id"], "Available")
        await site.execute("update charge_points set name = 'Barn'")
        async with site.sql.transaction():
            with contextlib.suppress(ZeroDivisionError):
                async with site.sql.transaction():
                    await site.status(wallbox["id"], "Faulted")
                    raise ZeroDivisionError
        await site.status(wallbox["id"], "Charging")
        found = await stream.until("connector.status", 2)
    assert [each["data"]["status"] for each in found] == ["Available", "Charging"]


async def test_a_guest_sees_the_connector_and_only_own_sessions_until_the_grant_is_revoked(site: Site) -> None:
    owner, guest, other = [await site.person(name) for name in ("owner", "guest", "other")]
    wallbox = await owner.wallbox()
    path = f"/charge-points/{wallbox['id']}/grants"
    async with reading(guest.http) as stream, reading(owner.http) as all_of_it:
        await site.status(wallbox["id"], "Unavailable")
        await all_of_it.until("connector.status")
        grant = await owner.post(path, {"email": guest.email})
        await owner.post(path, {"email": other.email})
        await site.status(wallbox["id"], "Charging")
        mine = await site.transaction(wallbox["id"], guest, 1)
        await site.transaction(wallbox["id"], other, 2)
        await site.execute("""insert into security_events (charge_point_id, type, at, is_critical, received_at)
            select id, 'ResetOrReboot', now(), true, now() from charge_points""")  # fmt: skip
        await stream.until("transaction.started")
        assert (await owner.http.delete(f"{path}/{grant['id']}")).status_code == 204
        await site.status(wallbox["id"], "Faulted")
        await site.execute("update transactions set status = 'stopped', stopped_at = now()")
        await all_of_it.until("transaction.stopped", 2)
        await stream.until("transaction.stopped")
    assert [each["event"] for each in stream.events] == [
        *("ready", "grant.created", "connector.status", "transaction.started", "grant.revoked", "transaction.stopped")
    ]
    assert [each["data"]["transaction_id"] for each in stream.of("transaction.started")] == [mine]
    assert [each["data"]["status"] for each in stream.of("connector.status")] == ["Charging"]


async def test_a_client_that_comes_back_gets_what_it_missed_from_any_process(site: Site) -> None:
    owner, guest = await site.person("owner"), await site.person("guest")
    wallbox = await owner.wallbox()
    grant = await owner.post(f"/charge-points/{wallbox['id']}/grants", {"email": guest.email})
    other_api = await site.stack.api(PUBLIC_API_URL=f"http://127.0.0.1:{site.api.port}")
    async with reading(owner.http) as before, reading(guest.http) as guests:
        await site.status(wallbox["id"], "Available")
        await before.until("connector.status")
        await guests.until("connector.status")
    await site.status(wallbox["id"], "Charging")
    await site.status(wallbox["id"], "Finishing")
    headers = {"Authorization": owner.http.headers["Authorization"]}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{other_api.port}/api/v1", headers=headers) as http:

        async def missed() -> list[str]:
            async with reading(http, after=before.last_id) as after:
                return [each["data"]["status"] for each in after.of("connector.status")]

        async def all_missed() -> bool:
            return await missed() == ["Charging", "Finishing"]

        await eventually(all_missed, "both missed events")
        async with reading(http, after=before.last_id, types="transaction.started") as filtered:
            assert filtered.of("connector.status") == []
            await site.transaction(wallbox["id"])
            await filtered.until("transaction.started")
    assert (await owner.http.delete(f"/charge-points/{wallbox['id']}/grants/{grant['id']}")).status_code == 204
    async with reading(guest.http, after=guests.last_id) as after:
        assert after.of("connector.status") == [], "what was missed is shown by the rights of now"


async def test_a_client_that_missed_too_much_is_told_so(site: Site) -> None:
    owner = await site.person("owner")
    wallbox = await owner.wallbox()
    async with reading(owner.http) as first:
        await site.status(wallbox["id"], "Available")
        await first.until("connector.status")
        await site.status(wallbox["id"], "Charging")
        await first.until("connector.status", 2)
    await site.execute("delete from events where position <= $1", first.last_id)
    for impossible in (1, 10**12):
        async with reading(owner.http, after=impossible) as stream:
            assert [each["event"] for each in stream.events][:1] == ["resync"]
            await site.status(wallbox["id"], f"Status{impossible}"[:20])
            await stream.until("connector.status")


async def test_filters(site: Site) -> None:
    owner = await site.person("owner")
    wallbox, other = await owner.wallbox(), await owner.wallbox()
    async with (
        reading(owner.http, charge_point_id=other["id"]) as by_place,
        reading(owner.http, types=["transaction.started", "transaction.stopped"]) as by_type,
    ):
        await site.status(wallbox["id"], "Available")
        await site.transaction(wallbox["id"])
        await site.status(other["id"], "Charging")
        await by_place.until("connector.status")
        await by_type.until("transaction.started")
    assert [each["event"] for each in by_place.events] == ["ready", "connector.status"]
    assert [each["event"] for each in by_type.events] == ["ready", "transaction.started"]
    assert (await owner.http.get("/events", params={"types": "nothing"})).status_code == 422
    assert (await owner.http.get("/events", headers={"Last-Event-ID": "x"})).status_code == 422


async def test_without_a_token_there_is_no_stream(site: Site) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{site.api.port}/api/v1") as http:
        assert (await http.get("/events")).status_code == 401


async def test_a_revoked_log_in_ends_its_stream_and_no_other(site: Site) -> None:
    owner = await site.person("owner")
    wallbox = await owner.wallbox()
    first = httpx.AsyncClient(base_url=owner.http.base_url, headers=dict(owner.http.headers))
    async with first, reading(first) as ending:
        await owner.log_in()
        async with reading(owner.http) as standing:
            await site.execute("""update sessions set revoked_at = now()
                where id = (select id from sessions order by created_at limit 1)""")  # fmt: skip
            await ending.until_ended()
            await site.status(wallbox["id"])
            await standing.until("connector.status")
            assert ending.of("connector.status") == []


async def test_a_stream_ends_with_its_access_token(site: Site) -> None:
    owner = await site.person("owner")
    claims = jwt.get_unverified_claims(owner.http.headers["Authorization"].removeprefix("Bearer "))
    soon = jwt.encode({**claims, "exp": int(time.time()) + 4}, JWT_SECRET, algorithm="HS256", headers={"typ": "at+jwt"})
    headers = {"Authorization": f"Bearer {soon}"}
    async with (
        httpx.AsyncClient(base_url=owner.http.base_url, headers=headers) as http,
        reading(http) as ending,
        reading(owner.http) as standing,
    ):
        await ending.until_ended()
        assert not standing.ended.is_set()


async def test_one_user_has_so_many_streams_and_no_more(site: Site) -> None:
    owner, other = await site.person("owner"), await site.person("other")
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(20):
            await stack.enter_async_context(reading(owner.http))
        refused = await owner.http.get("/events")
        assert (refused.status_code, refused.json()["type"]) == (429, "/problems/too-many-streams")
        await stack.enter_async_context(reading(other.http))

    async def room_again() -> bool:
        with contextlib.suppress(AssertionError):
            async with reading(owner.http):
                return True
        return False

    await eventually(room_again, "room for a stream once the others are closed")


async def test_a_client_that_does_not_read_is_let_go_and_harms_nobody(site: Site) -> None:
    owner = await site.person("owner")
    wallbox = await owner.wallbox()
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(("127.0.0.1", site.api.port))
    with slow:
        token = owner.http.headers["Authorization"]
        slow.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n\r\n".encode())
        async with reading(owner.http) as stream:
            count = 0

            async def is_let_go() -> bool:
                nonlocal count
                await site.sql.execute(
                    """insert into security_events (charge_point_id, type, at, tech_info, is_critical, received_at)
                       select $1, 'SettingSystemTime', now(), n || repeat('x', 4000), false, now()
                       from generate_series($2::integer, $2 + 99) n""",
                    uuid.UUID(wallbox["id"]), count,
                )  # fmt: skip
                count += 100
                await stream.until("security.event", count)
                return "let go of a stream" in site.api.log.read_text()

            await eventually(is_let_go, "the slow client to be let go", 90)
            assert len(stream.of("security.event")) == count


async def test_a_kill_between_commit_and_notice_loses_no_event(site: Site) -> None:
    owner = await site.person("owner")
    wallbox = await owner.wallbox()
    async with reading(owner.http) as stream:
        site.listener.kill()
        await site.status(wallbox["id"], "Available")
        await site.status(wallbox["id"], "Charging")
        first, second = await site.stack.listener(), await site.stack.listener()
        found = await stream.until("connector.status", 2)
        assert [each["data"]["status"] for each in found] == ["Available", "Charging"]
        for listener in (first, second):
            listener.kill()
            await site.status(wallbox["id"], f"After{listener.process.pid}")
        await site.stack.listener()
        found = await stream.until("connector.status", 4)
    versions = [each["version"] for each in found]
    assert versions == sorted(set(versions))
    assert len(found) == 4


async def test_a_redis_that_is_emptied_and_restarted_loses_no_event(fragile: Running, own_servers: OwnServers) -> None:
    wallbox = await fragile.owner.wallbox()
    sql = await asyncpg.connect(own_servers.urls.application)
    statement = """insert into security_events (charge_point_id, type, at, tech_info, is_critical, received_at)
        values ($1, 'ResetOrReboot', now(), $2, true, now())"""
    try:
        async with reading(fragile.owner.http) as stream:
            async with Redis.from_url(own_servers.redis.url) as redis:
                await redis.flushall()
            await sql.execute(statement, uuid.UUID(wallbox["id"]), "flushed")
            await stream.until("security.event")
            own_servers.redis.stop()
            await sql.execute(statement, uuid.UUID(wallbox["id"]), "away")
            found = await stream.until("security.event", 2)
            own_servers.start_redis()
            await sql.execute(statement, uuid.UUID(wallbox["id"]), "back")
            found = await stream.until("security.event", 3)
            assert [each["data"]["tech_info"] for each in found] == ["flushed", "away", "back"]
    finally:
        await sql.close()


METERED = """with priced as (
        update transactions t set currency = v.currency, started_at = now() - interval '1 hour',
            tariff = jsonb_build_object('currency', v.currency, 'elements', v.elements)
        from tariff_versions v where t.public_id = $1 returning t.*)
    insert into meter_values (charge_point_id, sampled_at, connector_id, digest, transaction_id, received_at,
        energy_wh, power_w, samples)
    select charge_point_id, now() - interval '1 second', 1, 1, id, now(), 3500, 7200, '[]' from priced"""
"""2.5 kWh of the session, at the price of its charge point."""


async def test_live_readings_reach_owner_and_driver_and_nobody_else(site: Site, redis_url: str) -> None:
    owner, driver, guest = [await site.person(name) for name in ("owner", "driver", "guest")]
    wallbox = await owner.wallbox()
    for each in (driver, guest):
        await owner.post(f"/charge-points/{wallbox['id']}/grants", {"email": each.email})
    session = await site.transaction(wallbox["id"], driver)
    await site.execute(METERED, uuid.UUID(session))
    async with (
        reading(owner.http) as owners,
        reading(driver.http) as drivers,
        reading(guest.http) as guests,
        Redis.from_url(redis_url) as redis,
    ):
        channels = site.stack.channels
        await redis.hset(channels.live(wallbox["id"]), mapping={"1:energy_wh": "3500", "1:power_w": "7200"})
        await redis.publish(channels.events, f'["{wallbox["id"]}"]')
        for stream in (owners, drivers):
            [update] = await stream.until("transaction.updated")
            assert update["data"]["transaction_id"] == session
            assert (update["data"]["energy_wh"], update["data"]["power_w"]) == (2500, 7200)
            assert (update["data"]["cost_minor"], update["data"]["currency"]) == (1375, "CZK")
            assert update["id"] is None
        await site.status(wallbox["id"])
        await guests.until("connector.status")
        assert guests.of("transaction.updated") == []


async def test_a_stopping_process_closes_its_streams_at_once(site: Site) -> None:
    owner = await site.person("owner")
    async with reading(owner.http) as stream:
        ending = asyncio.create_task(asyncio.to_thread(site.api.stop))
        await stream.until_ended(5)
        assert await ending == 0
    assert "Traceback" not in site.api.log.read_text()
