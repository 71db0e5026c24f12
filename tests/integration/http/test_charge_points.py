"""Onboarding and keeping a charge point."""

import hashlib
import re
from typing import Any
from uuid import UUID

from redis.asyncio import Redis

from api.charge_points.live import connector_fields
from standalone.databases import DatabaseUrls
from standalone.servers import free_port
from tests.integration.http.gateway import Gateway
from tests.integration.http.site import Person, Site, make_settings, open_site


async def test_onboarding_returns_what_is_typed_into_the_wallbox(site: Site, owner: Person) -> None:
    created = await owner.charge_point(rated_power_w=11000, price_per_kwh="5.5")
    assert re.fullmatch(r"VLT-[2-9A-HJ-NP-Z]{8}", created["identity"])
    assert re.fullmatch(r"[A-Za-z0-9]{20}", created["key"])
    assert created["url"] == f"wss://voltuj.test:9000/{created['identity']}"
    assert (created["price_per_kwh"], created["currency"], created["role"]) == ("5.50", "CZK", "owner")
    stored = await site.value("select key_digest from charge_points")
    assert stored == hashlib.sha256(created["key"].encode()).digest()

    read = await owner.get(f"/charge-points/{created['id']}")
    assert "key" not in read
    assert (read["online"], read["registration"], read["rated_power_w"]) == (False, None, 11000)


async def test_an_identity_of_ones_own_is_percent_encoded_in_the_url(owner: Person) -> None:
    created = await owner.charge_point(identity="box|1:a=b@c+d*e._-")
    assert created["url"] == "wss://voltuj.test:9000/box%7C1%3Aa%3Db%40c%2Bd%2Ae._-"
    await owner.post("/charge-points", {"name": "Other", "identity": created["identity"]}, 409)


WRONG: list[dict[str, Any]] = [
    {"identity": "with space"},
    {"identity": "x" * 49},
    {"identity": ""},
    {"identity": "slash/in"},
    {"name": ""},
    {"name": "nul\x00"},
    {"name": None},
    {"time_zone": "Europe/Nowhere"},
    {"time_zone": "../etc/passwd"},
    {"rated_power_w": 0},
    {"rated_power_w": 10**12},
    {"price_per_kwh": "5.55555"},
    {"price_per_kwh": "-1"},
    {"price_per_kwh": "1e3"},
    {"price_per_kwh": "NaN"},
    {"price_per_kwh": 5.5},
    {"price_per_kwh": "9999999"},
    {"currency": "XXX"},
    {"unknown": 1},
]


async def test_wrong_fields_are_named(site: Site, owner: Person) -> None:
    for fields in WRONG:
        answer = await owner.post("/charge-points", {"name": "Garage", **fields}, 422)
        assert answer["errors"][0]["field"] == f"body.{next(iter(fields))}" or "nul" in str(fields), fields
    assert await site.value("select count(*) from charge_points") == 0


async def test_a_price_makes_a_version_and_the_rest_stays(site: Site, owner: Person) -> None:
    created = await owner.charge_point(price_per_kwh="5.50", rated_power_w=11000)
    path = f"/charge-points/{created['id']}"
    changed = await owner.send("PATCH", path, json={"price_per_kwh": "6.2345", "rated_power_w": None})
    assert (changed["price_per_kwh"], changed["currency"], changed["rated_power_w"]) == ("6.2345", "CZK", None)
    changed = await owner.send("PATCH", path, json={"currency": "EUR", "name": "Yard", "time_zone": "UTC"})
    assert (changed["price_per_kwh"], changed["currency"], changed["name"]) == ("6.2345", "EUR", "Yard")
    assert await site.value("select count(*) from tariff_versions") == 3
    for wrong in ({"price_per_kwh": None}, {"name": None}, {"identity": "NEW"}):
        await owner.send("PATCH", path, 422, json=wrong)


async def test_a_currency_needs_a_price(owner: Person) -> None:
    created = await owner.charge_point()
    assert (created["price_per_kwh"], created["currency"]) == (None, None)
    path = f"/charge-points/{created['id']}"
    await owner.send("PATCH", path, 422, json={"currency": "EUR"})
    changed = await owner.send("PATCH", path, json={"price_per_kwh": "0"})
    assert (changed["price_per_kwh"], changed["currency"]) == ("0.00", "CZK")


async def test_a_new_key_counts_at_once_and_the_connection_is_closed(
    site: Site, owner: Person, gateway: Gateway
) -> None:
    created = await owner.charge_point()
    renewed = await owner.post(f"/charge-points/{created['id']}/key")
    assert renewed["key"] != created["key"]
    assert (renewed["identity"], renewed["url"]) == (created["identity"], created["url"])
    stored = await site.value("select key_digest from charge_points")
    assert stored == hashlib.sha256(renewed["key"].encode()).digest()
    change = await gateway.next_change()
    assert (change.charge_point_id, change.close) == (created["id"], True)


async def test_a_deleted_charge_point_is_gone_and_its_identity_free(
    site: Site, owner: Person, gateway: Gateway
) -> None:
    created = await owner.charge_point(identity="BOX1")
    path = f"/charge-points/{created['id']}"
    transaction = await site.transaction(created["id"])
    refused = await owner.send("DELETE", path, 409)
    assert "running" in refused["detail"]
    await site.execute("update transactions set status = 'stopped'")
    await owner.send("DELETE", path, 204)
    assert (await gateway.next_change()).close
    await owner.get(path, 404)
    assert (await owner.get("/charge-points"))["items"] == []
    await owner.get(f"/transactions/{transaction}")
    again = await owner.charge_point(identity="BOX1")
    assert again["id"] != created["id"]


async def test_the_list_says_who_is_online(owner: Person, gateway: Gateway) -> None:
    first, second = await owner.charge_point(), await owner.charge_point()
    await gateway.connect(first["id"])
    items = (await owner.get("/charge-points"))["items"]
    assert [(item["id"], item["online"]) for item in items] == [(second["id"], False), (first["id"], True)]


async def test_connectors_join_committed_status_with_what_flows_now(
    site: Site, owner: Person, gateway: Gateway
) -> None:
    created = await owner.charge_point()
    for number, status in ((0, "Available"), (1, "Charging")):
        await site.execute(
            """insert into connectors (charge_point_id, connector_id, status, error_code, status_at, received_at,
               epoch, sequence) values ($1, $2, $3, 'NoError', now(), now(), 1, 1)""",
            UUID(created["id"]),
            number,
            status,
        )
    transaction = await site.transaction(created["id"])
    live = connector_fields(1, power_w=7360, energy_wh=5100) | connector_fields(2, power_w=0)
    await gateway.redis.hset(gateway.channels.live(created["id"]), mapping=live)  # type: ignore[arg-type]
    whole, first, second = (await owner.get(f"/charge-points/{created['id']}/connectors"))["items"]
    assert (whole["connector_id"], whole["status"], whole["power_w"]) == (0, "Available", None)
    assert (first["status"], first["power_w"], first["energy_wh"]) == ("Charging", 7360, 5100)
    assert first["transaction_id"] == transaction
    assert (second["connector_id"], second["status"], second["power_w"]) == (2, None, 0)


async def test_without_redis_what_is_committed_is_still_served(database: DatabaseUrls, redis_prefix: str) -> None:
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    async with open_site(database, make_settings(database, nowhere, redis_prefix)) as site:
        owner = await site.person()
        created = await owner.charge_point()
        path = f"/charge-points/{created['id']}"
        assert (await owner.get(path))["online"] is None
        assert (await owner.get("/charge-points"))["items"][0]["online"] is None
        await site.transaction(created["id"])
        [connector] = (await owner.get(f"{path}/connectors"))["items"]
        assert connector["power_w"] is None
        assert connector["transaction_id"]
        assert (await owner.post(f"{path}/key"))["key"]
        refused = await owner.post(f"{path}/start", {}, 503)
        assert refused["type"] == "/problems/redis-away"
        assert await site.value("select count(*) from commands") == 0


async def test_a_flush_of_redis_makes_everybody_offline_and_nothing_else(owner: Person, gateway: Gateway) -> None:
    created = await owner.charge_point()
    await gateway.connect(created["id"])
    await gateway.redis.delete(gateway.channels.connection(created["id"]))
    assert (await owner.get(f"/charge-points/{created['id']}"))["online"] is False


async def test_frames_are_taken_apart_newest_first(site: Site, owner: Person) -> None:
    created = await owner.charge_point()
    frames: list[tuple[bytes, dict[str, Any]]] = [
        (b'[2,"a","Heartbeat",{}]', {"message_type": 2, "message_id": "a", "action": "Heartbeat"}),
        (b'[3,"a",{"currentTime":"2026-05-04T09:00:00Z"}]', {"message_type": 3, "direction": "out"}),
        (b'[4,"b","NotImplemented","no",{"x":1}]', {"message_type": 4, "direction": "out"}),
        (b"[2,\xff\x00 not json", {}),
    ]
    for frame, columns in frames:
        await site.message(created["id"], frame, **columns)
    path = f"/charge-points/{created['id']}/messages"
    broken, error, result, call = (await owner.get(path))["items"]
    assert (call["message_type"], call["action"], call["payload"]) == ("CALL", "Heartbeat", {})
    assert result["payload"] == {"currentTime": "2026-05-04T09:00:00Z"}
    assert (error["error_code"], error["error_description"], error["payload"]) == ("NotImplemented", "no", {"x": 1})
    assert (broken["message_type"], broken["payload"]) == (None, None)
    assert broken["raw"] == "[2,\\xff\x00 not json"

    assert len((await owner.get(path, direction="in"))["items"]) == 2
    assert [item["raw"] for item in (await owner.get(path, action="Heartbeat"))["items"]] == [call["raw"]]
    assert [item["at"] for item in (await owner.get(path, **{"from": error["at"]}))["items"]] == [
        broken["at"],
        error["at"],
    ]
    assert len((await owner.get(path, to=error["at"]))["items"]) == 2
    await owner.get(path, 422, action="nul\x00")
    await owner.get(path, 422, direction="sideways")
    await owner.get(path, 422, **{"from": "2026-05-04T09:00:00"})


async def test_messages_that_were_set_aside_are_shown_with_their_reason(site: Site, owner: Person) -> None:
    created = await owner.charge_point()
    await site.unprocessed(created["id"], b'{"connectorId":1}', "timestamp is not a date")
    await site.unprocessed(created["id"], b'{"a":"\xed\xa0\x80"', "a lone surrogate")
    broken, whole = (await owner.get(f"/charge-points/{created['id']}/unprocessed"))["items"]
    assert (whole["payload"], whole["reason"]) == ({"connectorId": 1}, "timestamp is not a date")
    assert (broken["payload"], broken["raw"]) == (None, '{"a":"\\xed\\xa0\\x80"')


async def test_an_operator_sees_every_charge_point(site: Site, owner: Person) -> None:
    created = await owner.charge_point()
    operator = await site.person("operator", operator=True)
    [item] = (await operator.get("/charge-points"))["items"]
    assert (item["id"], item["role"]) == (created["id"], "operator")
    await operator.get(f"/charge-points/{created['id']}/messages")


async def test_the_keyspace_of_another_installation_is_not_touched(site: Site, owner: Person, redis_url: str) -> None:
    created = await owner.charge_point()
    async with Redis.from_url(redis_url) as redis:
        await redis.hset(f"other:connection:{created['id']}", mapping={"gateway": "g", "epoch": 1})
        assert (await owner.get(f"/charge-points/{created['id']}"))["online"] is False
        await redis.delete(f"other:connection:{created['id']}")
