"""Certification cases of Security: the security log, and signed firmware."""

from typing import Any

from ocpp.v16 import call

from tests.conformance import pki
from tests.conformance.case import Case
from tests.conformance.test_firmware import FIRMWARE, UPLOADS, job, progressed
from tests.conformance.test_remote import ACCEPTED
from tests.conformance.test_security_certificates import security_event
from tests.harness.wallbox import minutes_ago

REQUEST_ID = 31


async def test_tc_079_security_log(booted: Case) -> None:
    """WP A03: the charge point names the file of its security log and uploads it; each step carries the requestId."""
    log = {"remoteLocation": UPLOADS, "oldestTimestamp": minutes_ago(600), "latestTimestamp": minutes_ago(0)}
    payload = {"log": log, "requestId": REQUEST_ID, "logType": "SecurityLog"}
    await booted.send("GetLog", payload, {"status": "Accepted", "filename": "security.log"})
    shown = await job(booted)
    assert (shown["request_id"], shown["file_name"]) == (REQUEST_ID, "security.log")
    statuses: tuple[Any, ...] = ("Uploading", "Uploaded")
    for status in statuses:
        await booted.cp.call(call.LogStatusNotification(status=status, request_id=REQUEST_ID))
    await progressed(booted, *statuses)
    assert (await job(booted))["finished_at"] is not None


async def update(case: Case) -> None:
    """SignedUpdateFirmware (L01), accepted."""
    firmware = {
        "signature": "c2lnbmF0dXJl",
        "signingCertificate": pki.pem(pki.Authority("The manufacturer").certificate),
        "retrieveDateTime": minutes_ago(0),
        "location": FIRMWARE,
    }
    payload = {"firmware": firmware, "requestId": REQUEST_ID, "retries": 1}
    await case.send("SignedUpdateFirmware", payload, ACCEPTED)
    assert (await job(case))["request_id"] == REQUEST_ID


async def report(case: Case, *statuses: Any) -> None:
    """SignedFirmwareStatusNotification of each."""
    for status in statuses:
        await case.cp.call(call.SignedFirmwareStatusNotification(status=status, request_id=REQUEST_ID))


async def test_tc_080_signed_firmware(booted: Case) -> None:
    """WP L01: the charge point verifies the signature before it installs, tells each step, and boots with the new
    version; the update is a security event too."""
    before = ("Downloading", "Downloaded", "SignatureVerified", "Installing", "InstallRebooting")
    await update(booted)
    await report(booted, *before)
    await booted.cp.disconnect()
    await booted.cp.connect()
    boot = await booted.cp.call(
        call.BootNotification(charge_point_vendor="Acme", charge_point_model="W1", firmware_version="2.0")
    )
    assert boot.status == "Accepted"
    for connector_id in (0, 1):
        await booted.cp.status("Available", connector_id)
    await security_event(booted, "FirmwareUpdated")
    await report(booted, "Installed")
    await progressed(booted, *before, "Installed")
    assert (await job(booted))["finished_at"] is not None
    assert (await booted.owner.get(booted.path))["firmware_version"] == "2.0"


async def test_tc_081_signed_firmware_invalid_signature(booted: Case) -> None:
    """WP L01: firmware whose signature does not fit is not installed; the job ends, and the event is reported."""
    steps = ("Downloading", "Downloaded", "InvalidSignature")
    await update(booted)
    await report(booted, *steps)
    await security_event(booted, "InvalidFirmwareSignature")
    await progressed(booted, *steps)
    assert (await job(booted))["finished_at"] is not None
    assert (await booted.owner.get(booted.path))["firmware_version"] == "1.0"
