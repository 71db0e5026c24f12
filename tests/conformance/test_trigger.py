"""Certification cases of Remote Trigger."""

from typing import Any

from ocpp.v16 import call

from tests.conformance.case import Case
from tests.conformance.test_remote import ACCEPTED, REJECTED
from tests.harness.wallbox import now_text


def triggered() -> dict[str, Any]:
    """What the charge point sends for each message that it is asked for."""
    register = [{"value": "1000", "measurand": "Energy.Active.Import.Register", "unit": "Wh"}]
    return {
        "MeterValues": call.MeterValues(
            connector_id=1, meter_value=[{"timestamp": now_text(), "sampled_value": register}]
        ),
        "Heartbeat": call.Heartbeat(),
        "StatusNotification": call.StatusNotification(
            connector_id=1, error_code="NoError", status="Available", timestamp=now_text()
        ),
        "DiagnosticsStatusNotification": call.DiagnosticsStatusNotification(status="Idle"),
        "FirmwareStatusNotification": call.FirmwareStatusNotification(status="Idle"),
    }


async def test_tc_054_trigger_messages(booted: Case) -> None:
    """5.17: after Accepted the charge point sends what it was asked for, and is answered as ever. A BootNotification
    is not asked for once it was accepted."""
    for name, message in triggered().items():
        on_connector = {"connectorId": 1} if name in {"MeterValues", "StatusNotification"} else {}
        await booted.send("TriggerMessage", {"requestedMessage": name, **on_connector}, ACCEPTED)
        await booted.cp.call(message)
        messages = (await booted.owner.get(f"{booted.path}/messages", direction="in", limit=200))["items"]
        assert name == "Heartbeat" or name in {each["action"] for each in messages}
    body = {"action": "TriggerMessage", "payload": {"requestedMessage": "BootNotification"}}
    assert (await booted.owner.http.post(f"{booted.path}/commands", json=body)).status_code == 409


async def test_tc_055_trigger_message_rejected(booted: Case) -> None:
    """5.17: Rejected, and NotImplemented for a message that the charge point does not have; nothing is sent."""
    await booted.send("TriggerMessage", {"requestedMessage": "MeterValues"}, REJECTED, status="rejected")
    await booted.send(
        "TriggerMessage",
        {"requestedMessage": "DiagnosticsStatusNotification"},
        {"status": "NotImplemented"},
        status="rejected",
    )
