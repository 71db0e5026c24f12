"""Commands: a row first, then the wire, then what became of it."""

import asyncio
from typing import Any
from uuid import UUID

import orjson
import pytest

from tests.integration.http.gateway import Gateway
from tests.integration.http.site import Person, Site


def remote_start(tag: str, **fields: Any) -> dict[str, Any]:
    return {"action": "RemoteStartTransaction", "payload": {"idTag": tag, **fields}}


async def test_a_session_is_started_by_the_app_tag_and_its_outcome_awaited(
    owner: Person, gateway: Gateway, box: dict[str, Any]
) -> None:
    command = await owner.post(f"/charge-points/{box['id']}/start", {"connector_id": 2})
    assert (command["status"], command["response"]) == ("accepted", {"status": "Accepted"})
    assert command["finished_at"]
    sent = await gateway.next_command()
    assert (sent.charge_point_id, sent.epoch, sent.action) == (box["id"], 7, "RemoteStartTransaction")
    assert sent.payload == orjson.dumps({"connectorId": 2, "idTag": await owner.app_tag()})
    assert sent.notify
    assert await owner.get(f"/commands/{command['id']}") == command
    assert (await owner.get(f"/charge-points/{box['id']}/commands"))["items"] == [command]


async def test_the_body_of_a_start_may_be_left_out(owner: Person, gateway: Gateway, box: dict[str, Any]) -> None:
    assert (await owner.send("POST", f"/charge-points/{box['id']}/start", 201))["status"] == "accepted"
    assert (await gateway.next_command()).payload == orjson.dumps({"idTag": await owner.app_tag()})


async def test_a_rejection_is_an_outcome_and_no_error(owner: Person, gateway: Gateway, box: dict[str, Any]) -> None:
    gateway.answer = {"status": "Rejected"}
    assert (await owner.post(f"/charge-points/{box['id']}/start", {}))["status"] == "rejected"


async def test_the_row_is_committed_before_it_is_published_and_marked_after(
    site: Site, owner: Person, gateway: Gateway, box: dict[str, Any]
) -> None:
    gateway.answer = None
    asked = asyncio.create_task(owner.post(f"/charge-points/{box['id']}/start", {}))
    sent = await gateway.next_command()
    assert await site.value("select status from commands where id = $1", UUID(sent.id)) == "queued"
    await gateway.finish(sent, {"status": "Accepted"})
    assert (await asked)["status"] == "accepted"
    assert await site.value("select published_at is not null from commands")


async def test_a_lost_notice_costs_a_moment_and_no_more(owner: Person, gateway: Gateway, box: dict[str, Any]) -> None:
    gateway.notifies = False
    assert (await owner.post(f"/charge-points/{box['id']}/start", {}))["status"] == "accepted"


async def test_who_does_not_wait_reads_it_later(owner: Person, gateway: Gateway, box: dict[str, Any]) -> None:
    gateway.answer = None
    command = await owner.post(f"/charge-points/{box['id']}/start", {"wait_s": 0})
    assert (command["status"], command["finished_at"]) == ("queued", None)
    await gateway.finish(await gateway.next_command(), {"status": "Accepted"})
    assert (await owner.get(f"/commands/{command['id']}"))["status"] == "accepted"


async def test_who_waits_long_enough_gets_the_state_of_then(
    owner: Person, gateway: Gateway, box: dict[str, Any]
) -> None:
    gateway.answer = None
    assert (await owner.post(f"/charge-points/{box['id']}/start", {"wait_s": 1}))["status"] == "queued"


async def test_an_offline_charge_point_is_an_outcome(site: Site, owner: Person, gateway: Gateway) -> None:
    created = await owner.charge_point()
    command = await owner.post(f"/charge-points/{created['id']}/start", {})
    assert (command["status"], command["note"]) == ("offline", "The charge point is not connected.")
    assert command["finished_at"]
    assert gateway.commands.empty()


async def test_a_gateway_that_is_gone_means_offline(site: Site, owner: Person, gateway: Gateway) -> None:
    created = await owner.charge_point()
    await site.accept(created["id"])
    gateway.gateway_id = "died"
    await gateway.connect(created["id"])
    assert (await owner.post(f"/charge-points/{created['id']}/start", {}))["status"] == "offline"


@pytest.mark.parametrize("registration", [None, "Pending", "Rejected"])
async def test_nothing_is_started_before_the_charge_point_is_accepted(
    site: Site, owner: Person, box: dict[str, Any], registration: str | None
) -> None:
    """OCPP 1.6 4.2."""
    await site.execute("update charge_points set registration = $1", registration)
    await owner.post(f"/charge-points/{box['id']}/start", {}, 409)
    assert await site.value("select count(*) from commands") == 0


async def test_the_owner_sends_calls_that_are_valid_by_the_schema(
    owner: Person, gateway: Gateway, box: dict[str, Any]
) -> None:
    path, tag = f"/charge-points/{box['id']}/commands", await owner.app_tag()
    profile = {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": {
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.1}],
        },
    }
    command = await owner.post(path, remote_start(tag, connectorId=1, chargingProfile=profile))
    assert command["status"] == "accepted"
    sent = orjson.loads((await gateway.next_command()).payload)
    assert list(sent) == ["connectorId", "idTag", "chargingProfile"]
    assert sent["chargingProfile"] == profile

    wrong: list[dict[str, Any]] = [
        {"action": "Reset", "payload": {"type": "Firm"}},
        {"action": "BootNotification", "payload": {}},
        {"action": "RemoteStopTransaction", "payload": {"transactionId": "1"}},
        {"action": "RemoteStopTransaction", "payload": {}},
        remote_start("x" * 21),
        remote_start(tag, connectorId=1.5),
        remote_start(tag, extra=1),
        remote_start(tag, chargingProfile={**profile, "transactionId": 5}),
        remote_start(tag, chargingProfile={**profile, "chargingProfilePurpose": "TxDefaultProfile"}),
        remote_start(tag + "\x00"),
        remote_start("NOTMINE"),
        {**remote_start(tag), "wait_s": 61},
        {**remote_start(tag), "payload": []},
    ]
    for body in wrong:
        await owner.post(path, body, 422)
    huge = b'{"action":"RemoteStopTransaction","payload":{"transactionId":1e400}}'
    await owner.send("POST", path, 422, content=huge, headers={"content-type": "application/json"})
    assert gateway.commands.empty()


async def test_a_guest_starts_with_a_grant_and_is_told_why_not_without(
    site: Site, owner: Person, stranger: Person, gateway: Gateway, box: dict[str, Any]
) -> None:
    path = f"/charge-points/{box['id']}"
    await stranger.post(f"{path}/start", {}, 404)
    grant = await owner.post(f"{path}/grants", {"email": stranger.email, "valid_from": "2999-01-01T00:00:00Z"})
    refused = await stranger.post(f"{path}/start", {}, 403)
    assert refused["type"] == "/problems/charging-refused"
    assert refused["authorization_status"] == "Invalid"
    await owner.send("DELETE", f"{path}/grants/{grant['id']}", 204)
    await owner.post(f"{path}/grants", {"email": stranger.email})
    command = await stranger.post(f"{path}/start", {})
    assert command["status"] == "accepted"
    assert orjson.loads((await gateway.next_command()).payload)["idTag"] == await stranger.app_tag()
    await stranger.get(f"/commands/{command['id']}")
    await owner.get(f"/commands/{command['id']}")
    assert (await stranger.post(f"{path}/commands", remote_start(await stranger.app_tag()), 403))["detail"]
    await stranger.post(f"{path}/start", {"id_tag": await owner.app_tag()}, 422)


async def test_nobody_starts_in_anothers_name(
    owner: Person, stranger: Person, box: dict[str, Any], gateway: Gateway
) -> None:
    """The guest would pay for it."""
    path = f"/charge-points/{box['id']}"
    await owner.post(f"{path}/grants", {"email": stranger.email})
    await owner.post(f"{path}/commands", remote_start(await stranger.app_tag()), 422)
    await owner.post(f"{path}/start", {"id_tag": await stranger.app_tag()}, 422)
    assert gateway.commands.empty()


async def test_a_tag_that_charges_elsewhere_is_refused(site: Site, owner: Person, box: dict[str, Any]) -> None:
    """ConcurrentTx is decided at a remote start."""
    other = await owner.charge_point()
    await site.transaction(other["id"], id_tag=await owner.app_tag())
    refused = await owner.post(f"/charge-points/{box['id']}/start", {}, 403)
    assert refused["authorization_status"] == "ConcurrentTx"


async def test_a_blocked_tag_starts_nothing(owner: Person, box: dict[str, Any]) -> None:
    [tag] = (await owner.get("/id-tags"))["items"]
    await owner.send("PATCH", f"/id-tags/{tag['id']}", json={"blocked": True})
    await owner.post(f"/charge-points/{box['id']}/start", {}, 422)
    refused = await owner.post(f"/charge-points/{box['id']}/start", {"id_tag": tag["tag"].lower()}, 403)
    assert refused["authorization_status"] == "Blocked"


async def test_driver_and_owner_stop_a_session_and_nobody_else(
    site: Site, owner: Person, stranger: Person, gateway: Gateway, box: dict[str, Any]
) -> None:
    driver = await site.person("driver")
    transaction = await site.transaction(box["id"], driver_id=driver.user_id)
    path = f"/transactions/{transaction}/stop"
    await stranger.post(path, {}, 404)
    for person in (owner, driver):
        command = await person.post(path, {})
        assert (command["status"], command["transaction_id"]) == ("accepted", transaction)
        assert (await gateway.next_command()).payload == b'{"transactionId":1001}'
    assert (await owner.send("POST", path, 201))["status"] == "accepted"
    await site.execute("update transactions set status = 'stopped'")
    await owner.post(path, {}, 409)


async def test_a_stop_by_command_knows_its_transaction(site: Site, owner: Person, box: dict[str, Any]) -> None:
    transaction = await site.transaction(box["id"])
    path = f"/charge-points/{box['id']}/commands"
    known = await owner.post(path, {"action": "RemoteStopTransaction", "payload": {"transactionId": 1001}})
    unknown = await owner.post(path, {"action": "RemoteStopTransaction", "payload": {"transactionId": -1}})
    assert (known["transaction_id"], unknown["transaction_id"]) == (transaction, None)


async def test_the_same_key_sends_a_command_once(
    site: Site, owner: Person, gateway: Gateway, box: dict[str, Any]
) -> None:
    path = f"/charge-points/{box['id']}/start"
    first = await owner.post(path, {"connector_id": 1}, Idempotency_Key="k1")
    second = await owner.post(path, {"connector_id": 1}, Idempotency_Key="k1")
    assert first == second
    assert gateway.commands.qsize() == 1
    await owner.post(path, {"connector_id": 2}, 422, Idempotency_Key="k1")
    transaction = await site.transaction(box["id"])
    stop = f"/transactions/{transaction}/stop"
    stopped = await owner.post(stop, {}, Idempotency_Key="k2")
    await site.execute("update transactions set status = 'stopped'")
    assert await owner.post(stop, {}, Idempotency_Key="k2") == stopped


async def test_many_wait_at_once_without_holding_the_database(
    site: Site, owner: Person, gateway: Gateway, box: dict[str, Any]
) -> None:
    """The pool has five connections; twenty callers wait, and the rest of the API goes on."""
    gateway.answer = None
    asked = [asyncio.create_task(owner.post(f"/charge-points/{box['id']}/start", {})) for _ in range(20)]
    sent = [await gateway.next_command() for _ in asked]
    await owner.get("/me")
    for command in sent:
        await gateway.finish(command, {"status": "Accepted"})
    assert [command["status"] for command in await asyncio.gather(*asked)] == ["accepted"] * 20
