"""The message log: every frame in and out, byte for byte, as rows for one INSERT. Never reads them back.

The gateway redacts the frames that it logs; the frames built here come from charge points' own CALLs, which carry no
AuthorizationKey.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec

from api.charge_points.answers import Answer
from wire.messages import ChargePointCall, LoggedFrame

CALL, CALL_RESULT, CALL_ERROR = 2, 3, 4
COLUMNS: Final = "charge_point_id, at, direction, epoch, message_type, message_id, action, frame, note"
ARRAYS: Final = (
    "uuid[]", "timestamptz[]", "text[]", "bigint[]", "smallint[]", "text[]", "text[]", "bytea[]", "text[]",
)  # fmt: skip

_parts = msgspec.json.Decoder(list[msgspec.Raw])


class LogRow(NamedTuple):
    """One row, in the order of `COLUMNS`."""

    charge_point_id: str
    at: datetime
    direction: str
    epoch: int
    message_type: int | None
    message_id: str | None
    action: str | None
    frame: bytes
    note: str | None = None


def insert_sql(first_parameter: int) -> str:
    """INSERT of rows given as one array a column, from parameter `first_parameter` on."""
    arrays = ", ".join(f"${first_parameter + i}::{array}" for i, array in enumerate(ARRAYS))
    return f"insert into message_log ({COLUMNS}) select * from unnest({arrays})"  # noqa: S608 - our own names


INSERT: Final = insert_sql(1)


def columns(rows: Sequence[LogRow]) -> list[Sequence[Any]]:
    """The rows as one list a column, the arguments for `insert_sql`."""
    return list(zip(*rows, strict=True)) if rows else [[] for _ in ARRAYS]


async def insert(connection: asyncpg.Connection, rows: Sequence[LogRow]) -> None:
    """Adds the rows in one statement."""
    await connection.execute(INSERT, *columns(rows))


def storable(text: str) -> str:
    """Text that PostgreSQL can hold: it has no NUL, and UTF-8 has no lone surrogate."""
    clean = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return clean.encode("utf-8", "replace").decode()


def conversation(call: ChargePointCall, answer: Answer, answered_at: datetime) -> tuple[LogRow, LogRow]:
    """The CALL as it came in, with what was repaired in it, and its answer as it will go out."""
    message_id = storable(call.message_id)
    quoted = msgspec.json.encode(call.message_id)
    payload, note = call.payload, None
    if call.tolerance is not None and call.tolerance.repairs:
        payload, note = call.tolerance.original, _repaired("; ".join(call.tolerance.repairs))
    request = b"[2,%b,%b,%b]" % (quoted, msgspec.json.encode(call.action), payload)
    arrived = datetime.fromtimestamp(call.received_at, UTC)
    kind, reply = _reply(quoted, answer)
    return (
        LogRow(call.charge_point_id, arrived, "in", call.epoch, CALL, message_id, call.action, request, note),
        LogRow(call.charge_point_id, answered_at, "out", call.epoch, kind, message_id, call.action, reply),
    )


def _repaired(repairs: str) -> str:
    return f"repaired: {storable(repairs)}"


def _reply(message_id: bytes, answer: Answer) -> tuple[int, bytes]:
    if not answer.error_code:
        return CALL_RESULT, b"[3,%b,%b]" % (message_id, answer.payload)
    code, description = msgspec.json.encode(answer.error_code), msgspec.json.encode(answer.error_description)
    return CALL_ERROR, b"[4,%b,%b,%b,{}]" % (message_id, code, description)


def logged(frames: Iterable[LoggedFrame]) -> list[LogRow]:
    """Rows of frames that the gateway handled by itself."""
    return [_logged(frame) for frame in frames]


def _logged(frame: LoggedFrame) -> LogRow:
    kind, message_id, action = _decoded(frame.frame)
    at = datetime.fromtimestamp(frame.at, UTC)
    note = _repaired(frame.note) if frame.note else None
    return LogRow(frame.charge_point_id, at, frame.direction, frame.epoch, kind, message_id, action, frame.frame, note)


def _decoded(frame: bytes) -> tuple[int | None, str | None, str | None]:
    """Message type, message id and action, as far as the frame can be read."""
    try:
        parts = _parts.decode(frame)
        kind = msgspec.json.decode(parts[0], type=int)
        message_id = storable(msgspec.json.decode(parts[1], type=str))
        if kind == CALL:
            return kind, message_id, storable(msgspec.json.decode(parts[2], type=str))
        return (kind, message_id, None) if kind in {CALL_RESULT, CALL_ERROR} else (None, message_id, None)
    except (msgspec.DecodeError, UnicodeDecodeError, IndexError):
        return None, None, None
