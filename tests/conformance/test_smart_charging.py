"""Certification cases of Smart Charging."""

from typing import Any

from tests.conformance.case import Case
from tests.conformance.test_remote import ACCEPTED
from tests.conformance.test_sessions import METER_START_WH, charging, is_charging
from tests.harness.wallbox import minutes_ago


def profile(number: int, purpose: str, kind: str = "Absolute", **fields: Any) -> dict[str, Any]:
    """A ChargingProfile (7.8) whose keys are not in the order of the schema: that is the central system's to do."""
    schedule: dict[str, Any] = {
        "chargingSchedulePeriod": [{"limit": 16.0, "startPeriod": 0}, {"limit": 10.1, "startPeriod": 300}],
        "chargingRateUnit": "A",
        "duration": 86400,
    }
    times: dict[str, Any] = {}
    if kind == "Absolute":
        schedule["startSchedule"] = minutes_ago(1)
        times = {"validTo": "2099-01-01T00:00:00Z", "validFrom": minutes_ago(1)}
    return {
        "chargingSchedule": schedule,
        "chargingProfileKind": kind,
        "chargingProfilePurpose": purpose,
        "stackLevel": 1,
        "chargingProfileId": number,
        **times,
        **fields,
    }


async def set_profile(case: Case, connector_id: int, wanted: dict[str, Any]) -> None:
    """SetChargingProfile, accepted."""
    await case.send("SetChargingProfile", {"csChargingProfiles": wanted, "connectorId": connector_id}, ACCEPTED)


async def profiles(case: Case) -> dict[int, dict[str, Any]]:
    """The profiles that are set, as the API shows them, by id."""
    items = (await case.owner.get(f"{case.path}/charging-profiles"))["items"]
    return {item["charging_profile_id"]: item for item in items}


async def test_tc_056_default_charging_profile(booted: Case) -> None:
    """5.16: a TxDefaultProfile rules every transaction on its connector. The first period starts at 0; limits have one
    decimal, so anything else never leaves."""
    wanted = profile(1, "TxDefaultProfile")
    await set_profile(booted, 1, wanted)
    shown = (await profiles(booted))[1]
    assert (shown["connector_id"], shown["profile"]) == (1, wanted)
    card = await booted.owner.card()
    await is_charging(booted, await charging(booted, card), card)
    for wrong in ({"startPeriod": 60, "limit": 16.0}, {"startPeriod": 0, "limit": 16.25}):
        bad = profile(2, "TxDefaultProfile")
        bad["chargingSchedule"]["chargingSchedulePeriod"] = [wrong]
        body = {"action": "SetChargingProfile", "payload": {"connectorId": 1, "csChargingProfiles": bad}}
        assert (await booted.owner.http.post(f"{booted.path}/commands", json=body)).status_code == 422


async def test_tc_057_transaction_charging_profile(booted: Case) -> None:
    """5.16: a TxProfile names the running transaction and is for it only."""
    card = await booted.owner.card()
    ocpp_id = await charging(booted, card)
    wanted = profile(5, "TxProfile", "Relative", transactionId=ocpp_id)
    await set_profile(booted, 1, wanted)
    assert (await profiles(booted))[5]["profile"] == wanted
    await is_charging(booted, ocpp_id, card)


async def test_tc_059_remote_start_with_a_profile(booted: Case) -> None:
    """5.11, errata 3.41: a remote start may carry a TxProfile, without transactionId, which is not known yet."""
    cp, card = booted.cp, await booted.owner.card()
    wanted = profile(9, "TxProfile", "Relative")
    payload = {"chargingProfile": wanted, "idTag": card, "connectorId": 1}
    await booted.send("RemoteStartTransaction", payload, ACCEPTED)
    assert (await cp.authorize(card))["status"] == "Accepted"
    await cp.status("Preparing")
    started = await cp.start(card, METER_START_WH)
    await cp.status("Charging")
    await is_charging(booted, started.transaction_id, card)
    for wrong in ({"transactionId": 3}, {"chargingProfilePurpose": "TxDefaultProfile"}):
        body = {"action": "RemoteStartTransaction", "payload": {**payload, "chargingProfile": {**wanted, **wrong}}}
        assert (await booted.owner.http.post(f"{booted.path}/commands", json=body)).status_code == 422


async def test_tc_066_composite_schedule(booted: Case) -> None:
    """5.7: the charge point tells what its profiles come to for the time asked for."""
    await set_profile(booted, 1, profile(1, "TxDefaultProfile"))
    answer = {
        "status": "Accepted",
        "connectorId": 1,
        "scheduleStart": minutes_ago(0),
        "chargingSchedule": {
            "duration": 300,
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}, {"startPeriod": 240, "limit": 10.1}],
        },
    }
    asked = {"duration": 300, "chargingRateUnit": "A", "connectorId": 1}
    await booted.send("GetCompositeSchedule", asked, answer)
    await booted.send("GetCompositeSchedule", asked, {"status": "Rejected"}, status="rejected")


async def test_tc_067_clear_charging_profiles(booted: Case) -> None:
    """5.5: profiles are cleared by id, or by connector, purpose and stack level; Unknown where none fits."""
    await set_profile(booted, 1, profile(1, "TxDefaultProfile"))
    await set_profile(booted, 1, profile(2, "TxDefaultProfile", stackLevel=2))
    await set_profile(booted, 0, profile(3, "ChargePointMaxProfile"))
    await booted.send("ClearChargingProfile", {"id": 1}, ACCEPTED)
    assert set(await profiles(booted)) == {2, 3}
    criteria = {"stackLevel": 2, "chargingProfilePurpose": "TxDefaultProfile", "connectorId": 1}
    await booted.send("ClearChargingProfile", criteria, ACCEPTED)
    assert set(await profiles(booted)) == {3}
    await booted.send("ClearChargingProfile", {"id": 77}, {"status": "Unknown"}, status="rejected")
    assert set(await profiles(booted)) == {3}
