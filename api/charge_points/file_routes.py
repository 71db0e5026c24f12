"""Where charge points fetch and leave files, by signed links. Not a part of the API that people use."""

import re
from collections.abc import AsyncIterator
from typing import Annotated, Final
from uuid import uuid4

from fastapi import APIRouter, Depends, Request
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, Response

from api.charge_points import files
from api.charge_points.file_links import Link, Purpose, make_token, read_token, signing_key
from api.charge_points.file_store import FileStore
from api.charge_points.multipart import file_content
from api.errors import BadRequest, NotFound
from api.request import CurrentDatabase, CurrentSettings, Now
from api.settings import Settings

router = APIRouter(include_in_schema=False)

PREFIX: Final = "/files"
_UNUSUAL: Final = re.compile(r"[^A-Za-z0-9._ -]")


async def _store(settings: CurrentSettings) -> FileStore:
    return FileStore(settings.files_dir, settings.largest_file_mib * 1024 * 1024)


CurrentStore = Annotated[FileStore, Depends(_store)]


def make_url(settings: Settings, link: Link, name: str = "") -> str:
    """The address that goes into a CALL; to that of an upload the charge point appends the file name."""
    base = (settings.public_files_url or settings.public_api_url).rstrip("/")
    token = make_token(signing_key(settings.jwt_secret.get_secret_value()), link)
    return f"{base}{PREFIX}/{link.purpose}/{token}/{safe_name(name)}"


def safe_name(name: str) -> str:
    """A name that every charge point can use in a URL and in its file system."""
    return _UNUSUAL.sub("_", name.rpartition("/")[2].strip())[:100].replace(" ", "_").lstrip(".")


def _read(settings: Settings, token: str, purpose: Purpose, now: Now) -> Link:
    link = read_token(signing_key(settings.jwt_secret.get_secret_value()), token, purpose, now)
    if link is None:
        raise NotFound("This link is not valid, or has expired.")
    return link


@router.api_route(PREFIX + "/download/{token}/{name}", methods=["GET", "HEAD"])
async def download_file(
    *, token: str, name: str, settings: CurrentSettings, store: CurrentStore, database: CurrentDatabase, now: Now
) -> Response:
    """A firmware image, also in parts (Range), while its job is under way."""
    link = _read(settings, token, "download", now)
    async with database.transaction() as transaction:
        row = await files.find_for_download(transaction, link.subject, link.charge_point_id, token)
    path = store.path(row.id)
    if not path.is_file():
        raise NotFound("The file is gone.")
    return FileResponse(path, media_type="application/octet-stream", filename=safe_name(row.name))


@router.api_route(PREFIX + "/upload/{token}/", methods=["PUT", "POST"])
@router.api_route(PREFIX + "/upload/{token}/{name:path}", methods=["PUT", "POST"])
async def upload_file(
    *,
    token: str,
    request: Request,
    settings: CurrentSettings,
    store: CurrentStore,
    database: CurrentDatabase,
    now: Now,
    name: str = "",
) -> Response:
    """One file, once: the body itself, or the first part of a form."""
    link = _read(settings, token, "upload", now)
    async with database.transaction() as transaction:
        job = await files.find_for_upload(transaction, link.charge_point_id, token)
    file_id = uuid4()
    name = safe_name(name) or job.file_name or f"{job.action}-{job.created_at:%Y%m%d-%H%M%S}"
    content_type = request.headers.get("content-type", "")
    stored = await store.write(file_id, file_content(content_type, whole_body(request)))
    try:
        async with database.transaction() as transaction:
            job = await files.find_for_upload(transaction, link.charge_point_id, token, lock=True)
            await files.add_upload(transaction, job, file_id, name=name, stored=stored, now=now)
    except BaseException:
        await store.remove(file_id)
        raise
    return Response(status_code=201)


async def whole_body(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes in.

    Raises:
        BadRequest: the client went away before its end.
    """
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect as gone:
        raise BadRequest("The upload broke off.") from gone
