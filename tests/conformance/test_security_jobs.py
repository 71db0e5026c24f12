"""Certification cases of Security: the security log, and signed firmware."""

from typing import Any

from ocpp.v16 import call

from tests.conformance import pki
from tests.conformance.case import Case
from tests.conformance.test_firmware import FIRMWARE, arrived, bring_image, fetched, job, left, progressed
from tests.conformance.test_remote import ACCEPTED
from tests.conformance.test_security_certificates import security_event
from tests.harness.wallbox import minutes_ago

REQUEST_ID = 31


async def test_tc_079_security_log(booted: Case) -> None:
    """WP N01: the charge point names the file of its security log and uploads it, here to us; each step carries the
    requestId."""
    answer = {"status": "Accepted", "filename": "security.log"}
    asked = await booted.ask("diagnostics", {"log": "security_log", "from": minutes_ago(600)}, "GetLog", answer)
    assert asked["logType"] == "SecurityLog"
    assert (await job(booted))["file_name"] == "security.log"
    request_id = asked["requestId"]
    await booted.cp.call(call.LogStatusNotification(status="Uploading", request_id=request_id))
    assert await left(asked["log"]["remoteLocation"], "security.log", b"all is well") == 201
    await booted.cp.call(call.LogStatusNotification(status="Uploaded", request_id=request_id))
    await progressed(booted, "Uploading", "Uploaded")
    assert (await job(booted))["finished_at"] is not None
    await arrived(booted, b"all is well")


def signed_by() -> dict[str, str]:
    """What the manufacturer gives with its firmware."""
    return {"signing_certificate": pki.pem(pki.Authority("The manufacturer").certificate), "signature": "c2lnbmF0dXJl"}


async def report(case: Case, request_id: int, *statuses: Any) -> None:
    """SignedFirmwareStatusNotification of each."""
    for status in statuses:
        await case.cp.call(call.SignedFirmwareStatusNotification(status=status, request_id=request_id))


async def test_tc_080_signed_firmware(booted: Case) -> None:
    """WP L01: the charge point verifies the signature before it installs, tells each step, and boots with the new
    version; the update is a security event too."""
    before = ("Downloading", "Downloaded", "SignatureVerified", "Installing", "InstallRebooting")
    firmware_id, image = await bring_image(booted)
    signed = signed_by()
    body = {"firmware_id": firmware_id, "signed": signed}
    asked = await booted.ask("firmware-updates", body, "SignedUpdateFirmware", ACCEPTED)
    request_id, firmware = asked["requestId"], asked["firmware"]
    assert {name: firmware[name].strip() for name in ("signature", "signingCertificate")} == {
        "signature": signed["signature"],
        "signingCertificate": signed["signing_certificate"].strip(),
    }
    assert (await fetched(firmware["location"])).content == image
    await report(booted, request_id, *before)
    await booted.cp.disconnect()
    await booted.cp.connect()
    boot = await booted.cp.call(
        call.BootNotification(charge_point_vendor="Acme", charge_point_model="W1", firmware_version="2.0")
    )
    assert boot.status == "Accepted"
    for connector_id in (0, 1):
        await booted.cp.status("Available", connector_id)
    await security_event(booted, "FirmwareUpdated")
    await report(booted, request_id, "Installed")
    await progressed(booted, *before, "Installed")
    assert (await job(booted))["finished_at"] is not None
    assert (await booted.owner.get(booted.path))["firmware_version"] == "2.0"


async def test_tc_081_signed_firmware_invalid_signature(booted: Case) -> None:
    """WP L01: firmware whose signature does not fit is not installed; the job ends, and the event is reported."""
    steps = ("Downloading", "Downloaded", "InvalidSignature")
    signed = signed_by()
    firmware = {
        "signature": signed["signature"],
        "signingCertificate": signed["signing_certificate"],
        "retrieveDateTime": minutes_ago(0),
        "location": FIRMWARE,
    }
    payload = {"firmware": firmware, "requestId": REQUEST_ID, "retries": 1}
    await booted.send("SignedUpdateFirmware", payload, ACCEPTED)
    await report(booted, REQUEST_ID, *steps)
    await security_event(booted, "InvalidFirmwareSignature")
    await progressed(booted, *steps)
    assert (await job(booted))["finished_at"] is not None
    assert (await booted.owner.get(booted.path))["firmware_version"] == "1.0"
