"""HTTP of firmware and diagnostics: images, updates, uploads, and how far each job got."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import FileResponse

from api.charge_points import commands, files
from api.charge_points.command_routes import COMMAND_EXAMPLE, SENDING, Command, WaitSeconds
from api.charge_points.file_links import Link
from api.charge_points.file_routes import CurrentStore, make_url, safe_name, whole_body
from api.charge_points.jobs import DIAGNOSTICS, FIRMWARE
from api.charge_points.sending import CurrentSender
from api.charge_points.timestamps import format_timestamp
from api.errors import BadRequest, Invalid, NotAllowed, NotFound, TooLarge
from api.identity.caller import CurrentCaller
from api.paging import Page, Paging
from api.problems import problem_docs
from api.request import Body, CurrentDatabase, CurrentSettings, FilledText, Instant, Now, StorableText, Transaction
from api.sharing.access import find_controlled, find_visible

router = APIRouter(prefix="/api/v1", tags=["firmware and diagnostics"])

LINK_LIFETIME = timedelta(hours=24)
FIRMWARE_EXAMPLE: dict[str, Any] = {
    "id": "0d3c7f61-8e6b-4c3c-a5a4-6a0d4b7e1f20",
    "name": "wall11-1.4.3.bin",
    "size_bytes": 4194304,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "created_at": "2026-05-04T08:30:00Z",
}
JOB_EXAMPLE: dict[str, Any] = {
    "id": "6a1f9a52-5a4d-4a8e-9c53-6d7f4f5a2b33",
    "charge_point_id": "3f0f0a52-5a4d-4a8e-9c53-6d7f4f5a2b10",
    "command_id": "f6b1f9d3-0b5e-4d43-9b6c-2a8f9d0c7e54",
    "command_status": "accepted",
    "kind": "firmware",
    "action": "UpdateFirmware",
    "status": "Installed",
    "history": [{"status": "Downloading", "at": "2026-05-04T09:00:00Z"}],
    "file_id": None,
    "file_name": None,
    "size_bytes": None,
    "created_at": "2026-05-04T09:00:00Z",
    "finished_at": "2026-05-04T09:12:00Z",
}
FileName = Annotated[StorableText, StringConstraints(min_length=1, max_length=100)]


class Firmware(BaseModel):
    """A firmware image."""

    model_config = ConfigDict(json_schema_extra={"example": FIRMWARE_EXAMPLE})

    id: UUID
    name: str
    size_bytes: int
    sha256: str
    created_at: datetime


class FirmwarePage(Page[Firmware]):
    """Firmware images, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [FIRMWARE_EXAMPLE], "next_cursor": None}})


class SignedBy(Body):
    """The signature of the vendor (WP L01)."""

    signing_certificate: FilledText = Field(max_length=5500, description="PEM")
    signature: FilledText = Field(max_length=800, description="base64")


class FirmwareUpdate(Body):
    """Which firmware to install, and when."""

    model_config = ConfigDict(json_schema_extra={"example": {"firmware_id": FIRMWARE_EXAMPLE["id"]}})

    firmware_id: UUID
    retrieve_at: Instant | None = Field(default=None, description="not before; left out: now")
    install_at: Instant | None = Field(default=None, description="not before; signed firmware only")
    signed: SignedBy | None = Field(default=None, description="makes it a SignedUpdateFirmware")
    retries: Annotated[int, Field(ge=0, le=10)] = 3
    wait_s: WaitSeconds = 30


class DiagnosticsRequest(Body):
    """Which log to fetch, from when to when."""

    model_config = ConfigDict(json_schema_extra={"example": {"log": "diagnostics"}})

    log: Literal["diagnostics", "diagnostics_log", "security_log"] = Field(
        default="diagnostics", description="`diagnostics` is GetDiagnostics, the others are GetLog"
    )
    since: Instant | None = Field(default=None, alias="from")
    until: Instant | None = Field(default=None, alias="to")
    retries: Annotated[int, Field(ge=0, le=10)] = 3
    wait_s: WaitSeconds = 30


class JobEntry(BaseModel):
    """A status that was reported, and when."""

    status: str
    at: datetime


class Job(BaseModel):
    """A firmware update, or an upload of diagnostics or a log."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": JOB_EXAMPLE})

    id: UUID
    charge_point_id: UUID
    command_id: UUID
    command_status: str = Field(description="of its command")
    kind: Literal["firmware", "diagnostics"]
    action: str
    status: str = Field(description="Requested, Accepted, then what the charge point reports; Failed: it never began")
    history: list[JobEntry]
    file_id: UUID | None = Field(description="what the charge point uploaded, once it is here")
    file_name: str | None
    size_bytes: int | None
    created_at: datetime
    finished_at: datetime | None


class JobPage(Page[Job]):
    """Jobs, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [JOB_EXAMPLE], "next_cursor": None}})


class JobCommand(Command):
    """The command of a job."""

    model_config = ConfigDict(json_schema_extra={"example": COMMAND_EXAMPLE | {"action": "UpdateFirmware"}})


@router.post(
    "/firmware",
    status_code=201,
    summary="Bring in a firmware image",
    responses=problem_docs(BadRequest, TooLarge),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/octet-stream": {
                    "schema": {"type": "string", "format": "binary"},
                    "example": "the bytes of the image",
                }
            },
        }
    },
)
async def add_firmware(
    *,
    request: Request,
    caller: CurrentCaller,
    database: CurrentDatabase,
    store: CurrentStore,
    now: Now,
    name: Annotated[FileName, Query(description="its file name")],
) -> Firmware:
    """The body is the image itself. Charge points fetch it from here by a signed link."""
    file_id = uuid4()
    stored = await store.write(file_id, whole_body(request))
    try:
        if stored.size_bytes == 0:
            raise BadRequest("The image is empty.")
        async with database.transaction() as transaction:
            name = safe_name(name) or "firmware"
            row = await files.add_firmware(transaction, caller, file_id, name=name, stored=stored, now=now)
    except BaseException:
        await store.remove(file_id)
        raise
    return _firmware(row)


@router.get("/firmware", summary="List firmware images", responses=problem_docs())
async def list_firmware(caller: CurrentCaller, transaction: Transaction, paging: Paging) -> FirmwarePage:
    """The caller's firmware images, newest first."""
    rows, cursor = await files.list_firmware(transaction, caller, paging)
    return FirmwarePage(items=[_firmware(row) for row in rows], next_cursor=cursor)


@router.delete(
    "/firmware/{firmware_id}", status_code=204, summary="Remove a firmware image", responses=problem_docs(NotFound)
)
async def delete_firmware(
    firmware_id: UUID, caller: CurrentCaller, database: CurrentDatabase, store: CurrentStore
) -> None:
    """Charge points that have not fetched it yet will fail to."""
    async with database.transaction() as transaction:
        await files.remove_firmware(transaction, caller, firmware_id)
    await store.remove(firmware_id)


@router.post(
    "/charge-points/{charge_point_id}/firmware-updates",
    status_code=201,
    summary="Update firmware",
    responses=SENDING,
)
async def update_firmware(
    *, charge_point_id: UUID, body: FirmwareUpdate, sender: CurrentSender, settings: CurrentSettings
) -> JobCommand:
    """For the owner: the charge point fetches the image from here and installs it. Its job has the progress."""
    if body.install_at is not None and body.signed is None:
        raise Invalid.field("body.install_at", "only signed firmware is installed at a given time")

    async def prepare(transaction: AsyncConnection) -> commands.Call:
        charge_point = await find_visible(transaction, sender.caller, charge_point_id, sender.now)
        image = await files.find(transaction, sender.caller, body.firmware_id, FIRMWARE)
        from_when = body.retrieve_at or sender.now
        link = Link("download", charge_point_id, image.id, max(from_when, sender.now) + LINK_LIFETIME)
        action, payload = _update_call(body, make_url(settings, link, image.name), from_when)
        commands.check_call(action, payload, sender.now)
        return await sender.allowed(transaction, charge_point, action, payload)

    return JobCommand.model_validate(await sender.send(charge_point_id, prepare, body.wait_s))


def _update_call(body: FirmwareUpdate, location: str, from_when: datetime) -> tuple[str, dict[str, Any]]:
    at = format_timestamp(from_when)
    if body.signed is None:
        return "UpdateFirmware", {"location": location, "retries": body.retries, "retrieveDate": at}
    firmware = {
        "location": location,
        "retrieveDateTime": at,
        "signingCertificate": body.signed.signing_certificate,
        "signature": body.signed.signature,
    }
    if body.install_at is not None:
        firmware["installDateTime"] = format_timestamp(body.install_at)
    return "SignedUpdateFirmware", {"retries": body.retries, "requestId": _request_id(), "firmware": firmware}


def _request_id() -> int:
    """Unguessable and unique enough that a report of an older job is never taken for this one."""
    return uuid4().int % (2**31 - 1) + 1


@router.post(
    "/charge-points/{charge_point_id}/diagnostics", status_code=201, summary="Fetch diagnostics", responses=SENDING
)
async def fetch_diagnostics(
    *,
    charge_point_id: UUID,
    sender: CurrentSender,
    settings: CurrentSettings,
    body: DiagnosticsRequest | None = None,
) -> JobCommand:
    """For the owner: the charge point uploads its diagnostics, or a log, to here. Its job has progress and file."""
    request = body or DiagnosticsRequest()

    async def prepare(transaction: AsyncConnection) -> commands.Call:
        charge_point = await find_visible(transaction, sender.caller, charge_point_id, sender.now)
        link = Link("upload", charge_point_id, uuid4(), sender.now + LINK_LIFETIME)
        action, payload = _log_call(request, make_url(settings, link))
        commands.check_call(action, payload, sender.now)
        return await sender.allowed(transaction, charge_point, action, payload)

    return JobCommand.model_validate(await sender.send(charge_point_id, prepare, request.wait_s))


def _log_call(request: DiagnosticsRequest, location: str) -> tuple[str, dict[str, Any]]:
    begin = format_timestamp(request.since) if request.since else None
    end = format_timestamp(request.until) if request.until else None
    if request.log == "diagnostics":
        payload = {"location": location, "retries": request.retries, "startTime": begin, "stopTime": end}
        return "GetDiagnostics", {name: value for name, value in payload.items() if value is not None}
    kind = "SecurityLog" if request.log == "security_log" else "DiagnosticsLog"
    log = {"remoteLocation": location, "oldestTimestamp": begin, "latestTimestamp": end}
    return "GetLog", {
        "log": {name: value for name, value in log.items() if value is not None},
        "logType": kind,
        "requestId": _request_id(),
        "retries": request.retries,
    }


@router.get("/charge-points/{charge_point_id}/jobs", summary="List jobs", responses=problem_docs(NotAllowed, NotFound))
async def list_jobs(
    *,
    charge_point_id: UUID,
    caller: CurrentCaller,
    transaction: Transaction,
    paging: Paging,
    now: Now,
    kind: Annotated[Literal["firmware", "diagnostics"] | None, Query(description="only this kind")] = None,
) -> JobPage:
    """Firmware updates and uploads with their history, newest first. For the owner."""
    await find_controlled(transaction, caller, charge_point_id, now)
    rows, cursor = await files.list_jobs(transaction, charge_point_id, kind, paging)
    return JobPage(items=[Job.model_validate(row) for row in rows], next_cursor=cursor)


@router.get(
    "/charge-points/{charge_point_id}/jobs/{job_id}",
    summary="Read a job",
    responses=problem_docs(NotAllowed, NotFound),
)
async def read_job(
    *, charge_point_id: UUID, job_id: UUID, caller: CurrentCaller, transaction: Transaction, now: Now
) -> Job:
    """How far a firmware update or an upload got. For the owner."""
    await find_controlled(transaction, caller, charge_point_id, now)
    return Job.model_validate(await files.find_job(transaction, charge_point_id, job_id))


@router.get(
    "/files/{file_id}",
    summary="Fetch an uploaded file",
    response_class=FileResponse,
    responses={
        200: {"content": {"application/octet-stream": {"example": "the bytes of the file"}}},
        **problem_docs(NotFound),
    },
)
async def fetch_file(
    file_id: UUID, caller: CurrentCaller, database: CurrentDatabase, store: CurrentStore
) -> FileResponse:
    """What a charge point uploaded: diagnostics or a log. For the owner of the charge point."""
    async with database.transaction() as transaction:
        row = await files.find(transaction, caller, file_id, DIAGNOSTICS)
    if not store.path(file_id).is_file():
        raise NotFound("The file is gone.")
    return FileResponse(store.path(file_id), media_type="application/octet-stream", filename=safe_name(row.name))


def _firmware(row: Row[Any]) -> Firmware:
    return Firmware(
        id=row.id, name=row.name, size_bytes=row.size_bytes, sha256=row.sha256.hex(), created_at=row.created_at
    )
