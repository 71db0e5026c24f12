"""Tariffs of owners: versions, VAT, where they hold and for whom, previews, and the price of a start."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.integration.http.site import Person, Site

HOUR = timedelta(hours=1)


def energy(price: str, **restrictions: Any) -> dict[str, Any]:
    element: dict[str, Any] = {"price_components": [{"type": "ENERGY", "price": price, "step_size": 1}]}
    return element | ({"restrictions": restrictions} if restrictions else {})


def flat(price: str, **terms: Any) -> dict[str, Any]:
    return {"currency": "CZK", "elements": [energy(price)], **terms}


WITH_VAT: dict[str, Any] = {
    "currency": "CZK",
    "elements": [{"price_components": [{"type": "ENERGY", "price": "5", "step_size": 1, "vat": "21"}]}],
}
NIGHT: dict[str, Any] = {
    "currency": "CZK",
    "elements": [
        energy("3.50", start_time="22:00", end_time="06:00"),
        {"price_components": [
            {"type": "ENERGY", "price": "5.50", "step_size": 1},
            {"type": "PARKING_TIME", "price": "60", "step_size": 60},
        ]},
    ],
    "min_price": {"excl_vat": "10.00"},
    "max_price": {"excl_vat": "300.00"},
    "idle_grace_s": 1800,
    "no_show_fee": "50.00",
}  # fmt: skip


async def price(person: Person, charge_point_id: str) -> str | None:
    """The price of a kWh that a person is shown."""
    shown = await person.get(f"/charge-points/{charge_point_id}/price")
    listed = next(item for item in (await person.get("/charge-points"))["items"] if item["id"] == charge_point_id)
    if shown["tariff"] is None:
        assert (shown["tariff_version_id"], listed["price_per_kwh"]) == (None, None)
        return None
    told: str = shown["tariff"]["elements"][0]["price_components"][0]["price"]
    assert listed["price_per_kwh"] == told
    return told


async def shared(site: Site, owner: Person) -> tuple[str, str, Person]:
    """A charge point at 5.50, a grant and its holder."""
    created = await owner.charge_point(price_per_kwh="5.50")
    guest = await site.person("guest")
    grant = await owner.post(f"/charge-points/{created['id']}/grants", {"email": guest.email})
    return created["id"], grant["id"], guest


class TestMaking:
    async def test_what_was_given_is_read_back(self, owner: Person) -> None:
        made = await owner.post("/tariffs", {"name": "Night and day", **NIGHT})
        version = made["version"]
        assert {name: version[name] for name in NIGHT if name != "elements"} == {
            name: NIGHT[name] for name in NIGHT if name != "elements"
        }
        assert version["elements"][0]["restrictions"] == {"start_time": "22:00", "end_time": "06:00"}
        assert version["valid_until"] is None
        assert made["charge_point_id"] is None
        assert (await owner.get(f"/tariffs/{made['id']}"))["name"] == "Night and day"
        assert (await owner.get(f"/tariffs/{made['id']}/versions"))["items"] == [version]
        renamed = await owner.send("PATCH", f"/tariffs/{made['id']}", json={"name": "Night"})
        assert renamed["name"] == "Night"

    async def test_everything_that_is_wrong_is_said_at_once_and_where(self, owner: Person) -> None:
        wrong = {
            "name": "Wrong",
            "currency": "CZK",
            "elements": [
                {"price_components": [{"type": "ENERGY", "price": 5.5, "step_size": 1}]},
                {"price_components": [{"type": "POWER", "price": "1", "step_size": 1}], "restrictions": {"min_kw": 3}},
            ],
        }
        answer = await owner.post("/tariffs", wrong, 422)
        assert answer["type"] == "/problems/invalid"
        assert [error["field"] for error in answer["errors"]] == [
            "body.elements.0.price_components.0.price",
            "body.elements.1.price_components.0.type",
            "body.elements.1.restrictions.min_kw",
        ]
        assert (await owner.get("/tariffs"))["items"] == []

    @pytest.mark.parametrize(
        ("terms", "field"),
        [
            ({"no_show_fee": "1.234"}, "body.no_show_fee"),
            ({"no_show_fee": "-1"}, "body.no_show_fee"),
            ({"currency": "XXX"}, "body.currency"),
            ({"elements": []}, "body.elements"),
            ({"min_price": {"excl_vat": "2"}, "max_price": {"excl_vat": "1"}}, "body.max_price.excl_vat"),
            ({"valid_from": "2020-01-01T00:00:00Z"}, "body.valid_from"),
            ({"valid_until": "2020-01-01T00:00:00Z"}, "body.valid_until"),
        ],
    )
    async def test_wrong_terms(self, owner: Person, terms: dict[str, Any], field: str) -> None:
        answer = await owner.post("/tariffs", {"name": "Wrong", **flat("1"), **terms}, 422)
        assert [error["field"] for error in answer["errors"]] == [field]
        assert (await owner.get("/tariffs"))["items"] == []

    async def test_sent_again_it_is_made_once(self, owner: Person) -> None:
        body = {"name": "Once", **flat("5")}
        first = await owner.post("/tariffs", body, Idempotency_Key="a")
        assert await owner.post("/tariffs", body, Idempotency_Key="a") == first
        path = f"/tariffs/{first['id']}/versions"
        version = await owner.post(path, flat("6"), Idempotency_Key="b")
        assert await owner.post(path, flat("6"), Idempotency_Key="b") == version
        await owner.post(path, flat("7"), 422, Idempotency_Key="b")
        assert len((await owner.get(path))["items"]) == 2


class TestVat:
    async def test_takes_a_registration(self, owner: Person) -> None:
        assert await owner.get("/me/billing-profile") == {"is_vat_registered": False, "vat_id": None}
        answer = await owner.post("/tariffs", {"name": "VAT", **WITH_VAT}, 422)
        assert answer["errors"][0]["field"] == "body.elements"
        assert "not registered" in answer["errors"][0]["message"]
        profile = {"is_vat_registered": True, "vat_id": "CZ12345678"}
        assert await owner.send("PUT", "/me/billing-profile", json=profile) == profile
        made = await owner.post("/tariffs", {"name": "VAT", **WITH_VAT})
        assert made["version"]["elements"][0]["price_components"][0]["vat"] == "21"
        assert await owner.get("/me/billing-profile") == profile

    async def test_a_registration_needs_its_id(self, owner: Person) -> None:
        path = "/me/billing-profile"
        await owner.send("PUT", path, 422, json={"is_vat_registered": True})
        await owner.send("PUT", path, 422, json={"is_vat_registered": True, "vat_id": "12345678"})
        assert (await owner.send("PUT", path, json={"is_vat_registered": False}))["vat_id"] is None

    async def test_does_not_end_while_a_tariff_has_vat(self, owner: Person) -> None:
        path = "/me/billing-profile"
        await owner.send("PUT", path, json={"is_vat_registered": True, "vat_id": "CZ12345678"})
        made = await owner.post("/tariffs", {"name": "With VAT", **WITH_VAT})
        refused = await owner.send("PUT", path, 409, json={"is_vat_registered": False})
        assert "With VAT" in refused["detail"]
        later = (datetime.now(UTC) + HOUR).isoformat()
        await owner.post(f"/tariffs/{made['id']}/versions", {**flat("5"), "valid_from": later})
        await owner.send("PUT", path, 409, json={"is_vat_registered": False})
        await owner.post(f"/tariffs/{made['id']}/versions", {**flat("5"), "valid_until": later})
        await owner.send("PUT", path, 409, json={"is_vat_registered": False})
        await owner.post(f"/tariffs/{made['id']}/versions", flat("5"))
        await owner.send("PUT", path, json={"is_vat_registered": False})

    async def test_of_a_version_and_the_end_of_the_registration_at_once_one_is_refused(
        self, site: Site, owner: Person
    ) -> None:
        for _ in range(5):
            await owner.send("PUT", "/me/billing-profile", json={"is_vat_registered": True, "vat_id": "CZ12345678"})
            end = owner.http.put("/me/billing-profile", json={"is_vat_registered": False})
            make = owner.http.post("/tariffs", json={"name": "With VAT", **WITH_VAT})
            ended, made = await asyncio.gather(end, make)
            assert (ended.status_code, made.status_code) in {(409, 201), (200, 422)}
            await site.execute(
                "update tariffs set owner_id = $1 where owner_id = $2", (await site.person()).user_id, owner.user_id
            )


class TestWhichHolds:
    async def test_the_one_that_is_assigned_until_another_is(self, owner: Person) -> None:
        created = await owner.charge_point()
        path = f"/charge-points/{created['id']}/tariff"
        assert await price(owner, created["id"]) is None
        made = await owner.post("/tariffs", {"name": "Named", **flat("4.00")})
        assigned = await owner.send("PUT", path, json={"tariff_id": made["id"]})
        assert assigned["tariff_version_id"] == made["version"]["id"]
        assert await price(owner, created["id"]) == "4.00"
        await owner.send("PATCH", f"/charge-points/{created['id']}", json={"price_per_kwh": "6.00"})
        assert await price(owner, created["id"]) == "6.00"
        own = (await owner.get("/tariffs"))["items"][0]
        assert (own["charge_point_id"], own["name"]) == (created["id"], "Garage")
        await owner.send("PUT", path, json={"tariff_id": made["id"]})
        assert await price(owner, created["id"]) == "4.00"
        await owner.send("PUT", path, json={"tariff_id": None})
        assert await price(owner, created["id"]) is None
        await owner.send("PATCH", f"/charge-points/{created['id']}", json={"price_per_kwh": "6.50"})
        assert await price(owner, created["id"]) == "6.50"
        assert len((await owner.get(f"/tariffs/{own['id']}/versions"))["items"]) == 2

    async def test_of_the_valid_versions_the_one_that_began_last(self, site: Site, owner: Person) -> None:
        created = await owner.charge_point()
        made = await owner.post("/tariffs", {"name": "Summer", **flat("1.00")})
        await owner.send("PUT", f"/charge-points/{created['id']}/tariff", json={"tariff_id": made["id"]})
        now = datetime.now(UTC)
        week, day = timedelta(weeks=1), timedelta(days=1)
        for amount, begins, ends in (
            ("2.00", now + week, None),
            ("3.00", now + 2 * week, now + 2 * week + day),
            ("9.00", now + 3 * week, None),
            ("4.00", now + 3 * week, None),  # made last
        ):
            limits = {"valid_from": begins.isoformat(), "valid_until": ends and ends.isoformat()}
            await owner.post(f"/tariffs/{made['id']}/versions", {**flat(amount), **limits})
        path = f"/charge-points/{created['id']}/price-preview"
        seen = []
        for after in (timedelta(0), week - HOUR, week, 2 * week + HOUR, 2 * week + day, 3 * week + HOUR):
            at = (now + after + timedelta(minutes=1)).isoformat()
            cost = await owner.get(path, **{"energy_wh": 1000, "connected_s": 60, "from": at})
            seen.append(cost["total"])
        assert seen == ["1.00", "1.00", "2.00", "3.00", "2.00", "4.00"]

    async def test_a_grant_has_its_own(self, site: Site, owner: Person) -> None:
        charge_point_id, grant_id, guest = await shared(site, owner)
        other = await site.person("other")
        await owner.post(f"/charge-points/{charge_point_id}/grants", {"email": other.email})
        made = await owner.post("/tariffs", {"name": "Friends", **flat("2.00")})
        path = f"/grants/{grant_id}/tariff"
        await guest.send("PUT", path, 404, json={"tariff_id": None})
        assert await price(guest, charge_point_id) == "5.50"
        await owner.send("PUT", path, 204, json={"tariff_id": made["id"]})
        assert [await price(each, charge_point_id) for each in (guest, other, owner)] == ["2.00", "5.50", "5.50"]
        await owner.send("PUT", path, 204, json={"tariff_id": None})
        assert await price(guest, charge_point_id) == "5.50"

    async def test_only_tariffs_of_the_same_owner_are_assigned(
        self, site: Site, owner: Person, stranger: Person
    ) -> None:
        charge_point_id, grant_id, _ = await shared(site, owner)
        theirs = await stranger.post("/tariffs", {"name": "Theirs", **flat("2.00")})
        await owner.charge_point(name="Yard", price_per_kwh="1")
        [own] = [item for item in (await owner.get("/tariffs"))["items"] if item["name"] == "Yard"]
        for path in (f"/charge-points/{charge_point_id}/tariff",
                     f"/grants/{grant_id}/tariff"):  # fmt: skip
            for tariff_id in (theirs["id"], own["id"], charge_point_id):
                answer = await owner.send("PUT", path, 422, json={"tariff_id": tariff_id})
                assert answer["errors"][0]["field"] == "body.tariff_id"
        assert await price(owner, charge_point_id) == "5.50"


class TestPreview:
    async def test_an_evening_that_becomes_night_and_a_car_that_stays(self, owner: Person) -> None:
        created = await owner.charge_point()
        made = await owner.post("/tariffs", {"name": "Night", **NIGHT})
        await owner.send("PUT", f"/charge-points/{created['id']}/tariff", json={"tariff_id": made["id"]})
        tonight = (datetime.now(UTC) + timedelta(days=1)).replace(hour=20, minute=30, second=0, microsecond=0)
        await owner.send("PATCH", f"/charge-points/{created['id']}", json={"time_zone": "UTC"})
        query = {"energy_wh": 18_000, "connected_s": 4 * 3600, "charging_s": 3 * 3600, "from": tonight.isoformat()}
        cost = await owner.get(f"/charge-points/{created['id']}/price-preview", **query)
        assert [(line["type"], line["element"], line["amount"], line["rule"]) for line in cost["lines"]] == [
            ("ENERGY", 1, "49.50", "volume_times_price"),
            ("ENERGY", 0, "31.50", "volume_times_price"),
            ("PARKING_TIME", 1, "30.00", "volume_times_price"),
        ]
        assert cost["lines"][0]["explanation"] == "Energy: 9 kWh x 5.50 CZK/kWh = 49.50 CZK."
        assert (cost["total_minor"], cost["total"], cost["currency"]) == (11100, "111.00", "CZK")
        assert (
            cost["lines"][2]["explanation"] == "Time connected without charging: 0:30:00 h x 60.00 CZK/h = 30.00 CZK."
        )
        assert cost["tariff_version_id"] == made["version"]["id"]
        assert sum(line["amount_minor"] for line in cost["lines"]) == cost["total_minor"]

    async def test_what_cannot_be(self, owner: Person) -> None:
        created = await owner.charge_point()
        path = f"/charge-points/{created['id']}/price-preview"
        asked: dict[str, Any] = {"energy_wh": 1000, "connected_s": 60}
        assert "no price" in (await owner.get(path, 409, **asked))["detail"]
        await owner.send("PATCH", f"/charge-points/{created['id']}", json={"price_per_kwh": "1"})
        for wrong in ({"charging_s": 61}, {"energy_wh": -1}, {"from": "2199-01-01T00:00:00Z"}, {"charging_s": 0}):
            await owner.get(path, 422, **asked | wrong)


class TestStart:
    async def test_an_outdated_price_is_refused_with_the_new_one(self, site: Site, owner: Person) -> None:
        charge_point_id, _, guest = await shared(site, owner)
        shown = (await guest.get(f"/charge-points/{charge_point_id}/price"))["tariff_version_id"]
        path = f"/charge-points/{charge_point_id}/start"
        body = {"connector_id": 1, "tariff_version_id": shown, "wait_s": 0}
        await guest.post(path, body)
        await owner.send("PATCH", f"/charge-points/{charge_point_id}", json={"price_per_kwh": "7.00"})
        refused = await guest.post(path, body, 409)
        assert refused["type"] == "/problems/price-changed"
        assert refused["price"] == await guest.get(f"/charge-points/{charge_point_id}/price")
        await guest.post(path, body | {"tariff_version_id": refused["price"]["tariff_version_id"]})
        frozen = "select array_agg(tariff_version_id order by created_at) from commands"
        assert await site.value(frozen) == [UUID(shown), UUID(refused["price"]["tariff_version_id"])]

    async def test_nobody_is_charged_who_was_shown_no_price(self, site: Site, owner: Person) -> None:
        created = await owner.charge_point()
        path = f"/charge-points/{created['id']}/start"
        await owner.post(path, {"tariff_version_id": None, "wait_s": 0})
        await owner.send("PATCH", f"/charge-points/{created['id']}", json={"price_per_kwh": "7.00"})
        await owner.post(path, {"tariff_version_id": None, "wait_s": 0}, 409)
        await owner.post(path, {"wait_s": 0})
        assert await site.value("select count(*) from commands where tariff_version_id is not null") == 1

    async def test_a_guest_starts_at_the_price_of_the_grant(self, site: Site, owner: Person) -> None:
        charge_point_id, grant_id, guest = await shared(site, owner)
        usual = (await guest.get(f"/charge-points/{charge_point_id}/price"))["tariff_version_id"]
        made = await owner.post("/tariffs", {"name": "Friends", **flat("2.00")})
        path = f"/grants/{grant_id}/tariff"
        await owner.send("PUT", path, 204, json={"tariff_id": made["id"]})
        start = f"/charge-points/{charge_point_id}/start"
        await guest.post(start, {"tariff_version_id": usual, "wait_s": 0}, 409)
        await guest.post(start, {"tariff_version_id": made["version"]["id"], "wait_s": 0})
        assert await site.value("select tariff_version_id from commands") == UUID(made["version"]["id"])


class TestCostSoFar:
    async def test_of_a_session_that_runs_and_has_a_price(self, site: Site, owner: Person) -> None:
        created = await owner.charge_point()
        component = {"type": "FLAT", "price_e4": 50_000, "step_size": 1}
        tariff = json.dumps({"currency": "CZK", "elements": [{"price_components": [component]}]})
        free, running = await site.transaction(created["id"]), await site.transaction(created["id"], number=2)
        freeze = "update transactions set tariff = $1::text::jsonb where public_id = $2"
        await site.execute(freeze, tariff, UUID(running))
        assert (await owner.get(f"/transactions/{running}/cost-so-far"))["total"] == "5.00"
        await owner.get(f"/transactions/{free}/cost-so-far", 409)
        await site.execute("update transactions set status = 'stopped'")
        await owner.get(f"/transactions/{running}/cost-so-far", 409)
        await (await site.person("other")).get(f"/transactions/{running}/cost-so-far", 404)
