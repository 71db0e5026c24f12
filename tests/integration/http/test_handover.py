"""A wallbox goes to a new owner: what ends, what stays with whom, and what must not happen."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from api.settlement.settling import settle_next
from tests.integration.http.gateway import Gateway
from tests.integration.http.site import START, Person, Site
from tests.integration.http.test_locations import HOME

STOPPED: dict[str, Any] = {
    "status": "stopped",
    "stopped_at": START + timedelta(hours=1),
    "currency": "CZK",
    "total_minor": 100,
    "charge_detail_record": (
        '{"currency": "CZK", "net_minor": 100, "vat_minor": 0, "total_minor": 100, "lines": [{"amount_minor": 100}]}'
    ),
}


async def offered(owner: Person, box: dict[str, Any], to: Person) -> str:
    made = await owner.post(f"/charge-points/{box['id']}/handover", {"email": to.email})
    return f"/handovers/{made['id']}"


async def test_what_the_old_owner_set_up_ends(site: Site, owner: Person, stranger: Person, gateway: Gateway) -> None:
    guest = await site.person("guest")
    box = await owner.charge_point(price_per_kwh="5.50")
    path = f"/charge-points/{box['id']}"
    place = await owner.post("/locations", HOME)
    await owner.send("PUT", f"{path}/location", 204, json={"location_id": place["id"]})
    await owner.send("PATCH", path, json={"visibility": "public"})
    for grant in (
        {"charge_point_id": box["id"], "email": guest.email},
        {"charge_point_id": box["id"], "email": "nobody@example.org"},
        {"charge_point_id": box["id"], "public": True},
        {"location_id": place["id"], "email": guest.email},
    ):
        await owner.post("/grants", grant)
    offer = await offered(owner, box, stranger)
    old_digest = await site.value("select key_digest from charge_points")
    await stranger.get(f"{path}/grants", 403)
    taken = await stranger.post(f"{offer}/accept")
    assert (await gateway.next_change()).close
    assert taken["key"] != box["key"]
    assert await site.value("select key_digest from charge_points") != old_digest
    shown = await stranger.get(path)
    assert (shown["role"], shown["price_per_kwh"], shown["visibility"]) == ("owner", "0.00", "shared")
    assert shown["location_id"] is None
    for person in (owner, guest):
        await person.get(path, 404)
        assert (await person.get("/charge-points"))["items"] == []
    assert (await stranger.get(f"{path}/grants"))["items"] == [], "with whom the old owner shared is not shown"
    assert (await stranger.get("/grants"))["items"] == []
    wanted = (await stranger.get(f"{path}/local-list"))["wanted"]
    assert [entry["idTag"] for entry in wanted] == [await stranger.app_tag()]
    assert await site.value("select count(*) from grants where revoked_at is null") == 1, "the location's own"
    assert (await owner.get("/handovers"))["items"] == (await stranger.get("/handovers"))["items"]
    await stranger.post(f"{path}/grants", {"email": owner.email})
    assert len((await stranger.get(f"{path}/grants"))["items"]) == 1


async def test_old_sessions_and_their_money_stay_with_the_old_owner(
    site: Site, owner: Person, stranger: Person
) -> None:
    driver = await site.person("driver")
    box = await owner.charge_point()
    before = await site.transaction(box["id"], number=1, driver_id=driver.user_id, **STOPPED)
    held = await site.transaction(box["id"], number=2, driver_id=driver.user_id, held_reasons=["x"], **STOPPED)
    await stranger.post(f"{await offered(owner, box, stranger)}/accept")
    after = await site.transaction(box["id"], number=3, driver_id=driver.user_id, **STOPPED)
    assert {item["id"] for item in (await owner.get("/transactions"))["items"]} == {before, held}
    assert [item["id"] for item in (await stranger.get("/transactions"))["items"]] == [after]
    assert [item["transaction_id"] for item in (await owner.get("/held-sessions"))["items"]] == [held]
    assert (await stranger.get("/held-sessions"))["items"] == []
    await owner.get(f"/transactions/{held}/receipt", 409)
    await stranger.get(f"/transactions/{held}/receipt", 404)
    await stranger.get(f"/transactions/{before}", 404)
    await stranger.post(f"/transactions/{held}/decisions", {"decision": "waive", "note": "Mine?"}, 404)
    async with site.sql() as connection:
        for _ in range(2):
            async with connection.transaction():
                assert await settle_next(connection, 0, datetime.now(UTC))
    earned = "select user_id from settlements s join ledger_accounts a on a.id = s.owner_account_id \
        join transactions t on t.id = s.transaction_id where t.public_id = $1"
    assert await site.value(earned, UUID(before)) == owner.user_id
    assert await site.value(earned, UUID(after)) == stranger.user_id
    await owner.post(f"/transactions/{held}/decisions", {"decision": "waive", "note": "Mine."})


async def test_nobody_takes_what_is_not_offered_to_them(site: Site, owner: Person, stranger: Person) -> None:
    box = await owner.charge_point()
    path = f"/charge-points/{box['id']}/handover"
    thief = await site.person("thief")
    offer = await offered(owner, box, stranger)
    await owner.post(path, {"email": thief.email}, 409)
    for person in (thief, owner):
        await person.post(f"{offer}/accept", None, 404)
        await person.post(f"{offer}/decline", None, 404)
    await owner.send("DELETE", path, 204)
    await owner.send("DELETE", path, 404)
    await stranger.post(f"{offer}/accept", None, 409)
    again = await offered(owner, box, stranger)
    await stranger.post(f"{again}/decline", None, 204)
    await stranger.post(f"{again}/accept", None, 409)
    late = await offered(owner, box, stranger)
    await site.execute("update handovers set expires_at = now() where status = 'offered'")
    await stranger.post(f"{late}/accept", None, 409)
    await offered(owner, box, thief)
    await owner.post(path, {"email": owner.email}, 422)
    assert await site.value("select owner_id from charge_points") == owner.user_id


async def test_not_while_a_session_runs(site: Site, owner: Person, stranger: Person) -> None:
    box = await owner.charge_point()
    await site.transaction(box["id"])
    offer = await offered(owner, box, stranger)
    refused = await stranger.post(f"{offer}/accept", None, 409)
    assert "session is running" in refused["detail"]
    await site.execute("update transactions set status = 'stopped'")
    await stranger.post(f"{offer}/accept")


async def test_accepted_twice_at_once_is_accepted_once_and_its_repeat_shows_no_key(
    site: Site, owner: Person, stranger: Person
) -> None:
    box = await owner.charge_point()
    offer = await offered(owner, box, stranger)
    answers = await asyncio.gather(*(stranger.http.post(f"{offer}/accept") for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    second = await stranger.post(f"/charge-points/{box['id']}/handover", {"email": owner.email})
    path = f"/handovers/{second['id']}/accept"
    first, repeat = [await owner.post(path, None, Idempotency_Key="k") for _ in range(2)]
    assert first["key"]
    assert repeat == first | {"key": None, "note": repeat["note"]}
    assert await site.value("select owner_id from charge_points") == owner.user_id
