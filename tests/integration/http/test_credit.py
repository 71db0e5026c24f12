"""Charging as a guest: the start keeps a part of the driver's money, and never what is not there."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from api.accounting.tariff import Element, PriceComponent, PriceLimit, Tariff
from api.credit.holds import hold_for, release_ended
from api.settlement.bank import House, Order, import_statement
from api.settlement.bank_statement import read_statement
from tests.integration.http.gateway import Gateway
from tests.integration.http.site import Person, Site
from tests.integration.http.test_books import settle
from tests.integration.settlement.books import Box, add_session

HOUSE = House("CZ6508000000192000145399", "CZK", "Europe/Prague")
HOLD = 50_000


@pytest.fixture
async def boxes(site: Site, owner: Person, stranger: Person, gateway: Gateway) -> list[str]:
    """Two charge points at 5.50 a kWh, connected and shared with the stranger."""
    made = []
    for _ in range(2):
        created = await owner.charge_point(price_per_kwh="5.50")
        await site.accept(created["id"])
        await gateway.connect(created["id"])
        await owner.post(f"/charge-points/{created['id']}/grants", {"email": stranger.email})
        made.append(str(created["id"]))
    return made


async def top_up(site: Site, person: Person, crowns: int, reference: str = "1") -> None:
    symbol = (await person.get("/top-up"))["variable_symbol"]
    content = f"id,date,amount,currency,variable_symbol\n{reference},2026-05-04,{crowns},CZK,{symbol}\n"
    async with site.sql() as connection, connection.transaction():
        done = await import_statement(connection, read_statement(content.encode()), HOUSE, Order(datetime.now(UTC)))
        assert done.matched == 1


async def start(person: Person, charge_point_id: str) -> Any:
    """The answer to a start, whatever it is."""
    return await person.http.post(f"/charge-points/{charge_point_id}/start", json={})


async def credit(person: Person) -> dict[str, int]:
    [line] = (await person.get("/credit"))["items"]
    return {name: line[f"{name}_minor"] for name in ("balance", "limit", "held", "available")}


async def test_a_guest_without_money_is_told_what_is_missing(
    site: Site, stranger: Person, gateway: Gateway, boxes: list[str]
) -> None:
    await top_up(site, stranger, 120)
    refused = (await start(stranger, boxes[0])).json()
    assert (refused["status"], refused["type"]) == (402, "/problems/credit-too-low")
    assert (refused["missing_minor"], refused["available_minor"], refused["currency"]) == (38_000, 12_000, "CZK")
    assert "380.00 CZK are missing" in refused["detail"]
    assert (await stranger.send("GET", refused["top_up"].removeprefix("/api/v1")))["amount"] == "380.00"
    assert gateway.commands.empty()
    assert await site.value("select count(*) from commands") == 0
    await top_up(site, stranger, 380, "2")
    assert (await start(stranger, boxes[0])).status_code == 201
    assert await credit(stranger) == {"balance": HOLD, "limit": 0, "held": HOLD, "available": 0}


async def test_two_starts_at_once_cannot_both_use_the_last_money(
    site: Site, stranger: Person, boxes: list[str]
) -> None:
    await top_up(site, stranger, 500)
    answers = await asyncio.gather(*(start(stranger, box) for box in boxes * 2))
    assert sorted(answer.status_code for answer in answers) == [201, 402, 402, 402]
    assert (await credit(stranger))["held"] == HOLD


async def test_a_start_that_is_sent_again_keeps_money_once(site: Site, stranger: Person, boxes: list[str]) -> None:
    await top_up(site, stranger, 1000)
    for _ in range(2):
        await stranger.post(f"/charge-points/{boxes[0]}/start", {}, Idempotency_Key="once")
    assert (await credit(stranger))["held"] == HOLD


async def test_a_start_that_failed_gives_the_money_back(
    site: Site, stranger: Person, gateway: Gateway, boxes: list[str]
) -> None:
    await top_up(site, stranger, 500)
    gateway.answer = {"status": "Rejected"}
    for _ in range(3):
        assert (await start(stranger, boxes[0])).json()["status"] == "rejected"
    async with site.sql() as connection:
        await release_ended(connection, datetime.now(UTC))
    assert (await credit(stranger))["held"] == 0


async def test_without_a_connection_nothing_is_kept(
    site: Site, owner: Person, stranger: Person, gateway: Gateway
) -> None:
    created = await owner.charge_point(price_per_kwh="5.50")
    await owner.post(f"/charge-points/{created['id']}/grants", {"email": stranger.email})
    assert (await start(stranger, created["id"])).json()["status"] == "offline"
    assert (await credit(stranger))["held"] == 0


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ("status = 'unknown'", HOLD),
        ("status = 'unknown', created_at = created_at - interval '2 hours'", 0),
        ("status = 'timeout'", 0),
        ("status = 'accepted', gave_up_at = now()", 0),
        ("status = 'accepted'", HOLD),
    ],
)
async def test_what_becomes_of_the_start_decides(
    site: Site, stranger: Person, boxes: list[str], change: str, kept: int
) -> None:
    await top_up(site, stranger, 500)
    await start(stranger, boxes[0])
    await site.execute(f"update commands set {change}")
    async with site.sql() as connection:
        await release_ended(connection, datetime.now(UTC))
    assert (await credit(stranger))["held"] == kept


async def test_settling_the_session_gives_back_what_was_kept(
    site: Site, owner: Person, stranger: Person, boxes: list[str]
) -> None:
    await top_up(site, stranger, 1000)
    await start(stranger, boxes[0])
    async with site.sql() as connection:
        session = await add_session(connection, Box(UUID(boxes[0]), owner.user_id, stranger.user_id), 10_000)
    await site.execute(
        "update commands set transaction_id = (select id from transactions where public_id = $1)", session
    )
    await site.execute("update transactions set held_reasons = '{differing_stop}'")
    await settle(site)
    assert (await credit(stranger))["held"] == HOLD, "it waits for a person"
    await owner.post(f"/transactions/{session}/decisions", {"decision": "bill", "note": "why"})
    assert await credit(stranger) == {"balance": 94_500, "limit": 0, "held": 0, "available": 94_500}


async def test_the_owner_needs_no_money(owner: Person, boxes: list[str]) -> None:
    assert (await start(owner, boxes[0])).status_code == 201
    assert (await credit(owner))["held"] == 0


async def test_where_charging_is_free_nothing_is_kept(owner: Person, stranger: Person, boxes: list[str]) -> None:
    await owner.send("PATCH", f"/charge-points/{boxes[0]}", 200, json={"price_per_kwh": "0"})
    assert (await start(stranger, boxes[0])).status_code == 201
    assert (await start(stranger, boxes[1])).status_code == 402


async def test_an_operator_sets_the_limit_and_it_is_recorded(
    site: Site, stranger: Person, operator: Person, boxes: list[str]
) -> None:
    path = f"/operator/users/{stranger.user_id}/credit-limit"
    for minor in (70_000, 60_000):
        made = await operator.send("PUT", path, 200, json={"currency": "CZK", "limit_minor": minor, "note": "why"})
    assert made["set_by"] == str(operator.user_id)
    assert [item["limit_minor"] for item in (await operator.get(path))["items"]] == [60_000, 70_000]
    for wrong in ({"limit_minor": -1}, {"currency": "XBT"}, {"note": ""}):
        body = {"currency": "CZK", "limit_minor": 1, "note": "why", **wrong}
        await operator.send("PUT", path, 422, json=body)
    assert (await start(stranger, boxes[0])).status_code == 201
    assert await credit(stranger) == {"balance": 0, "limit": 60_000, "held": HOLD, "available": 10_000}
    assert (await start(stranger, boxes[1])).json()["missing_minor"] == 40_000


def component(price_e4: int) -> Element:
    return Element((PriceComponent("ENERGY", price_e4, 1),))


@pytest.mark.parametrize(
    ("tariff", "kept"),
    [
        (Tariff("CZK", (component(0),)), 0),
        (Tariff("CZK", (component(0),), min_price=PriceLimit(100)), HOLD),
        (Tariff("CZK", (component(0), component(1))), HOLD),
        (Tariff("CZK", (component(1),), max_price=PriceLimit(1000, 1210)), 1210),
        (Tariff("CZK", (component(1),), max_price=PriceLimit(1000)), HOLD),
        (Tariff("CZK", (component(1),), max_price=PriceLimit(90_000, 99_000)), HOLD),
    ],
)
def test_what_a_tariff_makes_a_start_keep(tariff: Tariff, kept: int) -> None:
    assert hold_for(tariff, HOLD) == kept
