"""Rows that begin with a command: a job, a reservation. Made with it, so that no notification overtakes them."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from api.charge_points.jobs import KINDS
from api.charge_points.timestamps import parse_timestamp
from api.errors import Conflict
from api.schema import charge_point_jobs, id_tags, reservations

Record = Callable[[AsyncConnection, dict[str, Any], dict[str, Any], datetime], Awaitable[None]]


async def record(
    connection: AsyncConnection, command: dict[str, Any], command_id: UUID, now: datetime, *, is_offline: bool
) -> None:
    """Makes what begins with a command, given the values of its row.

    Raises:
        Conflict: a reservation with this id exists already.
    """
    make = _RECORDS.get(command["action"])
    if make is not None:
        keys = {"charge_point_id": command["charge_point_id"], "command_id": command_id, "created_at": now}
        await make(connection, command, keys, now)
        if is_offline:
            await _never_sent(connection, command_id, now)


async def _record_job(
    connection: AsyncConnection, command: dict[str, Any], keys: dict[str, Any], now: datetime
) -> None:
    action, payload = command["action"], command["payload"]
    values = {
        **keys,
        "kind": KINDS[action],
        "action": action,
        "request_id": payload.get("requestId"),
        "location": _location(action, payload),
        "status_at": now,
        "history": [{"status": "Requested", "at": now.isoformat()}],
    }
    await connection.execute(insert(charge_point_jobs).values(values))


def _location(action: str, payload: dict[str, Any]) -> str:
    if action == "GetLog":
        return str(payload["log"]["remoteLocation"])
    return str(payload["firmware"]["location"] if action == "SignedUpdateFirmware" else payload["location"])


async def _record_reservation(
    connection: AsyncConnection, command: dict[str, Any], keys: dict[str, Any], now: datetime
) -> None:
    payload = command["payload"]
    tag = str(payload["idTag"]).upper()
    holder = select(id_tags.c.user_id, id_tags.c.parent_tag).where(id_tags.c.tag == tag)
    known = (await connection.execute(holder)).one_or_none()
    values = {
        **keys,
        "reservation_id": payload["reservationId"],
        "connector_id": payload["connectorId"],
        "user_id": known.user_id if known else None,
        "id_tag": tag,
        "parent_id_tag": payload.get("parentIdTag"),
        "expires_at": parse_timestamp(payload["expiryDate"]),
    }
    statement = upsert(reservations).values(values).on_conflict_do_nothing().returning(reservations.c.reservation_id)
    if (await connection.execute(statement)).first() is None:
        raise Conflict("This charge point has had a reservation with this id already.")


async def _never_sent(connection: AsyncConnection, command_id: UUID, now: datetime) -> None:
    job, reservation = charge_point_jobs.c.command_id == command_id, reservations.c.command_id == command_id
    ended = {"status": "Failed", "status_at": now, "finished_at": now}
    await connection.execute(charge_point_jobs.update().where(job).values(ended))
    await connection.execute(reservations.update().where(reservation).values(status="failed", ended_at=now))


_RECORDS: Final[dict[str, Record]] = {
    **dict.fromkeys(KINDS, _record_job),
    "ReserveNow": _record_reservation,
}
