"""Firmware updates and uploads of diagnostics or logs: how far each got, as the charge point reports it.

Answers of commands and notifications of charge points move a job; its row is made with the command. A notification
older than the last one changes nothing, and the same one again is one entry.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec
import orjson

from api.charge_points.answers import Answer, received_at
from api.charge_points.ended import Ended
from wire.messages import ChargePointCall

FIRMWARE: Final = "firmware"
DIAGNOSTICS: Final = "diagnostics"
KINDS: Final = {
    "GetDiagnostics": DIAGNOSTICS,
    "GetLog": DIAGNOSTICS,
    "SignedUpdateFirmware": FIRMWARE,
    "UpdateFirmware": FIRMWARE,
}
FINAL: Final = frozenset(
    {
        *("DownloadFailed", "InstallationFailed", "Installed", "InstallVerificationFailed", "InvalidSignature"),
        *("Uploaded", "UploadFailed", "UploadFailure", "BadMessage", "NotSupportedOperation", "PermissionDenied"),
        *("Canceled", "Superseded", "Rejected", "InvalidCertificate", "RevokedCertificate", "Failed"),
    }
)
"""With these a job is over."""
IDLE: Final = "Idle"
"""Nothing is under way (4.5, 4.4): said on a trigger, about no job."""

MOVE: Final = """
update charge_point_jobs
set status = $2::text, status_at = $3::timestamptz, finished_at = case when $4 then $3::timestamptz end,
    history = history || $5::text::jsonb, file_name = coalesce($6, file_name), epoch = $7, sequence = $8
where id = $1
"""
OF_COMMAND: Final = """
select id, kind, status, file_name, epoch, sequence from charge_point_jobs where command_id = $1 for update
"""
REPLACED: Final = """
update charge_point_jobs set status = $4, status_at = $3, finished_at = $3,
    history = history || jsonb_build_array(jsonb_build_object('status', $4::text, 'at', $3::timestamptz))
where charge_point_id = $1 and id <> $2 and finished_at is null and kind = (
    select kind from charge_point_jobs where id = $2)
"""
CURRENT: Final = """
select id, status, epoch, sequence from charge_point_jobs
where charge_point_id = $1 and action = any($2::text[]) and ($3::bigint is null or request_id = $3)
    and finished_at is null
order by created_at desc limit 1 for update
"""


class StatusRequest(msgspec.Struct, rename="camel"):
    """The four notifications of progress have the same fields."""

    status: str
    request_id: int | None = None


_decoder = msgspec.json.Decoder(StatusRequest, strict=False)


async def answered(connection: asyncpg.Connection, ended: Ended) -> None:
    """The charge point took the job, or not; a job that it took replaces an older one of its kind."""
    job = await connection.fetchrow(OF_COMMAND, ended.id)
    if job is None:
        return
    status = str(ended.response.get("status", "Accepted" if ended.accepted else "Failed"))
    if ended.accepted:
        became = "Canceled" if status == "AcceptedCanceled" else "Superseded"
        await connection.execute(REPLACED, ended.charge_point_id, job["id"], ended.at, became)
    if job["status"] != "Requested":
        return  # its first notification was faster
    name = ended.response.get("fileName", ended.response.get("filename"))
    status = "Accepted" if ended.accepted else status
    await _move(connection, job, status, ended.at, is_final=not ended.accepted, file_name=name)


async def firmware_status(connection: asyncpg.Connection, call: ChargePointCall, now: datetime) -> Answer:
    """FirmwareStatusNotification (4.5)."""
    return await _report(connection, call, ["UpdateFirmware"])


async def signed_firmware_status(connection: asyncpg.Connection, call: ChargePointCall, now: datetime) -> Answer:
    """SignedFirmwareStatusNotification (WP L01)."""
    return await _report(connection, call, ["SignedUpdateFirmware"])


async def diagnostics_status(connection: asyncpg.Connection, call: ChargePointCall, now: datetime) -> Answer:
    """DiagnosticsStatusNotification (4.4)."""
    return await _report(connection, call, ["GetDiagnostics"])


async def log_status(connection: asyncpg.Connection, call: ChargePointCall, now: datetime) -> Answer:
    """LogStatusNotification (WP N01)."""
    return await _report(connection, call, ["GetLog"])


async def _report(connection: asyncpg.Connection, call: ChargePointCall, actions: list[str]) -> Answer:
    request = _decoder.decode(call.payload)
    if request.status == IDLE:
        return Answer()
    job = await connection.fetchrow(CURRENT, call.charge_point_id, actions, request.request_id)
    if job is None or (job["epoch"], job["sequence"]) >= (call.epoch, call.sequence):
        return Answer()
    if job["status"] != request.status:
        is_final = request.status in FINAL
        place = (call.epoch, call.sequence)
        await _move(connection, job, request.status, received_at(call), is_final=is_final, place=place)
    return Answer(about={"job_id": str(job["id"]), "status": request.status})


async def _move(
    connection: asyncpg.Connection,
    job: Mapping[str, Any],
    status: str,
    at: datetime,
    *,
    is_final: bool,
    file_name: str | None = None,
    place: tuple[int, int] | None = None,
) -> None:
    entry = orjson.dumps([{"status": status, "at": at}]).decode()
    epoch, sequence = place or (job["epoch"], job["sequence"])
    await connection.execute(MOVE, job["id"], status, at, is_final, entry, file_name, epoch, sequence)
