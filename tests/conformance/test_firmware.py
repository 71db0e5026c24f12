"""Certification cases of Firmware Management: firmware updates and diagnostics."""

import secrets
from typing import Any

import httpx
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
    """The job was asked for and taken, went through these statuses, in order, and stands at the last."""
    shown = await job(case)
    assert [step["status"] for step in shown["history"]] == ["Requested", "Accepted", *statuses]
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


async def bring_image(case: Case) -> tuple[str, bytes]:
    """A firmware image that the owner brings in: its id and its bytes."""
    image = secrets.token_bytes(100_000)
    answer = await case.owner.http.post("/firmware", params={"name": "w1-2.0.bin"}, content=image)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"]), image


async def fetched(location: str) -> httpx.Response:
    """What a charge point gets from there, without any log-in."""
    async with httpx.AsyncClient() as client:
        return await client.get(location)


async def left(location: str, name: str, content: bytes) -> int:
    """The charge point leaves a file there; the status of the answer."""
    async with httpx.AsyncClient() as client:
        return (await client.put(location.rstrip("/") + "/" + name, content=content)).status_code


async def arrived(case: Case, content: bytes) -> None:
    """The owner has the file that the charge point left."""
    answer = await case.owner.http.get(f"/files/{(await job(case))['file_id']}")
    assert (answer.status_code, answer.content) == (200, content)


async def test_tc_044_1_firmware_update(booted: Case) -> None:
    """5.19, 4.5: the charge point downloads and installs, tells each step, and boots with the new version. The image
    is ours: its link is good for this update only."""
    cp, (firmware_id, image) = booted.cp, await bring_image(booted)
    asked = await booted.ask("firmware-updates", {"firmware_id": firmware_id}, "UpdateFirmware", {})
    await report(booted, "Downloading")
    assert (await fetched(asked["location"])).content == image
    await report(booted, "Downloaded", "Installing")
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
    assert (await fetched(asked["location"])).status_code == 404
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


async def test_tc_045_1_diagnostics(booted: Case) -> None:
    """5.9, 4.4: the charge point names the file and uploads it, here to us. The link takes one file, once."""
    asked = await booted.ask("diagnostics", {}, "GetDiagnostics", {"fileName": "diagnostics.zip"})
    content = secrets.token_bytes(50_000)
    await booted.cp.call(call.DiagnosticsStatusNotification(status="Uploading"))
    assert await left(asked["location"], "diagnostics.zip", content) == 201
    await booted.cp.call(call.DiagnosticsStatusNotification(status="Uploaded"))
    await progressed(booted, "Uploading", "Uploaded")
    assert (await job(booted))["finished_at"] is not None
    await arrived(booted, content)
    assert await left(asked["location"], "again.zip", b"again") in {404, 409}
    await arrived(booted, content)


async def test_tc_045_2_diagnostics_upload_failed(booted: Case) -> None:
    """5.9, 4.4: UploadFailed ends the job."""
    payload = {
        "location": UPLOADS,
        "retries": 1,
        "retryInterval": 10,
        "startTime": minutes_ago(240),
        "stopTime": minutes_ago(1),
    }
    await booted.send("GetDiagnostics", payload, {"fileName": "diagnostics.zip"})
    assert (await job(booted))["file_name"] == "diagnostics.zip"
    statuses: tuple[Any, ...] = ("Uploading", "UploadFailed")
    for status in statuses:
        await booted.cp.call(call.DiagnosticsStatusNotification(status=status))
    await progressed(booted, *statuses)
    assert (await job(booted))["finished_at"] is not None
