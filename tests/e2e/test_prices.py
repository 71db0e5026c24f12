"""The price shown before the start is the price charged, whatever the owner does in between; over the real stack."""

from typing import Any

import asyncpg

from tests.harness.fixtures import Running
from tests.harness.person import Person
from tests.harness.stack import eventually
from tests.harness.wallbox import Wallbox, while_running

FRIENDS: dict[str, Any] = {
    "currency": "CZK",
    "elements": [{"price_components": [
        {"type": "ENERGY", "price": "2.00", "step_size": 1},
        {"type": "FLAT", "price": "5.00", "step_size": 1},
    ]}],
}  # fmt: skip
DEARER: dict[str, Any] = {
    "currency": "CZK",
    "elements": [{"price_components": [{"type": "ENERGY", "price": "90.00", "step_size": 1}]}],
}


async def shared(owner: Person, guest: Person) -> tuple[dict[str, Any], dict[str, Any]]:
    """A wallbox at 5.50 that the guest gets at the price of friends; the tariff of friends."""
    created = await owner.wallbox()
    grant = await owner.post(f"/charge-points/{created['id']}/grants", {"email": guest.email})
    tariff = await owner.post("/tariffs", {"name": "Friends", **FRIENDS})
    path = f"/grants/{grant['id']}/tariff"
    assigned = await owner.http.put(path, json={"tariff_id": tariff["id"]})
    assert assigned.status_code == 204, assigned.text
    return created, tariff


async def give_credit(running: Running, guest: Person) -> None:
    """As an operator would, so that a start may keep a part of it."""
    connection = await asyncpg.connect(running.stack.database.owner)
    await connection.execute(
        """insert into credit_limits (user_id, currency, limit_minor, note, set_by, set_at)
           select id, 'CZK', 100000, 'a friend', id, now() from users where email = $1""",
        guest.email,
    )
    await connection.close()


async def test_the_price_shown_before_the_start_is_the_price_charged(running: Running) -> None:
    owner, guest = running.owner, await Person.register(running.api.port, "guest")
    await give_credit(running, guest)
    created, tariff = await shared(owner, guest)
    at = f"/charge-points/{created['id']}"
    shown = (await guest.get(f"{at}/price"))["tariff_version_id"]
    preview = await guest.get(f"{at}/price-preview", energy_wh=200, connected_s=60)
    assert (preview["total"], preview["tariff_version_id"]) == ("5.40", shown)
    started: dict[str, Any] = {}
    async with Wallbox(running.url, created["identity"], created["key"]) as wallbox:
        await wallbox.boot()

        async def prices_rise_and_the_cable_is_plugged_in() -> None:
            action, request = await wallbox.next_command()
            assert action == "RemoteStartTransaction"
            await owner.post(f"/tariffs/{tariff['id']}/versions", DEARER)
            started["tag"] = request["id_tag"]
            started["id"] = (await wallbox.start(request["id_tag"], 1000)).transaction_id

        await while_running(
            guest.post(f"{at}/start", {"connector_id": 1, "tariff_version_id": shown}),
            prices_rise_and_the_cable_is_plugged_in,
        )
        await wallbox.meter(started["id"], 1100)
        [transaction] = (await guest.get("/transactions"))["items"]
        so_far = await guest.get(f"/transactions/{transaction['id']}/cost-so-far")
        assert (so_far["energy_wh"], so_far["total"], so_far["tariff_version_id"]) == (100, "5.20", shown)
        await wallbox.stop(started["id"], 1200, started["tag"])
        refused = await guest.http.post(f"{at}/start", json={"connector_id": 1, "tariff_version_id": shown})
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/price-changed")
        assert refused.json()["price"] == await guest.get(f"{at}/price")

        finished = await guest.get(f"/transactions/{transaction['id']}")
        assert (finished["total"], finished["held_reasons"]) == (preview["total"], [])
        lines = finished["charge_detail_record"]["lines"]
        assert [line["amount_minor"] for line in lines] == [line["amount_minor"] for line in preview["lines"]]

        card = await guest.card()
        second = (await wallbox.start(card, 1200)).transaction_id
        await wallbox.stop(second, 1300, card)
    [newest, _] = (await guest.get("/transactions"))["items"]
    assert newest["total"] == "9.00"

    async def is_charged() -> bool:
        accounts = (await guest.get("/accounts"))["items"]
        return bool(accounts and accounts[0]["balances"] and accounts[0]["balances"][0]["balance"] == "-14.40")

    await eventually(is_charged, "both sessions on the guest's account")
    await guest.close()
