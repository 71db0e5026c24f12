"""Certification cases of Firmware Management: firmware updates and diagnostics."""

from typing import Any

from ocpp.v16 import call

from tests.conformance.case import Case
from tests.harness.wallbox import minutes_ago

FIRMWARE = "https://files.example.org/firmware-2.0.bin"
UPLOADS = "https://files.example.org/diagnostics/"


async def job(case: Case) -> dict[str, Any]:
    """The only job of the charge point, as the API shows it."""
    [found] = (await case.owner.get(f"{case.path}/jobs"))["items"]
    return dict(found)


async def progressed(case: Case, *statuses: str) -> None:
    """The job was taken, went through these statuses, in order, and stands at the last."""
    shown = await job(case)
    assert [step["status"] for step in shown["history"]] == ["Accepted", *statuses]
    assert shown["status"] == statuses[-1]


async def update(case: Case) -> None:
    """UpdateFirmware, for at once."""
    payload = {"location": FIRMWARE, "retries": 2, "retrieveDate": minutes_ago(0), "retryInterval": 30}
    await case.send("UpdateFirmware", payload, {})
    assert (await job(case))["finished_at"] is None


async def report(case: Case, *statuses: Any) -> None:
    """FirmwareStatusNotification of each."""
    for status in statuses:
        await case.cp.call(call.FirmwareStatusNotification(status=status))


async def test_tc_044_1_firmware_update(booted: Case) -> None:
    """5.19, 4.5: the charge point downloads and installs, tells each step, and boots with the new version."""
    cp = booted.cp
    await update(booted)
    await report(booted, "Downloading", "Downloaded", "Installing")
    await cp.status("Unavailable", 0)
    await cp.status("Unavailable")
    await cp.disconnect()
    await cp.connect()
    boot = await cp.call(
        call.BootNotification(charge_point_vendor="Acme", charge_point_model="W1", firmware_version="2.0")
    )
    assert boot.status == "Accepted"
    await cp.status("Available", 0)
    await cp.status("Available")
    await report(booted, "Installed")
    await progressed(booted, "Downloading", "Downloaded", "Installing", "Installed")
    assert (await job(booted))["finished_at"] is not None
    assert (await booted.owner.get(booted.path))["firmware_version"] == "2.0"


async def test_tc_044_2_firmware_download_failed(booted: Case) -> None:
    """4.5: DownloadFailed ends the update; the version stays."""
    await update(booted)
    await report(booted, "Downloading", "DownloadFailed")
    await progressed(booted, "Downloading", "DownloadFailed")
    assert (await job(booted))["finished_at"] is not None
    assert (await booted.owner.get(booted.path))["firmware_version"] == "1.0"


async def test_tc_044_3_firmware_installation_failed(booted: Case) -> None:
    """4.5: InstallationFailed ends the update; the version stays."""
    await update(booted)
    steps = ("Downloading", "Downloaded", "Installing", "InstallationFailed")
    await report(booted, *steps)
    await progressed(booted, *steps)
    assert (await job(booted))["finished_at"] is not None
    assert (await booted.owner.get(booted.path))["firmware_version"] == "1.0"


async def diagnostics(case: Case, *statuses: Any) -> None:
    """GetDiagnostics of the last hours, and how the upload goes (5.9, 4.4)."""
    payload = {
        "location": UPLOADS,
        "retries": 1,
        "retryInterval": 10,
        "startTime": minutes_ago(240),
        "stopTime": minutes_ago(1),
    }
    await case.send("GetDiagnostics", payload, {"fileName": "diagnostics.zip"})
    assert (await job(case))["file_name"] == "diagnostics.zip"
    for status in statuses:
        await case.cp.call(call.DiagnosticsStatusNotification(status=status))
    await progressed(case, *statuses)
    assert (await job(case))["finished_at"] is not None


async def test_tc_045_1_diagnostics(booted: Case) -> None:
    """5.9, 4.4: the charge point names the file and uploads it."""
    await diagnostics(booted, "Uploading", "Uploaded")


async def test_tc_045_2_diagnostics_upload_failed(booted: Case) -> None:
    """5.9, 4.4: UploadFailed ends the job."""
    await diagnostics(booted, "Uploading", "UploadFailed")
