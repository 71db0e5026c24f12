"""Search for connectors: what is found and what is not, in which order, and by which plan on a large table."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from math import asin, cos, radians, sin, sqrt
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.paging import PageRequest
from api.sharing.search import Area, Wanted, find_connectors, prepare
from api.sharing.search_query import EARTH_RADIUS_KM, FEW, SPARSE
from tests.integration.http.plans import kept_plan
from tests.integration.http.site import Person, Site

HERE = {"latitude": 50.0, "longitude": 14.0}
TYPE_2 = {"standard": "IEC_62196_T2", "format": "CABLE", "power_type": "AC_3_PHASE", "max_power_w": 22000}
ALWAYS = {"twentyfourseven": True}
PLACE = {"name": "Home", "address": "Nerudova 12", "city": "Praha", "country": "CZE", "opening_times": ALWAYS}
AVAILABLE = """insert into connectors (charge_point_id, connector_id, status, error_code, status_at, received_at, epoch,
    sequence) values ($1, 1, 'Available', 'NoError', now(), now(), 1, 1)"""
CONNECTED = "update charge_points set connected_at = now(), disconnected_at = null where id = $1"


async def stands(
    owner: Person, latitude: str, longitude: str = "14.0", visibility: str = "public", **spec: Any
) -> dict[str, Any]:
    """A wallbox with one connector at a place of its own; a public one with a public grant."""
    box = await owner.charge_point(price_per_kwh="5.50", name=f"Box {latitude}")
    path = f"/charge-points/{box['id']}"
    place = await owner.post("/locations", {**PLACE, "latitude": latitude, "longitude": longitude})
    await owner.send("PUT", f"{path}/location", 204, json={"location_id": place["id"]})
    await owner.send("PUT", f"{path}/connectors/1/spec", json={**TYPE_2, **spec})
    await owner.send("PATCH", path, json={"visibility": visibility})
    if visibility == "public":
        await owner.post("/grants", {"charge_point_id": box["id"], "public": True})
    return box


async def found(person: Person, **asked: Any) -> list[str]:
    """The ids of what is found, in order."""
    page = await person.get("/search/connectors", **{**HERE, **asked})
    return [item["charge_point_id"] for item in page["items"]]


async def test_what_is_public_is_shown_exactly_and_nobody_is(owner: Person, stranger: Person) -> None:
    box = await stands(owner, "50.01")
    [item] = (await stranger.get("/search/connectors", **HERE))["items"]
    assert (item["charge_point_id"], item["access"], item["connector_id"]) == (box["id"], "public", 1)
    assert (item["latitude"], item["longitude"], item["address"]) == ("50.0100000", "14.0000000", "Nerudova 12")
    assert (item["distance_m"], item["price_per_kwh"], item["currency"]) == (1112, "5.50", "CZK")
    assert (item["status"], item["is_free_now"], item["opening_times"]["twentyfourseven"]) == (None, False, True)
    text = json.dumps(item)
    assert str(owner.user_id) not in text
    assert owner.email not in text
    [own] = (await owner.get("/search/connectors", **HERE))["items"]
    assert own["access"] == "own"


async def test_what_is_not_public_is_found_by_nobody_else(site: Site, owner: Person, stranger: Person) -> None:
    shared = await stands(owner, "50.01", visibility="shared")
    private = await stands(owner, "50.02", visibility="private")
    box = await stands(owner, "50.03")
    await site.execute("update grants set revoked_at = now()")
    operator = await site.person("operator", operator=True)
    for person in (stranger, operator):
        assert await found(person) == [], "public, and granted to nobody"
    assert await found(owner) == [shared["id"], private["id"], box["id"]]
    await owner.post("/grants", {"charge_point_id": shared["id"], "email": stranger.email})
    await owner.post("/grants", {"charge_point_id": private["id"], "email": stranger.email})
    [item] = (await stranger.get("/search/connectors", **HERE))["items"]
    assert (item["charge_point_id"], item["access"]) == (shared["id"], "granted")
    await owner.send("DELETE", f"/charge-points/{shared['id']}", 204)
    assert await found(stranger) == []
    answer = await site.client().get("/search/connectors", params=HERE)
    assert answer.status_code == 401, "a log-in is needed"


async def test_nearest_first_page_by_page(owner: Person, stranger: Person) -> None:
    boxes = [await stands(owner, latitude) for latitude in ("50.03", "49.99", "50.02", "50.2")]
    nearest = [boxes[1]["id"], boxes[2]["id"], boxes[0]["id"]]
    assert await found(stranger) == nearest
    assert await found(stranger, radius_km=2) == nearest[:1]
    assert await found(stranger, radius_km=30) == [*nearest, boxes[3]["id"]]
    read, cursor = [], None
    while True:
        asked = {**HERE, "limit": 1, **({"cursor": cursor} if cursor else {})}
        page = await stranger.get("/search/connectors", **asked)
        read += [item["charge_point_id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert read == nearest
    await stranger.get("/search/connectors", 422, **HERE, cursor="nonsense")


async def test_by_plug_power_and_price(owner: Person, stranger: Person) -> None:
    cable = await stands(owner, "50.01")
    fast = await stands(owner, "50.02", standard="IEC_62196_T2_COMBO", power_type="DC", max_power_w=50000)
    assert await found(stranger, standard="IEC_62196_T2_COMBO") == [fast["id"]]
    assert await found(stranger, power_type="AC_3_PHASE") == [cable["id"]]
    assert await found(stranger, min_power_w=22001) == [fast["id"]]
    await owner.send("PATCH", f"/charge-points/{fast['id']}", json={"price_per_kwh": "9.0001"})
    assert await found(stranger, max_price_per_kwh="5.5", currency="CZK") == [cable["id"]]
    assert await found(stranger, max_price_per_kwh="5.4999", currency="CZK") == []
    assert await found(stranger, max_price_per_kwh="100", currency="EUR") == []
    tariff = await owner.post("/tariffs", {"name": "Friends", "currency": "CZK", "elements": [
        {"price_components": [{"type": "ENERGY", "price": "1.00", "step_size": 1}]}]})  # fmt: skip
    grant = await owner.post("/grants", {"charge_point_id": fast["id"], "email": stranger.email})
    await owner.send("PUT", f"/grants/{grant['id']}/tariff", 204, json={"tariff_id": tariff["id"]})
    assert await found(stranger, max_price_per_kwh="1", currency="CZK") == [fast["id"]], "the caller's own price"
    for wrong in ({"max_price_per_kwh": "1"}, {"currency": "CZK"}, {"max_price_per_kwh": "-1", "currency": "CZK"},
                  {"latitude": 91}, {"radius_km": 0}, {"radius_km": "nan"}, {"standard": "PLUG"},
                  {"free_from": "2026-05-04T10:00:00Z"}):  # fmt: skip
        await stranger.get("/search/connectors", 422, **{**HERE, **wrong})


async def test_free_now_and_free_at_a_time(site: Site, owner: Person, stranger: Person) -> None:
    box = await stands(owner, "50.01")
    box_id = UUID(box["id"])
    assert await found(stranger, free_now=True) == []
    await site.execute(AVAILABLE, box_id)
    assert await found(stranger, free_now=True) == [], "it is not connected"
    await site.execute(CONNECTED, box_id)
    assert await found(stranger, free_now=True) == [box["id"]]
    now = datetime.now(UTC)
    one, two, three = (now + hours * timedelta(hours=1) for hours in (1, 2, 3))
    await owner.post(f"/charge-points/{box['id']}/bookings", {
        "connector_id": 1, "starts_at": one.isoformat(), "ends_at": two.isoformat()})  # fmt: skip
    assert await found(stranger, free_now=True) == [box["id"]]
    for begin, end, is_free in ((now, one, True), (now, two, False), (two, three, True), (one, three, False)):
        asked = {"free_from": begin.isoformat(), "free_until": end.isoformat()}
        assert await found(stranger, **asked) == ([box["id"]] if is_free else []), asked
    await site.transaction(box["id"])
    assert await found(stranger, free_now=True) == []
    assert await found(stranger) == [box["id"]]


async def test_across_the_date_line_and_at_the_pole(owner: Person, stranger: Person) -> None:
    east = await stands(owner, "-16.5", "179.99")
    west = await stands(owner, "-16.5", "-179.98")
    pole = await stands(owner, "89.99", "-120.0")
    assert await found(stranger, latitude=-16.5, longitude=179.98) == [east["id"], west["id"]]
    assert await found(stranger, latitude=-16.5, longitude=-179.99) == [west["id"], east["id"]]
    assert await found(stranger, latitude=89.99, longitude=60) == [pole["id"]]


def distance_km(area: Area, latitude: float, longitude: float) -> float:
    north, east = radians(latitude - area.latitude), radians(longitude - area.longitude)
    half = sin(north / 2) ** 2 + cos(radians(area.latitude)) * cos(radians(latitude)) * sin(east / 2) ** 2
    return 2 * EARTH_RADIUS_KM * asin(sqrt(min(1.0, half)))


@given(st.floats(-89, 89), st.floats(-179, 179), st.floats(0.1, 100), st.floats(-2, 2), st.floats(-1, 1))
def test_the_box_holds_the_circle(
    latitude: float, longitude: float, radius_km: float, north: float, east: float
) -> None:
    area = Area(latitude, longitude, radius_km)
    reach = radius_km / 111
    place = (
        max(-90.0, min(90.0, latitude + north * reach)),
        longitude + east * reach / max(0.01, cos(radians(latitude))),
    )
    least, most, west, right = area.box
    if distance_km(area, *place) <= radius_km:
        assert least - 1e-7 <= place[0] <= most + 1e-7
        assert west - 1e-7 <= place[1] <= right + 1e-7


ROWS = (
    "insert into users (email, password_hash) select 'u' || n || '@example.org', '' from generate_series(1, 2000) n",
    """insert into locations (owner_id, name, address, city, country, latitude, longitude)
       select id, 'L', 'A', 'C', 'CZE', 49.5 + random(), 13 + 3 * random()
       from users, generate_series(1, 5)""",
    """insert into charge_points (owner_id, identity, key_digest, location_id, visibility, connected_at)
       select owner_id, gen_random_uuid()::text, '', id, case when random() < 0.5 then 'public' else 'shared' end, now()
       from locations""",
    """insert into connector_specs (charge_point_id, connector_id, standard, format, power_type, max_power_w)
       select id, n, 'IEC_62196_T2', 'CABLE', 'AC_3_PHASE', 22000 from charge_points, generate_series(1, 2) n""",
    """insert into connectors (charge_point_id, connector_id, status, error_code, status_at, received_at, epoch,
       sequence)
       select charge_point_id, connector_id, 'Available', 'NoError', now(), now(), 1, 1 from connector_specs""",
    """insert into grants (charge_point_id, audience)
       select id, 'public' from charge_points where visibility = 'public'""",
    """insert into grants (location_id, user_id) select id, owner_id from locations""",
    """insert into bookings (charge_point_id, connector_id, owner_id, user_id, id_tag, starts_at, ends_at)
       select id, 1, owner_id, owner_id, 'T', now(), now() + interval '1 hour' from charge_points""",
    """insert into tariffs (owner_id, name, charge_point_id) select owner_id, 'T', id from charge_points""",
    """insert into tariff_versions (tariff_id, currency, elements, valid_from) select id, 'CZK',
       '[{"price_components": [{"type": "ENERGY", "price_e4": 55000, "step_size": 1}]}]', now() - interval '1 day'
       from tariffs""",
    """insert into tariff_assignments (charge_point_id, tariff_id, assigned_at) select charge_point_id, id,
       now() - interval '1 day' from tariffs""",
)
LARGE = {
    "locations", "charge_points", "connector_specs", "connectors", "grants", "bookings", "tariffs", "tariff_versions",
    "tariff_assignments",
}  # fmt: skip


def scans(plan: Any) -> list[tuple[str, str]]:
    """(kind of scan, table) of every scan in a plan."""
    if isinstance(plan, list):
        return [each for part in plan for each in scans(part)]
    here = [(plan["Node Type"], plan["Relation Name"])] if "Relation Name" in plan else []
    return (
        [*here, *scans(plan.get("Plan", [])), *scans(plan.get("Plans", []))]
        if "Node Type" in plan
        else scans(plan["Plan"])
    )


@pytest.fixture
async def town(site: Site) -> AsyncIterator[asyncpg.Connection]:
    """20,000 connectors at 10,000 places."""
    connection = await asyncpg.connect(site.database.owner)
    try:
        for rows in ROWS:
            await connection.execute(rows)
        await connection.execute("analyze")
        yield connection
    finally:
        await connection.close()


async def test_where_places_are_many_the_pages_are_those_of_the_whole_circle(
    town: asyncpg.Connection, stranger: Person
) -> None:
    now = datetime.now(UTC)
    dense, at_an_edge, small, empty = (
        Area(*at) for at in ((50, 14.4, 30), (49.5, 13, 80), (50.2, 15, 0.5), (10, 10, 99))
    )
    for area in (dense, at_an_edge, small, empty):
        query, values = prepare(stranger.user_id, area, Wanted(), (None, None, None, 100_000), now)
        found = await query.fetch(town, values)
        whole: list[tuple[Any, ...]] = [tuple(row._mapping.values()) for row in found]
        assert (len(whole) > FEW) == (area in {dense, at_an_edge}), "places enough for more than one circle"
        distances = [row.distance_m for row in found]
        assert distances == sorted(distances)
        read: list[tuple[Any, ...]] = []
        paging = PageRequest(151)
        while True:
            rows, cursor = await find_connectors(town, stranger.user_id, area, Wanted(), paging, now=now)
            read += [tuple(row._mapping.values()) for row in rows]
            if cursor is None:
                break
            paging = PageRequest(151, cursor)
        assert read == whole


async def test_no_large_table_is_read_as_a_whole(town: asyncpg.Connection, stranger: Person) -> None:
    """By a plan for these values and by one that is kept for all."""
    day = datetime(2026, 5, 4, tzinfo=UTC)
    for wanted in (
        Wanted(),
        Wanted(max_price_e4=60000, currency="CZK"),
        Wanted("IEC_62196_T2", min_power_w=11000, free_from=day, free_until=day + timedelta(days=1)),
    ):
        part = (None, None, None, 51)
        query, values = prepare(stranger.user_id, Area(50.0, 14.4, 10), wanted, part, datetime.now(UTC))
        assert len(await query.fetch(town, values)) == 51
        for plan in (
            await town.fetchval(f"explain (format json) {query.sql}", *(values[name] for name in query.slots)),
            await kept_plan(town, query.sql, len(query.slots)),
        ):
            found = scans(json.loads(plan))
            assert {"locations", "charge_points", "grants"} <= {table for _, table in found}
            assert [each for each in found if each[0] == "Seq Scan" and each[1] in LARGE] == [], wanted
    assert "Seq Scan" not in await kept_plan(town, SPARSE, 3)
