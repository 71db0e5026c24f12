"""Files and the jobs that need them: rows only; the content is the store's. Nothing here commits."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, delete, func, insert, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from api.charge_points.file_store import Stored
from api.charge_points.jobs import DIAGNOSTICS, FIRMWARE
from api.database import find_one
from api.errors import Conflict, NotFound
from api.identity.caller import Caller
from api.paging import PageRequest, read_page
from api.schema import charge_point_jobs, charge_points, commands, files


async def add_firmware(
    connection: AsyncConnection, caller: Caller, file_id: UUID, *, name: str, stored: Stored, now: datetime
) -> Row[Any]:
    """A firmware image of the caller's."""
    values = {"id": file_id, "owner_id": caller.user_id, "kind": FIRMWARE, "name": name, "created_at": now}
    content = {"size_bytes": stored.size_bytes, "sha256": stored.sha256}
    row: Row[Any] = (await connection.execute(insert(files).values(values | content).returning(files))).one()
    return row


async def list_firmware(
    connection: AsyncConnection, caller: Caller, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """The firmware images that a caller may use, newest first."""
    query = select(files).where(files.c.kind == FIRMWARE, _is_own(caller))
    return await read_page(connection, query, [files.c.created_at, files.c.id], paging)


def _is_own(caller: Caller) -> ColumnElement[bool]:
    return true() if caller.is_operator else files.c.owner_id == caller.user_id


async def find(connection: AsyncConnection, caller: Caller, file_id: UUID, kind: str) -> Row[Any]:
    """A file of the caller's.

    Raises:
        NotFound: there is none.
    """
    query = select(files).where(files.c.id == file_id, files.c.kind == kind, _is_own(caller))
    return await find_one(connection, query)


async def remove_firmware(connection: AsyncConnection, caller: Caller, file_id: UUID) -> None:
    """Forgets a firmware image; links to it die.

    Raises:
        NotFound: it is not the caller's.
    """
    await find(connection, caller, file_id, FIRMWARE)
    await connection.execute(delete(files).where(files.c.id == file_id))


async def find_for_download(connection: AsyncConnection, file_id: UUID, charge_point_id: UUID, token: str) -> Row[Any]:
    """A firmware image for the charge point whose job still needs it.

    Raises:
        NotFound: the file is gone, or the job is over.
    """
    needed = select(charge_point_jobs.c.id).where(
        charge_point_jobs.c.charge_point_id == charge_point_id, _has_link(token),
        charge_point_jobs.c.finished_at.is_(None),
    )  # fmt: skip
    row: Row[Any] | None = (await connection.execute(select(files).where(files.c.id == file_id))).one_or_none()
    if row is None or (await connection.execute(needed)).first() is None:
        raise NotFound
    return row


def _has_link(token: str) -> ColumnElement[bool]:
    return func.strpos(charge_point_jobs.c.location, token) > 0


async def find_for_upload(
    connection: AsyncConnection, charge_point_id: UUID, token: str, *, lock: bool = False
) -> Row[Any]:
    """The job for which a charge point may leave a file, with the owner of the charge point.

    Raises:
        NotFound: there is none.
        Conflict: it has left its file already.
    """
    query = (
        select(charge_point_jobs, charge_points.c.owner_id)
        .join(charge_points, charge_points.c.id == charge_point_jobs.c.charge_point_id)
        .where(charge_point_jobs.c.charge_point_id == charge_point_id, _has_link(token))
    )
    if lock:
        query = query.with_for_update(of=charge_point_jobs)
    row = await find_one(connection, query)
    if row.file_id is not None:
        raise Conflict("A file was uploaded by this link already.")
    return row


async def add_upload(
    connection: AsyncConnection, job: Row[Any], file_id: UUID, *, name: str, stored: Stored, now: datetime
) -> None:
    """What a charge point left for a job."""
    values = {
        "id": file_id,
        "owner_id": job.owner_id,
        "charge_point_id": job.charge_point_id,
        "kind": DIAGNOSTICS,
        "name": name,
        "size_bytes": stored.size_bytes,
        "sha256": stored.sha256,
        "created_at": now,
    }
    await connection.execute(insert(files).values(values))
    named = {"file_id": file_id, "file_name": func.coalesce(charge_point_jobs.c.file_name, name)}
    await connection.execute(update(charge_point_jobs).where(charge_point_jobs.c.id == job.id).values(named))


def select_jobs() -> Select[Any]:
    """Jobs as they are shown."""
    joined = charge_point_jobs.outerjoin(files, files.c.id == charge_point_jobs.c.file_id)
    sizes = (files.c.size_bytes, files.c.sha256)
    return select(charge_point_jobs, commands.c.status.label("command_status"), *sizes).select_from(
        joined.join(commands, commands.c.id == charge_point_jobs.c.command_id)
    )


async def list_jobs(
    connection: AsyncConnection, charge_point_id: UUID, kind: str | None, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """The jobs of a charge point, newest first."""
    query = select_jobs().where(charge_point_jobs.c.charge_point_id == charge_point_id)
    if kind is not None:
        query = query.where(charge_point_jobs.c.kind == kind)
    return await read_page(connection, query, [charge_point_jobs.c.created_at, charge_point_jobs.c.id], paging)


async def find_job(connection: AsyncConnection, charge_point_id: UUID, job_id: UUID) -> Row[Any]:
    """A job of this charge point.

    Raises:
        NotFound: there is none.
    """
    this = (charge_point_jobs.c.charge_point_id == charge_point_id, charge_point_jobs.c.id == job_id)
    return await find_one(connection, select_jobs().where(*this))
