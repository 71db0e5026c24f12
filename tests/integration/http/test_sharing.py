"""Id tags and grants."""

from typing import Any

from tests.integration.http.site import Person, Site


async def test_id_tags_are_stored_in_upper_case_and_belong_to_one_person(owner: Person, stranger: Person) -> None:
    made = await owner.post("/id-tags", {"tag": "04a2b3c4", "label": "Key ring", "expires_at": "2030-01-01T00:00:00Z"})
    assert (made["tag"], made["kind"], made["label"]) == ("04A2B3C4", "card", "Key ring")
    await owner.post("/id-tags", {"tag": "04A2b3C4"}, 409)
    await stranger.post("/id-tags", {"tag": "04A2B3C4"}, 409)
    generated = await owner.post("/id-tags", {"kind": "app"})
    assert len(generated["tag"]) == 16
    assert [item["tag"] for item in (await owner.get("/id-tags"))["items"]][:2] == [generated["tag"], "04A2B3C4"]


async def test_an_id_tag_is_blocked_edited_and_forgotten(owner: Person) -> None:
    made = await owner.post("/id-tags", {"tag": "CARD1", "expires_at": "2030-01-01T00:00:00Z"})
    path = f"/id-tags/{made['id']}"
    changed = await owner.send("PATCH", path, json={"blocked": True})
    assert (changed["blocked"], changed["expires_at"]) == (True, "2030-01-01T00:00:00Z")
    changed = await owner.send("PATCH", path, json={"expires_at": None, "label": "Old"})
    assert (changed["blocked"], changed["expires_at"], changed["label"]) == (True, None, "Old")
    wrong: list[dict[str, Any]] = [{"tag": "OTHER"}, {"blocked": None}, {"label": "x" * 101}]
    for body in wrong:
        await owner.send("PATCH", path, 422, json=body)
    await owner.send("DELETE", path, 204)
    await owner.send("DELETE", path, 404)


async def test_wrong_id_tags_are_refused(owner: Person) -> None:
    wrong: list[dict[str, Any]] = [
        {"tag": "x" * 21},
        {"tag": ""},
        {"tag": "sp ace"},
        {"tag": "\u00e9"},
        {"tag": "a\nb"},
        {"kind": "master"},
        {"expires_at": "2030-01-01"},
        {"parent_tag": "x" * 21},
    ]
    for body in wrong:
        await owner.post("/id-tags", body, 422)


async def test_nobody_joins_a_strangers_group(owner: Person, stranger: Person) -> None:
    """OCPP 1.6 4.10: the same parentIdTag may stop a session."""
    await owner.post("/id-tags", {"tag": "CARD1", "parent_tag": "family"})
    await owner.post("/id-tags", {"tag": "CARD2", "parent_tag": "FAMILY"})
    for body in ({"tag": "X1", "parent_tag": "Family"}, {"tag": "family"}, {"tag": "X2", "parent_tag": "CARD1"}):
        await stranger.post("/id-tags", body, 409)
    await stranger.post("/id-tags", {"tag": "X3", "parent_tag": "OURS"})


async def test_a_grant_shows_the_charge_point_until_it_ends(owner: Person, stranger: Person) -> None:
    created = await owner.charge_point()
    path = f"/charge-points/{created['id']}"
    await stranger.get(path, 404)
    grant = await owner.post(f"{path}/grants", {"email": stranger.email.upper()})
    assert (grant["email"], grant["revoked_at"], grant["display_name"]) == (stranger.email, None, "stranger")
    assert (await stranger.get(path))["role"] == "guest"
    [item] = (await stranger.get("/charge-points"))["items"]
    assert item["id"] == created["id"]
    await owner.send("DELETE", f"{path}/grants/{grant['id']}", 204)
    await stranger.get(path, 404)
    assert (await stranger.get("/charge-points"))["items"] == []
    await owner.send("DELETE", f"{path}/grants/{grant['id']}", 204)
    [ended] = (await owner.get(f"{path}/grants"))["items"]
    assert ended["revoked_at"]


async def test_two_grants_show_a_charge_point_once(owner: Person, stranger: Person) -> None:
    created = await owner.charge_point()
    for _ in range(2):
        await owner.post(f"/charge-points/{created['id']}/grants", {"email": stranger.email})
    assert len((await stranger.get("/charge-points"))["items"]) == 1


async def test_an_expired_grant_shows_nothing(owner: Person, stranger: Person) -> None:
    created = await owner.charge_point()
    window = {"valid_from": "2020-01-01T00:00:00Z", "valid_until": "2020-01-02T00:00:00Z"}
    await owner.post(f"/charge-points/{created['id']}/grants", {"email": stranger.email, **window})
    await stranger.get(f"/charge-points/{created['id']}", 404)


async def test_wrong_grants_are_refused(owner: Person, stranger: Person) -> None:
    created = await owner.charge_point()
    path = f"/charge-points/{created['id']}/grants"
    unknown = await owner.post(path, {"email": "nobody@example.org"}, 404)
    assert "nobody@example.org" in unknown["detail"]
    await owner.post(path, {"email": owner.email}, 422)
    window = {"valid_from": "2030-01-02T00:00:00Z", "valid_until": "2030-01-01T00:00:00Z"}
    await owner.post(path, {"email": stranger.email, **window}, 422)
    assert (await owner.get(path))["items"] == []


async def test_a_guest_sees_but_does_not_rule(site: Site, owner: Person, stranger: Person) -> None:
    created = await owner.charge_point()
    path = f"/charge-points/{created['id']}"
    grant = await owner.post(f"{path}/grants", {"email": stranger.email})
    await site.transaction(created["id"])
    for allowed in ("", "/connectors"):
        await stranger.get(path + allowed)
    [connector] = (await stranger.get(f"{path}/connectors"))["items"] or [{"transaction_id": None}]
    assert connector["transaction_id"] is None, "another driver's session is not shown to a guest"
    for refused in ("/messages", "/unprocessed", "/commands", "/grants"):
        await stranger.get(path + refused, 403)
    await stranger.send("PATCH", path, 403, json={"name": "Mine"})
    await stranger.send("DELETE", path, 403)
    await stranger.post(f"{path}/key", None, 403)
    await stranger.post(f"{path}/grants", {"email": stranger.email}, 403)
    await stranger.send("DELETE", f"{path}/grants/{grant['id']}", 403)
    assert await site.value("select name from charge_points") == "Garage"
