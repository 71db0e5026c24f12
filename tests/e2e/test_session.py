"""A whole session by a charge point that we did not write, seen from the REST API."""

import asyncio
from typing import Any

import pytest
from ocpp.v16 import call

from tests.harness.fixtures import Running
from tests.harness.person import Person
from tests.harness.stack import Service, Stack, eventually
from tests.harness.wallbox import Wallbox, while_running


async def charge(wallbox: Wallbox, id_tag: str, energy_wh: int, *, meter_start_wh: int = 1000) -> int:
    """Charges `energy_wh` with ten meter values; returns the OCPP transaction id."""
    await wallbox.status(1, "Preparing")
    started = await wallbox.start(id_tag, meter_start_wh)
    assert started.id_tag_info["status"] == "Accepted"
    await wallbox.status(1, "Charging")
    for step in range(1, 11):
        await wallbox.meter(started.transaction_id, meter_start_wh + energy_wh * step // 10)
    await wallbox.stop(started.transaction_id, meter_start_wh + energy_wh, id_tag)
    await wallbox.status(1, "Finishing")
    await wallbox.status(1, "Available")
    return int(started.transaction_id)


async def test_a_wallbox_charges_a_car_and_the_kwh_are_in_the_books(running: Running) -> None:
    owner = running.owner
    created = await owner.wallbox()
    assert created["url"].endswith(f"/{created['identity']}")
    card = await owner.card()
    async with Wallbox(running.url, created["identity"], created["key"]) as wallbox:
        boot = await wallbox.boot()
        assert boot.status == "Accepted"
        assert boot.current_time.endswith("Z")
        authorized = await wallbox.call(call.Authorize(id_tag=card))
        assert authorized.id_tag_info["status"] == "Accepted"
        seen = await owner.get(f"/charge-points/{created['id']}")
        assert seen["online"] is True
        # 200 Wh is what a wallbox of 22 kW may deliver in the seconds that this takes
        ocpp_id = await charge(wallbox, card, 200)
        assert wallbox.call_errors == []

    assert ocpp_id > 0
    [transaction] = (await owner.get("/transactions"))["items"]
    assert transaction["status"] == "stopped"
    assert transaction["energy_wh"] == 200
    assert transaction["total_minor"] == 110
    assert transaction["currency"] == "CZK"
    assert transaction["held_reasons"] == []
    values = await owner.get(f"/transactions/{transaction['id']}/meter-values")
    assert [value["energy_wh"] for value in values["items"]] == [1000 + 20 * n for n in range(1, 11)]
    await everything_is_in_the_message_log(owner, created["id"])
    await eventually(lambda: is_offline(owner, created["id"]), "the wallbox to be offline")


async def everything_is_in_the_message_log(owner: Person, charge_point_id: str) -> None:
    frames = (await owner.get(f"/charge-points/{charge_point_id}/messages", limit=200))["items"]
    calls = [frame["action"] for frame in frames if frame["message_type"] == "CALL"]
    assert calls.count("MeterValues") == 10
    assert {"BootNotification", "Authorize", "StartTransaction", "StopTransaction"} <= set(calls)
    answered = {frame["message_id"] for frame in frames if frame["message_type"] == "CALLRESULT"}
    assert {frame["message_id"] for frame in frames if frame["message_type"] == "CALL"} == answered


async def is_offline(owner: Person, charge_point_id: str) -> bool:
    return (await owner.get(f"/charge-points/{charge_point_id}"))["online"] is False


async def test_the_owner_starts_and_stops_from_afar(running: Running) -> None:
    owner = running.owner
    created = await owner.wallbox()
    async with Wallbox(running.url, created["identity"], created["key"]) as wallbox:
        await wallbox.boot()
        started: dict[str, Any] = {}

        async def obey_start() -> None:
            action, request = await wallbox.next_command()
            assert action == "RemoteStartTransaction"
            started["answer"] = await wallbox.start(request["id_tag"], 5000)
            started["tag"] = request["id_tag"]

        command = await while_running(
            owner.post(f"/charge-points/{created['id']}/start", {"connector_id": 1}), obey_start
        )
        assert command["status"] == "accepted"
        await wallbox.status(1, "Charging")
        await wallbox.meter(started["answer"].transaction_id, 5100, power_w=7360)

        [connector] = [
            c
            for c in (await owner.get(f"/charge-points/{created['id']}/connectors"))["items"]
            if c["connector_id"] == 1
        ]
        assert connector["status"] == "Charging"
        assert connector["power_w"] == 7360
        [transaction] = (await owner.get("/transactions", status="active"))["items"]
        assert (await owner.get(f"/commands/{command['id']}"))["transaction_id"] == transaction["id"]

        async def obey_stop() -> None:
            action, request = await wallbox.next_command()
            assert (action, request["transaction_id"]) == (
                "RemoteStopTransaction",
                started["answer"].transaction_id,
            )
            await wallbox.stop(request["transaction_id"], 5150, started["tag"])

        command = await while_running(owner.post(f"/transactions/{transaction['id']}/stop", {}), obey_stop)
        assert command["status"] == "accepted"
    finished = await owner.get(f"/transactions/{transaction['id']}")
    assert (finished["status"], finished["energy_wh"]) == ("stopped", 150)


async def test_a_guest_with_a_grant_charges_and_a_stranger_does_not(running: Running) -> None:
    created = await running.owner.wallbox()
    guest, stranger = await Person.register(running.api.port, "guest"), await Person.register(running.api.port, "other")
    cards = [await guest.card(), await stranger.card()]
    await running.owner.post(f"/charge-points/{created['id']}/grants", {"email": guest.email})
    async with Wallbox(running.url, created["identity"], created["key"]) as wallbox:
        await wallbox.boot()
        answers = [await wallbox.call(call.Authorize(id_tag=card)) for card in cards]
        assert [answer.id_tag_info["status"] for answer in answers] == ["Accepted", "Invalid"]
        await charge(wallbox, cards[0], 100)
    assert [item["energy_wh"] for item in (await guest.get("/transactions"))["items"]] == [100]
    assert (await stranger.get("/transactions"))["items"] == []
    refused = await stranger.http.get(f"/charge-points/{created['id']}")
    assert refused.status_code == 404
    for person in (guest, stranger):
        await person.close()


async def balance(person: Person) -> dict[str, str]:
    """What stands on each of a person's accounts, by its kind."""
    accounts = (await person.get("/accounts"))["items"]
    return {account["kind"]: each["balance"] for account in accounts for each in account["balances"]}


async def test_a_guest_charges_and_the_balances_show_it(running: Running) -> None:
    """By the wallbox's own Stop, also where it is sent again."""
    owner, guest = running.owner, await Person.register(running.api.port, "guest")
    created, card = await owner.wallbox(), await guest.card()
    await owner.post(f"/charge-points/{created['id']}/grants", {"email": guest.email})
    async with Wallbox(running.url, created["identity"], created["key"]) as wallbox:
        await wallbox.boot()
        started = await wallbox.start(card, 1000, at=wallbox.began_at)
        for _ in range(2):
            await wallbox.stop(started.transaction_id, 3000, card, at=wallbox.ended_at)

    async def is_settled() -> bool:
        return await balance(guest) == {"driver": "-11.00"}

    await eventually(is_settled, "the guest's balance")
    assert await balance(owner) == {"owner": "11.00"}
    [account] = (await guest.get("/accounts"))["items"]
    [transfer] = (await guest.get(f"/accounts/{account['id']}/transfers"))["items"]
    [transaction] = (await guest.get("/transactions"))["items"]
    assert transfer["transaction_id"] == transaction["id"]
    await guest.close()


async def test_replays_get_the_same_answers_and_make_one_row(running: Running) -> None:
    owner = running.owner
    created, card = await owner.wallbox(), await owner.card()
    async with Wallbox(running.url, created["identity"], created["key"]) as wallbox:
        await wallbox.boot()
        starts = [await wallbox.start(card, 1000, at=wallbox.began_at) for _ in range(3)]
        assert len({start.transaction_id for start in starts}) == 1
        ocpp_id = starts[0].transaction_id
        stops = [await wallbox.stop(ocpp_id, 3000, card, at=wallbox.ended_at) for _ in range(3)]
        assert all(stop == stops[0] for stop in stops)
        again = await wallbox.start(card, 1000, at=wallbox.began_at)
        assert again.transaction_id == ocpp_id
        assert wallbox.call_errors == []
    [transaction] = (await owner.get("/transactions"))["items"]
    assert (transaction["status"], transaction["energy_wh"], transaction["total_minor"]) == ("stopped", 2000, 1100)
    assert transaction["held_reasons"] == []


async def test_two_of_everything_and_the_command_arrives_at_the_right_one(stack: Stack) -> None:
    for _ in range(2):
        await stack.listener()
    apis: list[Service] = [await stack.api() for _ in range(2)]
    gateways = [await stack.gateway() for _ in range(2)]
    owner = await Person.register(apis[0].port)
    same_owner = Person(
        owner.http.__class__(base_url=f"http://127.0.0.1:{apis[1].port}/api/v1", timeout=70), owner.email
    )
    await same_owner.log_in()
    card = await owner.card()
    boxes = []
    for number in range(4):
        created = await owner.wallbox(name=f"box {number}")
        box = Wallbox(f"ws://127.0.0.1:{gateways[number % 2].port}", created["identity"], created["key"])
        await box.connect()
        await box.boot()
        boxes.append((created["id"], box))

    for number, (charge_point_id, box) in enumerate(boxes):
        asked_by = (owner, same_owner)[number // 2]
        command = await asked_by.post(
            f"/charge-points/{charge_point_id}/commands",
            {"action": "RemoteStartTransaction", "payload": {"connectorId": 1, "idTag": card}},
        )
        assert command["status"] == "accepted"
        assert (await box.next_command())[0] == "RemoteStartTransaction"
    assert all(box.commands.empty() for _, box in boxes), "no command arrived anywhere else"

    cards = [await owner.card() for _ in boxes]
    ids = await asyncio.gather(*(charge(box, own, 100) for (_, box), own in zip(boxes, cards, strict=True)))
    assert len(set(ids)) == 4
    items = (await same_owner.get("/transactions"))["items"]
    assert sorted(item["energy_wh"] for item in items) == [100] * 4
    for _, box in boxes:
        assert box.call_errors == []
        await box.disconnect()
    await owner.close()
    await same_owner.close()


async def test_the_newest_connection_wins_across_gateways(stack: Stack) -> None:
    await stack.listener()
    api = await stack.api()
    gateways = [await stack.gateway() for _ in range(2)]
    owner = await Person.register(api.port)
    created = await owner.wallbox()
    old, new = [Wallbox(f"ws://127.0.0.1:{gateway.port}", created["identity"], created["key"]) for gateway in gateways]
    await old.connect()
    await old.boot()
    await new.connect()

    async def old_was_closed() -> bool:
        return bool(old.closes)

    await eventually(old_was_closed, "the older connection to be closed")
    await new.status(1, "Charging")
    await asyncio.gather(
        owner.post(
            f"/charge-points/{created['id']}/commands",
            {"action": "RemoteStopTransaction", "payload": {"transactionId": 1}},
        ),
        new.next_command(),
    )
    assert (await owner.get(f"/charge-points/{created['id']}"))["online"] is True
    await new.disconnect()
    await old.disconnect()
    await owner.close()


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"key": "wrongwrongwrongwrong"}, 401),
        ({"identity": "NOBODY-0001"}, 404),
    ],
)
async def test_a_refused_wallbox_harms_nobody(running: Running, change: dict[str, str], status: int) -> None:
    created = await running.owner.wallbox()
    login = {"identity": created["identity"], "key": created["key"]}
    wrong, right = Wallbox(running.url, **{**login, **change}), Wallbox(running.url, **login)
    with pytest.raises(Exception, match=str(status)):
        await wrong.connect()
    async with right:
        assert (await right.boot()).status == "Accepted"
