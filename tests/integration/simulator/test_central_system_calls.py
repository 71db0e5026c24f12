"""Every CALL that a central system may send is answered, and the answer comes true."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.simulator.central_system import CentralSystem
from tests.integration.simulator.conftest import StartBox

PEM = f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(b'a certificate').decode()}\n-----END CERTIFICATE-----\n"
HASHES = {"hashAlgorithm": "SHA256", "issuerNameHash": "a", "issuerKeyHash": "b", "serialNumber": "c"}
TIME = "2026-01-01T00:00:00Z"
FUTURE = "2099-01-01T00:00:00Z"
SCHEDULE = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.1}]}
PROFILE: dict[str, Any] = {
    "chargingProfileId": 1, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Relative", "chargingSchedule": SCHEDULE,
}  # fmt: skip
FIRMWARE = {"location": "https://x.example/f", "retrieveDateTime": TIME, "signingCertificate": PEM, "signature": "s"}

CALLS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("CancelReservation", {"reservationId": 1}, {"status": "Rejected"}),
    ("CertificateSigned", {"certificateChain": PEM}, {"status": "Accepted"}),
    ("CertificateSigned", {"certificateChain": "nonsense"}, {"status": "Rejected"}),
    ("ChangeAvailability", {"connectorId": 0, "type": "Inoperative"}, {"status": "Accepted"}),
    ("ChangeAvailability", {"connectorId": 9, "type": "Inoperative"}, {"status": "Rejected"}),
    ("ChangeConfiguration", {"key": "heartbeatinterval", "value": "60"}, {"status": "Accepted"}),
    ("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "soon"}, {"status": "Rejected"}),
    ("ChangeConfiguration", {"key": "NumberOfConnectors", "value": "2"}, {"status": "Rejected"}),
    ("ChangeConfiguration", {"key": "Nonsense", "value": "2"}, {"status": "NotSupported"}),
    ("ChangeConfiguration", {"key": "AuthorizationKey", "value": "short"}, {"status": "Rejected"}),
    ("ClearCache", {}, {"status": "Accepted"}),
    ("ClearChargingProfile", {"id": 77}, {"status": "Unknown"}),
    ("DataTransfer", {"vendorId": "Somebody"}, {"status": "UnknownVendorId"}),
    ("DataTransfer", {"vendorId": "Voltuj", "messageId": "echo", "data": "x"}, {"status": "Accepted", "data": "x"}),
    ("DeleteCertificate", {"certificateHashData": HASHES}, {"status": "NotFound"}),
    ("ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"}, {"status": "NotImplemented"}),
    ("ExtendedTriggerMessage", {"requestedMessage": "LogStatusNotification"}, {"status": "Accepted"}),
    ("GetCompositeSchedule", {"connectorId": 9, "duration": 60}, {"status": "Rejected"}),
    ("GetConfiguration", {"key": ["Nonsense"]}, {"configurationKey": [], "unknownKey": ["Nonsense"]}),
    ("GetDiagnostics", {"location": "ftp://x.example"}, {"fileName": "CP 1-diagnostics.txt"}),
    ("GetInstalledCertificateIds", {"certificateType": "ManufacturerRootCertificate"}, {"status": "NotFound"}),
    ("GetLocalListVersion", {}, {"listVersion": 0}),
    ("GetLog", {"log": {"remoteLocation": "ftp://x.example"}, "logType": "SecurityLog", "requestId": 3},
     {"status": "Accepted", "filename": "CP 1-SecurityLog.txt"}),
    ("InstallCertificate", {"certificateType": "ManufacturerRootCertificate", "certificate": "nonsense"},
     {"status": "Rejected"}),
    ("RemoteStartTransaction", {"idTag": "X", "connectorId": 9}, {"status": "Rejected"}),
    ("RemoteStopTransaction", {"transactionId": 9}, {"status": "Rejected"}),
    ("ReserveNow", {"connectorId": 9, "expiryDate": FUTURE, "idTag": "X", "reservationId": 1}, {"status": "Rejected"}),
    ("Reset", {"type": "Soft"}, {"status": "Accepted"}),
    ("SendLocalList", {"listVersion": 1, "updateType": "Full"}, {"status": "Accepted"}),
    ("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": PROFILE}, {"status": "Accepted"}),
    ("SignedUpdateFirmware", {"requestId": 4, "firmware": FIRMWARE}, {"status": "Accepted"}),
    ("SignedUpdateFirmware", {"requestId": 4, "firmware": {**FIRMWARE, "signingCertificate": "x"}},
     {"status": "InvalidCertificate"}),
    ("TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 9}, {"status": "Rejected"}),
    ("UnlockConnector", {"connectorId": 1}, {"status": "Unlocked"}),
    ("UnlockConnector", {"connectorId": 9}, {"status": "NotSupported"}),
    ("UpdateFirmware", {"location": "ftp://x.example", "retrieveDate": TIME}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("action", "payload", "expected"), CALLS, ids=[f"{n}-{c[0]}" for n, c in enumerate(CALLS)])
async def test_answers(
    central_system: CentralSystem, start_box: StartBox, action: str, payload: dict[str, Any], expected: dict[str, Any]
) -> None:
    start_box()
    await central_system.until_received("StatusNotification", 2)
    kind, _, *answer = await central_system.call(action, payload)
    assert (kind, answer[0]) == (3, expected)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ('[2,"x","Nonsense",{}]', "NotImplemented"),
        ('[2,"x",["Reset"],{}]', "NotImplemented"),
        ('[2,"x","Reset",{"type":"Medium"}]', "FormationViolation"),
        ('[2,"x","Reset",{}]', "ProtocolError"),
        ('[2,"x","UnlockConnector",{"connectorId":"one"}]', "TypeConstraintViolation"),
    ],
)
async def test_what_is_wrong_is_refused_and_the_next_call_served(
    central_system: CentralSystem, start_box: StartBox, frame: str, code: str
) -> None:
    start_box()
    await central_system.until_received("StatusNotification", 2)
    await central_system.send_text("no JSON at all")
    await central_system.send_text("[]")
    answer = central_system.expect("x")
    await central_system.send_text(frame)
    assert (await answer)[2] == code
    assert (await central_system.call("ClearCache", {}))[0] == 3


async def test_null_is_an_empty_payload(central_system: CentralSystem, start_box: StartBox) -> None:
    """J 4.2.1."""
    start_box()
    await central_system.until_received("StatusNotification", 2)
    answer = central_system.expect("x")
    await central_system.send_text('[2,"x","ClearCache",null]')
    assert (await answer)[2] == {"status": "Accepted"}


async def test_remote_start_and_stop(central_system: CentralSystem, start_box: StartBox) -> None:
    box = start_box(duration_s=600, count=1)
    await central_system.until_received("StatusNotification", 2)
    assert (await central_system.call("RemoteStartTransaction", {"idTag": "APP1"}))[2] == {"status": "Accepted"}
    start = await central_system.until_received("StartTransaction")
    assert start.payload["idTag"] == "APP1"
    assert not central_system.of("Authorize")
    busy = await central_system.call("RemoteStartTransaction", {"idTag": "APP1"})
    assert busy[2] == {"status": "Rejected"}
    await central_system.until_received("MeterValues")
    assert (await central_system.call("RemoteStopTransaction", {"transactionId": 1001}))[2] == {"status": "Accepted"}
    await box.running
    assert central_system.of("StopTransaction")[0].payload["reason"] == "Remote"


async def test_reset_ends_the_session_and_boots(central_system: CentralSystem, start_box: StartBox) -> None:
    start_box(duration_s=600, id_tags=("CARD1",))
    await central_system.until_received("MeterValues")
    assert (await central_system.call("Reset", {"type": "Soft"}))[2] == {"status": "Accepted"}
    await central_system.until_received("BootNotification", 2)
    assert central_system.of("StopTransaction")[0].payload["reason"] == "SoftReset"


async def test_triggered_messages(central_system: CentralSystem, start_box: StartBox) -> None:
    start_box()
    await central_system.until_received("StatusNotification", 2)
    for message in (
        "BootNotification", "DiagnosticsStatusNotification", "FirmwareStatusNotification", "Heartbeat", "MeterValues",
        "StatusNotification",
    ):  # fmt: skip
        before = len(central_system.of(message))
        answer = await central_system.call("TriggerMessage", {"requestedMessage": message})
        assert answer[2] == {"status": "Accepted"}
        await central_system.until_received(message, before + 1)


async def test_availability_waits_for_the_session(central_system: CentralSystem, start_box: StartBox) -> None:
    """5.2: Scheduled while a transaction runs."""
    start_box(duration_s=600)
    await central_system.until_received("StatusNotification", 2)
    await central_system.call("RemoteStartTransaction", {"idTag": "APP1", "connectorId": 1})
    await central_system.until_received("MeterValues")
    answer = await central_system.call("ChangeAvailability", {"connectorId": 1, "type": "Inoperative"})
    assert answer[2] == {"status": "Scheduled"}
    await central_system.call("UnlockConnector", {"connectorId": 1})
    await central_system.until(lambda: central_system.of("StatusNotification")[-1].payload["status"] == "Unavailable")
    assert central_system.of("StopTransaction")[0].payload["reason"] == "UnlockCommand"
    assert (await central_system.call("RemoteStartTransaction", {"idTag": "APP1"}))[2] == {"status": "Rejected"}


async def test_reservation(central_system: CentralSystem, start_box: StartBox) -> None:
    start_box()
    await central_system.until_received("StatusNotification", 2)
    wanted = {"connectorId": 1, "expiryDate": FUTURE, "idTag": "APP1", "reservationId": 7}
    assert (await central_system.call("ReserveNow", wanted))[2] == {"status": "Accepted"}
    await central_system.until(lambda: central_system.of("StatusNotification")[-1].payload["status"] == "Reserved")
    assert (await central_system.call("RemoteStartTransaction", {"idTag": "OTHER"}))[2] == {"status": "Rejected"}
    assert (await central_system.call("RemoteStartTransaction", {"idTag": "app1"}))[2] == {"status": "Accepted"}
    start = await central_system.until_received("StartTransaction")
    assert start.payload["reservationId"] == 7


async def test_a_reservation_expires(central_system: CentralSystem, start_box: StartBox) -> None:
    start_box()
    await central_system.until_received("StatusNotification", 2)
    expiry = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    wanted = {"connectorId": 1, "expiryDate": expiry, "idTag": "APP1", "reservationId": 7}
    assert (await central_system.call("ReserveNow", wanted))[2] == {"status": "Accepted"}
    await central_system.until_received("StatusNotification", 4)
    assert [m.payload["status"] for m in central_system.of("StatusNotification")][2:] == ["Reserved", "Available"]


async def test_charging_profile_limits_the_power(central_system: CentralSystem, start_box: StartBox) -> None:
    start_box(power_w=22_000)
    await central_system.until_received("StatusNotification", 2)
    await central_system.call("SetChargingProfile", {"connectorId": 0, "csChargingProfiles": PROFILE})
    schedule = await central_system.call("GetCompositeSchedule", {"connectorId": 1, "duration": 60})
    limit_w = int(16.1 * 3 * 230)
    assert schedule[2]["chargingSchedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": limit_w}]
    await central_system.call("RemoteStartTransaction", {"idTag": "APP1"})
    value = await central_system.until_received("MeterValues")
    assert value.payload["meterValue"][0]["sampledValue"][1]["value"] == str(limit_w)


async def test_a_new_authorization_key_is_used(central_system: CentralSystem, start_box: StartBox) -> None:
    """WP A00: the charge point reconnects with it."""
    start_box()
    await central_system.until_received("StatusNotification", 2)
    key = bytes(range(1, 21))
    answer = await central_system.call("ChangeConfiguration", {"key": "AuthorizationKey", "value": key.hex()})
    assert answer[2] == {"status": "Accepted"}
    central_system.accept_key(key)
    await central_system.until_received("StatusNotification", 4)


async def test_certificates(central_system: CentralSystem, start_box: StartBox) -> None:
    start_box()
    await central_system.until_received("StatusNotification", 2)
    kind = {"certificateType": "CentralSystemRootCertificate"}
    assert (await central_system.call("InstallCertificate", {**kind, "certificate": PEM}))[2] == {"status": "Accepted"}
    installed = (await central_system.call("GetInstalledCertificateIds", kind))[2]["certificateHashData"]
    assert len(installed) == 1
    deleted = await central_system.call("DeleteCertificate", {"certificateHashData": installed[0]})
    assert deleted[2] == {"status": "Accepted"}
    assert (await central_system.call("GetInstalledCertificateIds", kind))[2] == {"status": "NotFound"}


@pytest.mark.parametrize(
    ("action", "payload", "reported", "steps"),
    [
        ("GetDiagnostics", {"location": "ftp://x.example"}, "DiagnosticsStatusNotification",
         ["Uploading", "Uploaded"]),
        ("UpdateFirmware", {"location": "ftp://x.example", "retrieveDate": TIME}, "FirmwareStatusNotification",
         ["Downloading", "Downloaded", "Installing", "Installed"]),
        ("SignedUpdateFirmware", {"requestId": 4, "firmware": FIRMWARE}, "SignedFirmwareStatusNotification",
         ["Downloading", "Downloaded", "SignatureVerified", "Installing", "Installed"]),
        ("GetLog", {"log": {"remoteLocation": "ftp://x.example"}, "logType": "SecurityLog", "requestId": 3},
         "LogStatusNotification", ["Uploading", "Uploaded"]),
    ],
)  # fmt: skip
async def test_progress_is_reported(
    *,
    central_system: CentralSystem,
    start_box: StartBox,
    action: str,
    payload: dict[str, Any],
    reported: str,
    steps: list[str],
) -> None:
    start_box()
    await central_system.until_received("StatusNotification", 2)
    await central_system.call(action, payload)
    await central_system.until_received(reported, len(steps))
    assert [message.payload["status"] for message in central_system.of(reported)] == steps
