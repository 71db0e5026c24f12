"""Bringing wallboxes in: waiting, refused with a reason, connected; and unknown identities for operators to adopt."""

import hashlib
from uuid import UUID

from tests.integration.http.site import Person, Site


async def knock(site: Site, identity: str, address: str = "203.0.113.9", minutes_ago: int = 0) -> int:
    statement = """insert into knocks (identity, remote_address, count, first_at, last_at)
        values ($1, $2, 1, now(), now() - $3 * interval '1 minute') returning id"""
    return int(await site.value(statement, identity, address, minutes_ago))


async def test_a_new_wallbox_waits_is_refused_and_connects(site: Site, owner: Person, stranger: Person) -> None:
    created = await owner.charge_point()
    path = f"/charge-points/{created['id']}"
    assert (await owner.get(path))["onboarding"] == {"state": "waiting", "last_refused": []}
    for reason, minutes in (("wrong_key", 5), ("insecure", 1)):
        await site.execute(
            "insert into refused_handshakes values ($1, $2, '203.0.113.9', 3, now(), now() - $3 * interval '1 minute')",
            *(UUID(created["id"]), reason, minutes),
        )
    shown = (await owner.get(path))["onboarding"]
    assert [(each["reason"], each["count"]) for each in shown["last_refused"]] == [("insecure", 3), ("wrong_key", 3)]
    await site.execute("update charge_points set connected_at = now()")
    assert (await owner.get(path))["onboarding"]["state"] == "connected"
    await owner.post(f"{path}/grants", {"email": stranger.email})
    assert (await stranger.get(path))["onboarding"]["last_refused"] == []


async def test_the_switch_of_the_automatic_configuration(owner: Person) -> None:
    created = await owner.charge_point()
    assert created["auto_configuration"] is False
    path = f"/charge-points/{created['id']}"
    changed = await owner.send("PATCH", path, json={"auto_configuration": True})
    assert changed["auto_configuration"] is True
    assert (await owner.charge_point(auto_configuration=True))["auto_configuration"] is True


async def test_knocks_are_for_operators(site: Site, owner: Person) -> None:
    number = await knock(site, "EVB-1")
    await owner.get("/operator/knocks", 404)
    await owner.post(f"/operator/knocks/{number}/adopt", {"owner_email": owner.email, "name": "G"}, status=404)
    await owner.send("DELETE", f"/operator/knocks/{number}", 404)


async def test_listed_newest_first_and_adopted(site: Site, owner: Person) -> None:
    operator = await site.person("operator", operator=True)
    numbers = [await knock(site, name, minutes_ago=age) for age, name in enumerate(("EVB-1", "Garáž 1:2", "EVB-3"))]
    first = await operator.get("/operator/knocks", limit=2)
    rest = await operator.get("/operator/knocks", limit=2, cursor=first["next_cursor"])
    assert [each["identity"] for each in first["items"] + rest["items"]] == ["EVB-1", "Garáž 1:2", "EVB-3"]
    body = {"owner_email": owner.email.upper(), "name": "Garage", "rated_power_w": 11000}
    created = await operator.post(f"/operator/knocks/{numbers[1]}/adopt", body)
    assert created["identity"] == "Garáž 1:2"
    digest = await site.value("select key_digest from charge_points where id = $1", UUID(created["id"]))
    assert digest == hashlib.sha256(created["key"].encode()).digest()
    assert (await owner.get(f"/charge-points/{created['id']}"))["role"] == "owner"
    left = await operator.get("/operator/knocks")
    assert [each["identity"] for each in left["items"]] == ["EVB-1", "EVB-3"]
    await operator.post(f"/operator/knocks/{numbers[1]}/adopt", body, status=404)
    await operator.send("DELETE", f"/operator/knocks/{numbers[0]}", 204)
    await operator.post(f"/operator/knocks/{numbers[2]}/adopt", body | {"owner_email": "x@example.org"}, status=422)
    assert [each["identity"] for each in (await operator.get("/operator/knocks"))["items"]] == ["EVB-3"]


async def test_a_wallbox_that_moves_over_keeps_its_key(site: Site, owner: Person) -> None:
    operator = await site.person("operator", operator=True)
    number = await knock(site, "EVB-1")
    body = {"owner_email": owner.email, "name": "Garage", "key": "sixteen-of-them!"}
    await operator.post(f"/operator/knocks/{number}/adopt", body | {"key": "too short"}, status=422)
    created = await operator.post(f"/operator/knocks/{number}/adopt", body)
    assert created["key"] is None
    digest = await site.value("select key_digest from charge_points where id = $1", UUID(created["id"]))
    assert digest == hashlib.sha256(b"sixteen-of-them!").digest()


async def test_an_identity_that_is_taken_meanwhile(site: Site, owner: Person) -> None:
    operator = await site.person("operator", operator=True)
    number = await knock(site, "EVB-1")
    await owner.charge_point(identity="EVB-1")
    assert (await operator.get("/operator/knocks"))["items"] == []
    body = {"owner_email": owner.email, "name": "Garage"}
    await operator.post(f"/operator/knocks/{number}/adopt", body, status=409)


async def test_the_report_of_the_automatic_configuration(site: Site, owner: Person, stranger: Person) -> None:
    created = await owner.charge_point(auto_configuration=True)
    path = f"/charge-points/{created['id']}/auto-configuration"
    assert await owner.get(path) == {"enabled": True, "runs": []}
    await site.execute(
        """insert into auto_configurations values ($1, '1.0', 'running',
           '[{"key": "A", "value": "1", "status": "pending", "attempts": 1, "command_id": "x"}]', now(), null)""",
        UUID(created["id"]),
    )
    (run,) = (await owner.get(path))["runs"]
    assert (run["firmware_version"], run["status"], run["finished_at"]) == ("1.0", "running", None)
    assert run["items"] == [{"key": "A", "value": "1", "status": "pending"}]
    await stranger.get(path, 404)
