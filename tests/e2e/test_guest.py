"""A guest from the sticker to the receipt, over the real stack: the money cap stops the session, the books agree."""

from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx

from tests.harness.fixtures import Running
from tests.harness.person import Person
from tests.harness.stack import eventually
from tests.harness.wallbox import Wallbox, while_running
from tests.integration.events.reader import Reader, reading
from tests.unit.api.documents.reading import text_of

BANK_ACCOUNT = "CZ6508000000192000145399"
TARIFF: dict[str, Any] = {
    "name": "Visitors",
    "currency": "CZK",
    "elements": [{"price_components": [
        {"type": "ENERGY", "price": "10.00", "step_size": 1},
        {"type": "FLAT", "price": "5.00", "step_size": 1},
    ]}],
}  # fmt: skip
CAP_MINOR = 2500
"""25 CZK: the fee of a session and 2 kWh."""
METER_START_WH = 1000
NO_BREAK = "\xa0"


@dataclass
class Place:
    """What the owner made: a wallbox, and the code on its sticker."""

    wallbox: dict[str, Any]
    code: str


async def owners_place(owner: Person) -> Place:
    """A wallbox at a location with a tariff, shared with anybody up to 25 CZK each."""
    wallbox = await owner.wallbox(price_per_kwh=None)
    at = f"/charge-points/{wallbox['id']}"
    tariff = await owner.post("/tariffs", TARIFF)
    location = await owner.post(
        "/locations", {"name": "Home", "address": "Nerudova 12", "city": "Praha", "country": "CZE"}
    )
    for path, body in (
        (f"{at}/tariff", {"tariff_id": tariff["id"]}),
        (f"{at}/location", {"location_id": location["id"]}),
    ):
        answer = await owner.http.put(path, json=body)
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
    assert (await owner.http.patch(at, json={"visibility": "public"})).status_code == 200
    terms = {"public": True, "max_amount_minor": CAP_MINOR, "currency": "CZK"}
    await owner.post("/grants", {"charge_point_id": wallbox["id"], **terms})
    [code] = (await owner.get(f"{at}/connector-codes"))["items"]
    return Place(wallbox, code["url"].rpartition("/")[2])


async def top_up(operator: Person, guest: Person, crowns: int) -> None:
    """The guest pays by bank; the operator imports the statement, and once more."""
    slip = await guest.get("/top-up", amount_minor=crowns * 100)
    assert slip["iban"] == BANK_ACCOUNT
    statement = f"id,date,amount,currency,variable_symbol\n1,2026-05-04,{crowns},CZK,{slip['variable_symbol']}\n"
    for _ in range(2):
        answer = await operator.http.post(
            "/operator/bank-statements", content=statement, headers={"Content-Type": "text/csv"}
        )
        assert answer.status_code in {200, 201}, answer.text


async def credit(guest: Person) -> dict[str, int]:
    [line] = (await guest.get("/credit"))["items"]
    return {name: line[f"{name}_minor"] for name in ("balance", "held", "available")}


async def charge_until_stopped(wallbox: Wallbox, guest: Person, place: Place, stream: Reader) -> tuple[int, str]:
    """Start by the code, live values, the stop at the cap; transactionId and id tag."""
    offer = await guest.get(f"/c/{place.code}")
    started: dict[str, Any] = {}

    async def plug_in() -> None:
        action, request = await wallbox.next_command()
        assert (action, request["connector_id"]) == ("RemoteStartTransaction", 1)
        started["tag"] = request["id_tag"]
        started["id"] = (await wallbox.start(request["id_tag"], METER_START_WH, at=wallbox.began_at)).transaction_id

    body = {"tariff_version_id": offer["price"]["tariff_version_id"]}
    command = await while_running(guest.post(f"/c/{place.code}/start", body), plug_in)
    assert command["status"] == "accepted"
    await stream.until("transaction.started")
    await wallbox.meter(started["id"], METER_START_WH + 1000)

    async def shows_the_cost() -> bool:
        return any(each["data"]["cost_minor"] == 1500 for each in stream.of("transaction.updated"))

    await eventually(shows_the_cost, "15 CZK by the stream")
    assert (await credit(guest))["held"] == 50_000
    await wallbox.meter(started["id"], METER_START_WH + 2000)
    action, request = await wallbox.next_command(30)
    assert (action, request) == ("RemoteStopTransaction", {"transaction_id": started["id"]})
    [told] = await stream.until("transaction.limit_reached")
    assert told["data"]["limit_reached"] == "amount_cap_reached"
    return started["id"], started["tag"]


async def sealed(guest: Person, transaction: str) -> dict[str, Any]:
    """The receipt, once the session is settled."""

    async def there() -> Any:
        answer = await guest.http.get(f"/transactions/{transaction}/receipt")
        return answer.json() if answer.status_code == 200 else None

    found: dict[str, Any] = await eventually(there, "the receipt")
    return found


async def test_from_the_sticker_to_the_receipt(running: Running) -> None:
    api = await running.stack.api(BANK_ACCOUNT=BANK_ACCOUNT)
    owner = await Person.register(api.port, "owner")
    guest, poor, operator = [await Person.register(api.port, name) for name in ("guest", "poor", "operator")]
    sql = await asyncpg.connect(running.stack.database.application)
    await sql.execute("update users set role = 'operator' where email = $1", operator.email)
    await operator.log_in()
    place = await owners_place(owner)
    async with httpx.AsyncClient() as anybody:
        scanned = (await anybody.get(f"http://127.0.0.1:{api.port}/c/{place.code}")).json()
        assert (scanned["name"], scanned["login_required"]) == ("Garage", True)

    assert (await guest.get(f"/c/{place.code}"))["reason_code"] == "credit_too_low"
    await top_up(operator, guest, 600)
    assert await credit(guest) == {"balance": 60_000, "held": 0, "available": 60_000}
    wallbox = Wallbox(running.url, place.wallbox["identity"], place.wallbox["key"])
    async with wallbox, reading(guest.http) as stream:
        await wallbox.boot()
        offer = await guest.get(f"/c/{place.code}")
        assert (offer["may_charge"], offer["online"], offer["hold"]["amount_minor"]) == (True, True, 50_000)
        await the_poor_are_told_what_is_missing(poor, place)

        ocpp_id, tag = await charge_until_stopped(wallbox, guest, place, stream)
        [session] = (await guest.get("/transactions"))["items"]
        at = f"/transactions/{session['id']}"
        limits = (await guest.get(at))["limits"]
        assert (limits["amount_minor"], limits["credit_minor"]) == (CAP_MINOR, 60_000)
        assert (limits["reached"], limits["reached_at"] is not None) == ("amount_cap_reached", True)
        assert limits["note"] == "Stopped by Voltuj: the grant allowed 25.00 CZK more when the session began."
        live = await guest.get(f"{at}/live")
        assert (live["energy_wh"], live["cost"]) == (2000, "25.00")
        await wallbox.stop(ocpp_id, METER_START_WH + 2010, tag, at=wallbox.ended_at)
        receipt = await sealed(guest, session["id"])
        await wallbox.stop(ocpp_id, METER_START_WH + 2010, tag, at=wallbox.ended_at)
        assert wallbox.commands.empty(), "it is told once"
        assert (await guest.get(f"/c/{place.code}"))["reason_code"] == "amount_cap_reached"

    detail = await guest.get(at)
    assert (detail["total"], detail["held_reasons"]) == ("25.10", [])
    assert await credit(guest) == {"balance": 57_490, "held": 0, "available": 57_490}
    assert await sql.fetchval("select count(*) from settlements") == 1
    assert await sql.fetchval("select count(*) from transfers where kind = 'charge'") == 1
    await sql.close()
    await the_receipt_says_how(guest, at, receipt)
    for person in (owner, guest, poor, operator):
        await person.close()


async def the_poor_are_told_what_is_missing(poor: Person, place: Place) -> None:
    offer = await poor.get(f"/c/{place.code}")
    assert (offer["may_charge"], offer["hold"]["missing_minor"]) == (False, 50_000)
    body = {"tariff_version_id": offer["price"]["tariff_version_id"]}
    refused = await poor.http.post(f"/c/{place.code}/start", json=body)
    assert (refused.status_code, refused.json()["missing_minor"]) == (402, 50_000)
    assert (await poor.get("/transactions"))["items"] == []


async def the_receipt_says_how(guest: Person, at: str, receipt: dict[str, Any]) -> None:
    names = ("meter_start_wh", "meter_stop_wh", "energy_wh", "total", "number", "revision")
    assert [receipt[name] for name in names] == [1000, 3010, 2010, "25.10", "000001", 0]
    rules = [(line["type"], line["rule"].replace(NO_BREAK, " "), line["amount"]) for line in receipt["lines"]]
    assert ("ENERGY", "2.010 kWh × CZK 10.00 per kWh", "20.10") in rules, rules
    assert [amount for kind, _, amount in rules if kind == "FLAT"] == ["5.00"]
    pdf = await guest.http.get(f"{at}/receipt.pdf", params={"lang": "en"})
    assert pdf.status_code == 200, pdf.text
    text = text_of(pdf.content).replace(NO_BREAK, " ")
    for words in ("25.10", "2.010 kWh × CZK 10.00 per kWh", receipt["number"]):
        assert words in text, text
