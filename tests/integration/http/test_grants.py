"""Grants over HTTP: terms, grantees, versions, invitations, and the dry run."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from api.sharing.operations import redeem_invitations
from tests.integration.http.site import Person, Site
from tests.integration.http.test_accounts import log_in, registration

NIGHTS = {"start_time": "22:00", "end_time": "06:00", "day_of_week": ["FRIDAY", "MONDAY"]}
LIMITS = {"max_energy_wh": 5000, "max_amount_minor": 10000, "currency": "CZK", "max_sessions": 2}


async def test_a_grant_keeps_its_terms_and_shows_to_owner_and_guest(owner: Person, stranger: Person) -> None:
    box = await owner.charge_point()
    terms = {"windows": [NIGHTS], "priority": 3, "cap_period": "month", **LIMITS}
    made = await owner.post(
        "/grants", {"charge_point_id": box["id"], "connector_id": 2, "email": stranger.email, **terms}
    )
    shown = {name: made[name] for name in terms}
    assert shown == terms | {"windows": [{**NIGHTS, "day_of_week": ["MONDAY", "FRIDAY"]}]}
    assert (made["audience"], made["email"], made["connector_id"]) == ("person", stranger.email, 2)
    assert await owner.get(f"/grants/{made['id']}") == made
    assert await stranger.get(f"/grants/{made['id']}") == made
    assert (await stranger.get("/grants/received"))["items"] == [made]
    assert (await stranger.get("/grants"))["items"] == []
    assert (await owner.get("/grants"))["items"] == (await owner.get(f"/charge-points/{box['id']}/grants"))["items"]
    assert (await stranger.get(f"/charge-points/{box['id']}"))["role"] == "guest"
    await stranger.send("PATCH", f"/grants/{made['id']}", 404, json={"max_energy_wh": None})
    await stranger.send("DELETE", f"/grants/{made['id']}", 404)
    await owner.send("DELETE", f"/grants/{made['id']}", 204)
    await stranger.get(f"/charge-points/{box['id']}", 404)
    assert (await stranger.get("/grants/received"))["items"][0]["revoked_at"]


async def test_a_change_is_the_next_version_of_the_series(owner: Person, stranger: Person) -> None:
    box = await owner.charge_point()
    first = await owner.post("/grants", {"charge_point_id": box["id"], "email": stranger.email, **LIMITS})
    second = await owner.send("PATCH", f"/grants/{first['id']}", json={"max_energy_wh": 9000, "windows": [NIGHTS]})
    assert second["id"] != first["id"]
    changed = {name for name in first if first[name] != second[name]}
    assert changed == {"id", "max_energy_wh", "windows", "valid_from", "created_at"}
    old = await owner.get(f"/grants/{first['id']}")
    assert old["revoked_at"] == second["created_at"]
    again = await owner.send("PATCH", f"/grants/{first['id']}", 409, json={"max_energy_wh": 1})
    assert "changed before" in again["detail"]
    await owner.send("PATCH", f"/grants/{second['id']}", 422, json={"currency": None})
    await owner.send("PATCH", f"/grants/{second['id']}", 422, json={"email": stranger.email})
    await owner.send("PATCH", f"/grants/{second['id']}", 422, json={"valid_until": "2020-01-01T00:00:00Z"})
    assert (await owner.get(f"/grants/{second['id']}"))["revoked_at"] is None


async def test_of_two_changes_at_once_one_is_made(site: Site, owner: Person, stranger: Person) -> None:
    box = await owner.charge_point()
    made = await owner.post("/grants", {"charge_point_id": box["id"], "email": stranger.email})
    changes = [owner.http.patch(f"/grants/{made['id']}", json={"priority": number}) for number in range(4)]
    statuses = sorted(answer.status_code for answer in await asyncio.gather(*changes))
    assert statuses == [200, 409, 409, 409]
    assert await site.value("select count(*) from grants where revoked_at is null") == 1


async def test_wrong_grants_are_refused(site: Site, owner: Person, stranger: Person) -> None:
    box = await owner.charge_point()
    theirs = await stranger.post("/groups", {"name": "Theirs"})
    place, person = {"charge_point_id": box["id"]}, {"email": stranger.email}
    wrong: list[dict[str, Any]] = [
        place, person, {**place, **person, "public": True}, {**place, "group_id": theirs["id"]},
        {**place, "email": owner.email}, {**place, **person, "location_id": box["id"]},
        {**place, **person, "max_amount_minor": 5}, {**place, **person, "max_energy_wh": 0},
        {**place, **person, "windows": [{"start_time": "24:00", "end_time": "06:00"}]},
        {**place, **person, "windows": [{**NIGHTS, "day_of_week": ["FRIYAY"]}]},
        {**place, **person, "connector_id": 0}, {**place, **person, "valid_until": "2020-01-01T00:00:00Z"},
    ]  # fmt: skip
    for body in wrong:
        await owner.post("/grants", body, 422)
    await owner.post("/grants", {"location_id": box["id"], **person}, 404)
    await stranger.post("/grants", {**place, "email": owner.email}, 404)
    guest = await site.person("guest")
    await owner.post("/grants", {**place, "email": guest.email})
    await guest.post("/grants", {**place, "email": stranger.email}, 403)


async def test_a_group_shares_with_its_members_while_they_are_in_it(owner: Person, stranger: Person) -> None:
    box = await owner.charge_point()
    group = await owner.post("/groups", {"name": "Family"})
    path = f"/groups/{group['id']}"
    await owner.post("/grants", {"charge_point_id": box["id"], "group_id": group["id"]})
    await stranger.get(f"/charge-points/{box['id']}", 404)
    member = await owner.post(f"{path}/members", {"email": stranger.email})
    await owner.post(f"{path}/members", {"email": stranger.email}, 409)
    await owner.post(f"{path}/members", {"email": owner.email}, 422)
    await owner.post(f"{path}/members", {"email": "nobody@example.org"}, 404)
    assert (await owner.get(f"{path}/members"))["items"] == [member]
    assert [item["id"] for item in (await stranger.get("/charge-points"))["items"]] == [box["id"]]
    [received] = (await stranger.get("/grants/received"))["items"]
    assert (received["audience"], received["email"]) == ("group", None)
    await owner.send("DELETE", f"{path}/members/{member['user_id']}", 204)
    await owner.send("DELETE", f"{path}/members/{member['user_id']}", 404)
    await stranger.get(f"/charge-points/{box['id']}", 404)
    await owner.post(f"{path}/members", {"email": stranger.email})
    assert (await owner.send("PATCH", path, json={"name": "Kin"}))["name"] == "Kin"
    await owner.send("DELETE", path, 204)
    await stranger.get(f"/charge-points/{box['id']}", 404)
    assert (await owner.get("/groups"))["items"] == []
    assert (await owner.get("/grants"))["items"][0]["revoked_at"]


async def test_an_invitation_becomes_the_grant_of_who_proves_the_email(site: Site, owner: Person) -> None:
    box = await owner.charge_point()
    place = {"charge_point_id": box["id"]}
    invited = await owner.post("/grants", {**place, "email": "Late@Example.org", "max_energy_wh": 5})
    assert (invited["audience"], invited["email"]) == ("invitation", "late@example.org")
    lapsed = await owner.post("/grants", {**place, "email": "late@example.org"})
    await owner.send("DELETE", f"/grants/{lapsed['id']}", 204)
    over = {"valid_from": "2020-01-01T00:00:00Z", "valid_until": "2020-01-02T00:00:00Z"}
    await owner.post("/grants", {**place, "email": "late@example.org", **over})
    client = site.client()
    answer = await client.post("/auth/register", json=registration(email="late@example.org", display_name="Late"))
    assert answer.status_code == 201
    tokens = (await log_in(client, "late@example.org")).json()
    late = site.client(Authorization=f"Bearer {tokens['access_token']}")
    [received] = (await late.get("/grants/received")).json()["items"]
    assert received == invited | {"audience": "person", "email": "late@example.org", "display_name": "Late"}
    async with site.app.state.database.transaction() as connection:
        assert await redeem_invitations(connection, owner.user_id, "late@example.org", datetime.now(UTC)) == 0


async def test_what_is_public_is_seen_by_everybody_and_listed_for_nobody(owner: Person, stranger: Person) -> None:
    box = await owner.charge_point()
    path = f"/charge-points/{box['id']}"
    await owner.post("/grants", {"charge_point_id": box["id"], "public": True})
    await stranger.get(path, 404)
    await owner.send("PATCH", path, json={"visibility": "public"})
    assert (await stranger.get(path))["role"] == "guest"
    assert (await stranger.get("/charge-points"))["items"] == []
    assert (await stranger.get("/grants/received"))["items"] == []
    await owner.send("PATCH", path, json={"visibility": "private"})
    await stranger.get(path, 404)
    await owner.send("PATCH", path, 422, json={"visibility": "secret"})


async def test_the_dry_run_says_who_may_charge_when_and_why_not(site: Site, owner: Person, stranger: Person) -> None:
    box = await owner.charge_point()
    path = f"/charge-points/{box['id']}/connectors/1/may-charge"
    await stranger.post(path, {}, 404)
    assert (await owner.post(path, None, 200))["may_charge"]
    refused = await owner.post(path, {"email": stranger.email}, 200)
    assert (refused["may_charge"], refused["code"]) == (False, "not_shared")
    terms = {"windows": [{**NIGHTS, "day_of_week": []}], "max_energy_wh": 5000}
    made = await owner.post("/grants", {"charge_point_id": box["id"], "email": stranger.email, **terms})
    tonight = datetime.now(UTC).replace(hour=23, minute=0, second=0, microsecond=0) + timedelta(days=1)
    answer = await stranger.post(path, {"at": tonight.isoformat()}, 200)
    assert (answer["may_charge"], answer["reason"], answer["grant_id"]) == (True, "", made["id"])
    assert (answer["limits"]["max_energy_wh"], answer["limits"]["used_energy_wh"]) == (5000, 0)
    assert datetime.fromisoformat(answer["until"]) - tonight in (timedelta(hours=5), timedelta(hours=6))
    at_noon = {"at": (tonight + timedelta(hours=12)).isoformat()}
    answer = await stranger.post(path, at_noon, 200)
    assert (answer["may_charge"], answer["code"], answer["until"]) == (False, "outside_window", None)
    assert "every day 22:00 to 06:00 (Europe/Prague)" in answer["reason"]
    assert (await owner.post(path, {"email": stranger.email, **at_noon}, 200))["code"] == "outside_window"
    await stranger.post(path, {"email": owner.email}, 403)
    await stranger.post(path, {"id_tag": await owner.app_tag()}, 422)
    await stranger.post(path, {"at": "2199-01-01T00:00:00Z"}, 422)
    await owner.post(path, {"email": "nobody@example.org"}, 422)
    assert await site.value("select count(*) from commands") == 0


async def test_a_remote_start_asks_the_same_and_says_why_not(site: Site, owner: Person, stranger: Person) -> None:
    box = await owner.charge_point()
    await site.accept(box["id"])
    grant = await owner.post("/grants", {"charge_point_id": box["id"], "email": stranger.email, "max_energy_wh": 10})
    await stranger.post(f"/charge-points/{box['id']}/start", {})
    used: dict[str, Any] = {
        "driver_id": stranger.user_id,
        "grant_id": UUID(grant["id"]),
        "status": "stopped",
        "energy_wh": 10,
    }
    await site.transaction(box["id"], **used)
    refused = await stranger.post(f"/charge-points/{box['id']}/start", {}, 403)
    assert (refused["type"], refused["code"]) == ("/problems/charging-refused", "energy_cap_reached")


async def test_the_local_list_follows_grants_and_shows_its_drift(site: Site, owner: Person, stranger: Person) -> None:
    box = await owner.charge_point()
    path = f"/charge-points/{box['id']}/local-list"
    tag = await stranger.app_tag()
    until = {"valid_until": "2199-01-01T00:00:00Z"}
    grant = await owner.post("/grants", {"charge_point_id": box["id"], "email": stranger.email, **until})
    wanted = (await owner.get(path))["wanted"]
    assert {"idTag": tag, "idTagInfo": {"expiryDate": "2199-01-01T00:00:00.000Z", "status": "Accepted"}} in wanted
    await site.execute(
        "insert into local_lists (charge_point_id, version, entries) select id, 1, $1::text::jsonb from charge_points",
        json.dumps(wanted),
    )
    assert (await owner.get(path))["drift"] == "none"
    await owner.send("DELETE", f"/grants/{grant['id']}", 204)
    shown = await owner.get(path)
    assert (shown["drift"], [entry["idTag"] for entry in shown["wanted"]]) == ("entries", [await owner.app_tag()])
