"""Locations, charge points that stand there, and what their connectors are."""

from typing import Any

from tests.integration.http.site import Person, Site

HOME: dict[str, Any] = {
    "name": "Home",
    "address": "Nerudova 12",
    "postal_code": "118 00",
    "city": "Praha",
    "country": "CZE",
    "latitude": "50.0884",
    "longitude": "14.4033001",
    "opening_times": {
        "twentyfourseven": False,
        "regular_hours": [{"weekday": 1, "period_begin": "08:00", "period_end": "20:00"}],
    },
    "time_zone": "Europe/Prague",
}
TYPE_2 = {"standard": "IEC_62196_T2", "format": "CABLE", "power_type": "AC_3_PHASE", "max_power_w": 11000}


async def test_a_location_is_kept_exactly_and_is_its_owners(owner: Person, stranger: Person) -> None:
    made = await owner.post("/locations", HOME)
    assert {name: made[name] for name in HOME} == HOME | {"latitude": "50.0884000"}
    path = f"/locations/{made['id']}"
    assert await owner.get(path) == made
    changed = await owner.send("PATCH", path, json={"city": "Brno", "latitude": None, "longitude": None})
    assert (changed["city"], changed["latitude"], changed["address"]) == ("Brno", None, "Nerudova 12")
    assert (await stranger.get("/locations"))["items"] == []
    await stranger.send("PATCH", path, 404, json={"city": "Mine"})
    await owner.send("PATCH", path, 422, json={"latitude": "50"})


async def test_wrong_locations_are_refused(owner: Person) -> None:
    wrong: list[dict[str, Any]] = [
        {"country": "CZ"}, {"latitude": "90.1"}, {"latitude": "50.12345678"}, {"longitude": None},
        {"time_zone": "Praha"}, {"opening_times": {"twentyfourseven": False}}, {"name": ""}, {"city": None},
        {"opening_times": {"twentyfourseven": True, "regular_hours": HOME["opening_times"]["regular_hours"]}},
    ]  # fmt: skip
    for changes in wrong:
        await owner.post("/locations", HOME | changes, 422)
    assert (await owner.get("/locations"))["items"] == []


async def test_a_charge_point_takes_the_time_zone_of_its_location(owner: Person, stranger: Person) -> None:
    box = await owner.charge_point()
    path = f"/charge-points/{box['id']}"
    place = await owner.post("/locations", HOME | {"time_zone": "Europe/Lisbon"})
    await owner.send("PUT", f"{path}/location", 204, json={"location_id": place["id"]})
    shown = await owner.get(path)
    assert (shown["location_id"], shown["time_zone"]) == (place["id"], "Europe/Lisbon")
    await owner.send("PATCH", f"/locations/{place['id']}", json={"time_zone": "Europe/London"})
    assert (await owner.get(path))["time_zone"] == "Europe/London"
    await owner.send("PATCH", path, 422, json={"time_zone": "Europe/Prague"})
    await owner.send("PATCH", path, json={"time_zone": "Europe/London", "name": "Yard"})
    await owner.send("DELETE", f"/locations/{place['id']}", 409)
    foreign = await stranger.post("/locations", HOME)
    await owner.send("PUT", f"{path}/location", 422, json={"location_id": foreign["id"]})
    await owner.send("PUT", f"{path}/location", 204, json={"location_id": None})
    await owner.send("PATCH", path, json={"time_zone": "Europe/Prague"})
    await owner.send("DELETE", f"/locations/{place['id']}", 204)
    await owner.get(f"/locations/{place['id']}", 404)
    await owner.send("PUT", f"{path}/location", 422, json={"location_id": place["id"]})


async def test_an_operator_puts_no_charge_point_at_a_strangers_location(
    site: Site, owner: Person, stranger: Person
) -> None:
    operator = await site.person("operator", operator=True)
    box, foreign = await owner.charge_point(), await stranger.post("/locations", HOME)
    await operator.send("PUT", f"/charge-points/{box['id']}/location", 422, json={"location_id": foreign["id"]})


async def test_a_grant_for_a_location_is_for_whatever_stands_there(owner: Person, stranger: Person) -> None:
    place, box = await owner.post("/locations", HOME), await owner.charge_point()
    made = await owner.post("/grants", {"location_id": place["id"], "email": stranger.email})
    assert (made["location_id"], made["place_name"], made["charge_point_id"]) == (place["id"], "Home", None)
    await stranger.get(f"/charge-points/{box['id']}", 404)
    await owner.send("PUT", f"/charge-points/{box['id']}/location", 204, json={"location_id": place["id"]})
    assert [item["id"] for item in (await stranger.get("/charge-points"))["items"]] == [box["id"]]
    await owner.send("PUT", f"/charge-points/{box['id']}/location", 204, json={"location_id": None})
    await stranger.get(f"/charge-points/{box['id']}", 404)
    await owner.send("DELETE", f"/locations/{place['id']}", 204)
    assert (await owner.get(f"/grants/{made['id']}"))["revoked_at"]


async def test_a_connector_is_described_before_it_reports(owner: Person, stranger: Person) -> None:
    box = await owner.charge_point()
    path = f"/charge-points/{box['id']}/connectors"
    assert await owner.send("PUT", f"{path}/1/spec", json=TYPE_2) == TYPE_2 | {"phases": 3}
    direct = {"standard": "CHADEMO", "format": "SOCKET", "power_type": "DC"}
    await owner.send("PUT", f"{path}/2/spec", json=TYPE_2)
    assert (await owner.send("PUT", f"{path}/2/spec", json=direct))["phases"] is None
    first, second = (await owner.get(path))["items"]
    assert (first["connector_id"], first["spec"]["standard"], first["status"]) == (1, "IEC_62196_T2", None)
    assert (second["spec"]["power_type"], second["spec"]["max_power_w"]) == ("DC", None)
    for wrong in (TYPE_2 | {"standard": "TYPE2"}, TYPE_2 | {"phases": 1}, TYPE_2 | {"max_power_w": 0}):
        await owner.send("PUT", f"{path}/1/spec", 422, json=wrong)
    await owner.send("PUT", f"{path}/0/spec", 422, json=TYPE_2)
    await owner.send("DELETE", f"{path}/2/spec", 204)
    await owner.send("DELETE", f"{path}/2/spec", 404)
    await owner.post(f"/charge-points/{box['id']}/grants", {"email": stranger.email})
    assert (await stranger.get(path))["items"][0]["spec"]
    await stranger.send("PUT", f"{path}/1/spec", 403, json=TYPE_2)
