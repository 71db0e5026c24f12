"""Charging from a sticker: who scanned its code sees price, verdict and what is kept, and starts by exactly that."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from tests.integration.http.gateway import Gateway
from tests.integration.http.site import Person, Site
from tests.integration.http.test_credit import HOLD, credit, top_up


@pytest.fixture
async def box(site: Site, owner: Person, gateway: Gateway) -> str:
    """A connected wallbox at 5.50 a kWh."""
    created = await owner.charge_point(name="Garage", price_per_kwh="5.50")
    await site.accept(created["id"])
    await gateway.connect(created["id"])
    return str(created["id"])


@pytest.fixture
async def code(owner: Person, box: str) -> str:
    return str((await owner.get(f"/charge-points/{box}/connector-codes"))["items"][0]["code"])


async def make_public(owner: Person, box: str) -> None:
    await owner.send("PATCH", f"/charge-points/{box}", 200, json={"visibility": "public"})
    await owner.post("/grants", {"charge_point_id": box, "public": True})


async def begin(person: Person, code: str, status: int = 201, /, **body: Any) -> Any:
    """A start at the price that is shown, or at another."""
    if "tariff_version_id" not in body:
        body["tariff_version_id"] = (await person.get(f"/c/{code}"))["price"]["tariff_version_id"]
    return await person.post(f"/c/{code}/start", body, status)


async def test_a_guest_sees_the_price_and_what_is_missing_then_pays_and_starts(
    *, site: Site, owner: Person, stranger: Person, gateway: Gateway, box: str, code: str
) -> None:
    await make_public(owner, box)
    await top_up(site, stranger, 120)
    offer = await stranger.get(f"/c/{code.lower()}")
    assert (offer["code"], offer["name"], offer["connector_id"], offer["online"]) == (code, "Garage", 1, True)
    assert (offer["may_charge"], offer["reason_code"]) == (False, "credit_too_low")
    assert "380.00 CZK are missing" in offer["reason"]
    assert offer["hold"] == {
        "currency": "CZK", "amount_minor": HOLD, "available_minor": 12_000, "missing_minor": 38_000,
        "top_up": "/api/v1/top-up?amount_minor=38000",
    }  # fmt: skip
    refused = await begin(stranger, code, 402)
    assert (refused["type"], refused["missing_minor"]) == ("/problems/credit-too-low", 38_000)
    assert await site.value("select count(*) from commands") == 0
    await top_up(site, stranger, 380, "2")
    offer = await stranger.get(f"/c/{code}")
    assert (offer["may_charge"], offer["reason"], offer["hold"]["missing_minor"]) == (True, "", 0)
    [component] = offer["price"]["tariff"]["elements"][0]["price_components"]
    assert component["price"] in {"5.5", "5.50", "5.5000"}
    started = await begin(stranger, code)
    assert (started["status"], started["payload"]["connectorId"]) == ("accepted", 1)
    assert started["payload"]["idTag"] == await stranger.app_tag()
    assert (await gateway.next_command()).action == "RemoteStartTransaction"
    assert (await credit(stranger))["held"] == HOLD


async def test_another_price_than_the_one_shown_starts_nothing(
    site: Site, owner: Person, stranger: Person, box: str, code: str
) -> None:
    await make_public(owner, box)
    await top_up(site, stranger, 500)
    shown = (await stranger.get(f"/c/{code}"))["price"]["tariff_version_id"]
    await owner.send("PATCH", f"/charge-points/{box}", 200, json={"price_per_kwh": "9"})
    for other in (shown, None):
        refused = await begin(stranger, code, 409, tariff_version_id=other)
        assert refused["type"] == "/problems/price-changed"
        assert refused["price"] == (await stranger.get(f"/c/{code}"))["price"]
    await stranger.post(f"/c/{code}/start", {}, 422)
    assert (await credit(stranger))["held"] == 0


async def test_with_whom_it_is_not_shared_learns_only_that(
    owner: Person, stranger: Person, box: str, code: str, gateway: Gateway
) -> None:
    offer = await stranger.get(f"/c/{code}")
    assert (offer["may_charge"], offer["reason_code"]) == (False, "not_shared")
    assert (offer["charge_point_id"], offer["price"], offer["hold"]) == (None, None, None)
    refused = await begin(stranger, code, 403, tariff_version_id=None)
    assert (refused["type"], refused["code"]) == ("/problems/charging-refused", "not_shared")
    assert gateway.commands.empty()
    await make_public(owner, box)
    await owner.send("PATCH", f"/charge-points/{box}", 200, json={"visibility": "private"})
    offer = await stranger.get(f"/c/{code}")
    assert (offer["reason_code"], offer["price"]) == ("charge_point_private", None)


async def test_a_code_that_leads_nowhere_starts_nothing(owner: Person, box: str, code: str) -> None:
    await owner.post(f"/charge-points/{box}/connectors/1/code")
    for dead in (code, "2222-2222-2222", "short", "x" * 3000):
        await owner.get(f"/c/{dead}", 404)
        await begin(owner, dead, 404, tariff_version_id=None)


async def test_the_grant_for_one_connector_is_not_for_the_other(
    site: Site, owner: Person, stranger: Person, box: str
) -> None:
    for connector_id in (1, 2):
        await site.execute(
            """insert into connectors (charge_point_id, connector_id, status, error_code, status_at, received_at, epoch,
               sequence) values ($1, $2, 'Available', 'NoError', now(), now(), 1, 1)""",
            UUID(box), connector_id,
        )  # fmt: skip
    first, second = [each["code"] for each in (await owner.get(f"/charge-points/{box}/connector-codes"))["items"]]
    await owner.post("/grants", {"charge_point_id": box, "connector_id": 1, "email": stranger.email})
    assert (await stranger.get(f"/c/{first}"))["reason_code"] == "credit_too_low"
    assert (await stranger.get(f"/c/{second}"))["reason_code"] == "other_connector"
    assert (await begin(stranger, second, 403))["code"] == "other_connector"


async def test_a_start_that_is_sent_again_or_twice_at_once_keeps_money_once(
    site: Site, owner: Person, stranger: Person, box: str, code: str
) -> None:
    await make_public(owner, box)
    await top_up(site, stranger, 999)
    body = {"tariff_version_id": (await stranger.get(f"/c/{code}"))["price"]["tariff_version_id"]}
    first, again = [await stranger.post(f"/c/{code}/start", body, Idempotency_Key="once") for _ in range(2)]
    assert first["id"] == again["id"]
    assert (await credit(stranger))["held"] == HOLD
    answers = await asyncio.gather(*(stranger.http.post(f"/c/{code}/start", json=body) for _ in range(3)))
    assert {answer.status_code for answer in answers} == {402}


async def test_the_owner_pays_nothing_and_a_log_in_is_needed(site: Site, owner: Person, code: str) -> None:
    offer = await owner.get(f"/c/{code}")
    assert (offer["may_charge"], offer["hold"]) == (True, None)
    await begin(owner, code)
    client = site.client()
    assert (await client.get(f"/c/{code}")).status_code == 401
    assert (await client.post(f"/c/{code}/start", json={"tariff_version_id": None})).status_code == 401
