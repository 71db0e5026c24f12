"""Reads what charge points and Voltuj said to each other, and what could not be processed. Queries only.

Frames are stored as they were on the wire; here they are taken apart for people.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from api.paging import PageRequest, read_page
from api.schema import message_log, transactions, unprocessed

MESSAGE_TYPES: Final = {2: "CALL", 3: "CALLRESULT", 4: "CALLERROR"}
"""OCPP-J 4.1.3: message type numbers."""
_PAYLOAD_INDEX: Final = {"CALL": 3, "CALLRESULT": 2, "CALLERROR": 4}


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Which messages; None: any."""

    direction: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def list_messages(
    connection: AsyncConnection, charge_point_id: UUID, wanted: MessageFilter, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """The frames of a charge point, newest first."""
    table = message_log
    query = select(table).where(table.c.charge_point_id == charge_point_id)
    if wanted.direction is not None:
        query = query.where(table.c.direction == wanted.direction)
    if wanted.action is not None:
        query = query.where(table.c.action == wanted.action)
    if wanted.since is not None:
        query = query.where(table.c.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(table.c.at < wanted.until)
    return await read_page(connection, query, [table.c.at, table.c.id], paging)


async def list_unprocessed(
    connection: AsyncConnection, charge_point_id: UUID, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """The messages of a charge point that were set aside, newest first."""
    query = _unprocessed_of(charge_point_id)
    return await read_page(connection, query, [unprocessed.c.received_at, unprocessed.c.id], paging)


async def find_unprocessed(connection: AsyncConnection, charge_point_id: UUID, unprocessed_id: int) -> Row[Any] | None:
    """One of them; None where there is none of this id."""
    query = _unprocessed_of(charge_point_id).where(unprocessed.c.id == unprocessed_id)
    row: Row[Any] | None = (await connection.execute(query)).one_or_none()
    return row


def _unprocessed_of(charge_point_id: UUID) -> Select[Any]:
    columns = [column for column in unprocessed.c if column.name != "transaction_id"]
    return (
        select(*columns, transactions.c.public_id.label("transaction_id"))
        .select_from(unprocessed.outerjoin(transactions, transactions.c.id == unprocessed.c.transaction_id))
        .where(unprocessed.c.charge_point_id == charge_point_id)
    )


def as_text(raw: bytes) -> str:
    """Bytes as people read them; what is not UTF-8 is shown by its code."""
    return raw.decode("utf-8", "backslashreplace")


def decode_json(raw: bytes) -> object:
    """The JSON value; None where it is none."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None


def payload_of(frame: bytes, message_type: str | None) -> object:
    """The payload of a frame (of a CALLERROR: its details); None where the frame is not readable."""
    parts = decode_json(frame)
    index = _PAYLOAD_INDEX.get(message_type or "", 0)
    return parts[index] if isinstance(parts, list) and 0 < index < len(parts) else None


def error_of(frame: bytes, message_type: str | None) -> tuple[str | None, str | None]:
    """Code and description of a CALLERROR."""
    parts = decode_json(frame) if message_type == "CALLERROR" else None
    if not isinstance(parts, list) or len(parts) < 4:
        return None, None
    return str(parts[2]), str(parts[3])
