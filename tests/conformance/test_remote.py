"""Certification cases of Core: sessions that are started and stopped from afar."""

from typing import Any

from tests.conformance.case import Case
from tests.conformance.test_sessions import METER_START_WH, charging, is_charging, is_stopped
from tests.harness.stack import eventually

ACCEPTED = {"status": "Accepted"}
REJECTED = {"status": "Rejected"}


async def remote_start(
    case: Case, card: str, answer: dict[str, Any] = ACCEPTED, status: str = "accepted"
) -> dict[str, Any]:
    """RemoteStartTransaction on connector 1."""
    return await case.send("RemoteStartTransaction", {"connectorId": 1, "idTag": card}, answer, status=status)


async def belongs_to(case: Case, command: dict[str, Any]) -> None:
    """The transaction is the one that the command asked for."""
    row = await case.owner.get(f"/commands/{command['id']}")
    assert row["transaction_id"] == (await case.transaction())["id"]


async def test_tc_010_remote_start_cable_first(booted: Case) -> None:
    """5.11: the cable is in, the command follows; the charge point authorizes (AuthorizeRemoteTxRequests) and starts
    with the idTag of the command."""
    cp, card = booted.cp, await booted.owner.card()
    await cp.status("Preparing")
    command = await remote_start(booted, card)
    assert (await cp.authorize(card))["status"] == "Accepted"
    started = await cp.start(card, METER_START_WH)
    assert started.id_tag_info["status"] == "Accepted"
    await cp.status("Charging")
    await is_charging(booted, started.transaction_id, card)
    await belongs_to(booted, command)


async def test_tc_011_1_remote_start_first(booted: Case) -> None:
    """5.11, errata 3.32: Accepted means that the charge point will try; the transaction begins with the cable."""
    cp, card = booted.cp, await booted.owner.card()
    command = await remote_start(booted, card)
    assert command["transaction_id"] is None
    assert (await cp.authorize(card))["status"] == "Accepted"
    await cp.status("Preparing")
    assert await booted.transactions() == []
    started = await cp.start(card, METER_START_WH)
    await cp.status("Charging")
    await is_charging(booted, started.transaction_id, card)
    await belongs_to(booted, command)


async def test_tc_011_2_remote_start_timeout(booted: Case) -> None:
    """Errata 3.32, 9.1.4 ConnectionTimeOut: nobody plugs in, so the charge point gives up and is Available again; no
    transaction comes of the attempt, and the driver is told why. Here it waits for a second, as its configuration
    says."""
    cp, card = booted.cp, await booted.owner.card()
    time_out = {"key": "ConnectionTimeOut", "readonly": False, "value": "1"}
    await booted.send("GetConfiguration", {"key": ["ConnectionTimeOut"]}, {"configurationKey": [time_out]})
    command = await remote_start(booted, card)
    assert (await cp.authorize(card))["status"] == "Accepted"
    await cp.status("Preparing")
    await cp.status("Available")
    assert await booted.transactions() == []
    await booted.connector_is("Available")

    async def told() -> Any:
        return (await booted.owner.get(f"/commands/{command['id']}"))["note"]

    await eventually(told, "the driver to be told that the attempt timed out")
    assert (await booted.owner.get(f"/commands/{command['id']}"))["transaction_id"] is None


async def test_tc_012_remote_stop(booted: Case) -> None:
    """5.12: the command names our transactionId; the charge point stops it with reason Remote."""
    cp, card = booted.cp, await booted.owner.card()
    ocpp_id = await charging(booted, card)
    command = await booted.send("RemoteStopTransaction", {"transactionId": ocpp_id}, ACCEPTED)
    await cp.stop(ocpp_id, METER_START_WH + 1500, "Remote")
    await cp.status("Finishing")
    await cp.status("Available")
    await is_stopped(booted, ocpp_id, "Remote", 1500)
    await belongs_to(booted, command)


async def test_tc_026_remote_start_rejected(booted: Case) -> None:
    """5.11: Rejected is an answer, not an error; nothing begins."""
    command = await remote_start(booted, await booted.owner.card(), REJECTED, "rejected")
    assert command["transaction_id"] is None
    assert await booted.transactions() == []


async def test_tc_028_remote_stop_rejected(booted: Case) -> None:
    """5.12: a charge point that does not stop says Rejected; the session goes on."""
    card = await booted.owner.card()
    ocpp_id = await charging(booted, card)
    await booted.send("RemoteStopTransaction", {"transactionId": ocpp_id}, REJECTED, status="rejected")
    await is_charging(booted, ocpp_id, card)
