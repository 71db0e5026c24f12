"""The message log: every frame in and out, byte for byte, for one INSERT. Never reads them back.

The gateway redacts the frames that it logs; the frames built here come from charge points' own CALLs, which carry no
AuthorizationKey.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec

from api.charge_points.answers import Answer
from wire.messages import ChargePointCall, LoggedFrame

CALL, CALL_RESULT, CALL_ERROR = 2, 3, 4
COLUMNS: Final = "charge_point_id, at, direction, epoch, message_type, message_id, action, frame, note"
FRAMES: Final = (
    "uuid[]", "float8[]", "text[]", "bigint[]", "smallint[]", "text[]", "text[]", "bytea[]", "text[]",
)  # fmt: skip
CONVERSATIONS: Final = (
    "uuid[]", "float8[]", "bigint[]", "text[]", "text[]", "bytea[]", "text[]", "smallint[]", "bytea[]",
)  # fmt: skip
PARAMETERS: Final = len(FRAMES) + len(CONVERSATIONS) + 1
"""Of `insert_sql`."""

_parts = msgspec.json.Decoder(list[msgspec.Raw])


class Frame(NamedTuple):
    """One frame, in the order of `FRAMES`; `at` is Unix seconds."""

    charge_point_id: str
    at: float
    direction: str
    epoch: int
    message_type: int | None
    message_id: str | None
    action: str | None
    frame: bytes
    note: str | None


class Conversation(NamedTuple):
    """A CALL of a charge point and its answer, in the order of `CONVERSATIONS`: two frames, of which much is alike."""

    charge_point_id: str
    arrived_at: float
    epoch: int
    message_id: str
    action: str
    request: bytes
    note: str | None
    reply_type: int
    reply: bytes


def insert_sql(first_parameter: int) -> str:
    """INSERT of what `columns` gives, from parameter `first_parameter` on: frames, and then conversations.

    A conversation is sent as one row and made two here, because the driver looks at every element of every array.
    """
    frames = ", ".join(f"${i}::{array}" for i, array in enumerate(FRAMES, first_parameter))
    conversations = ", ".join(f"${i}::{array}" for i, array in enumerate(CONVERSATIONS, first_parameter + len(FRAMES)))
    answered_at = f"${first_parameter + PARAMETERS - 1}::timestamptz"
    return f"""
insert into message_log ({COLUMNS})
select charge_point_id, to_timestamp(at), direction, epoch, message_type, message_id, action, frame, note
from unnest({frames}) as frames ({COLUMNS})
union all
select c.charge_point_id, f.at, f.direction, c.epoch, f.message_type, c.message_id, c.action, f.frame, f.note
from unnest({conversations}) as c ({", ".join(Conversation._fields)}) cross join lateral (values
    (to_timestamp(c.arrived_at), 'in', {CALL}::smallint, c.request, c.note),
    ({answered_at}, 'out', c.reply_type, c.reply, null)) as f (at, direction, message_type, frame, note)
"""  # noqa: S608 - our own names


INSERT: Final = insert_sql(1)


def columns(
    frames: Sequence[Frame], conversations: Sequence[Conversation], answered_at: datetime
) -> Iterator[Sequence[Any] | datetime]:
    """The arguments for `insert_sql`: one sequence a column, and when the conversations were answered."""
    yield from zip(*frames, strict=True) if frames else ([] for _ in FRAMES)
    yield from zip(*conversations, strict=True) if conversations else ([] for _ in CONVERSATIONS)
    yield answered_at


async def insert(connection: asyncpg.Connection, conversations: Sequence[Conversation], answered_at: datetime) -> None:
    """Adds conversations in one statement."""
    await connection.execute(INSERT, *columns((), conversations, answered_at))


def storable(text: str) -> str:
    """Text that PostgreSQL can hold: it has no NUL, and UTF-8 has no lone surrogate."""
    clean = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return clean if clean.isascii() else clean.encode("utf-8", "replace").decode()


def conversation(call: ChargePointCall, answer: Answer) -> Conversation:
    """The CALL as it came in, with what was repaired in it, and its answer as it will go out."""
    quoted = msgspec.json.encode(call.message_id)
    payload, note = call.payload, None
    if call.tolerance is not None and call.tolerance.repairs:
        payload, note = call.tolerance.original, _repaired("; ".join(call.tolerance.repairs))
    request = b"[2,%b,%b,%b]" % (quoted, msgspec.json.encode(call.action), payload)
    return Conversation(call.charge_point_id, call.received_at, call.epoch, storable(call.message_id), call.action,
                        request, note, *_reply(quoted, answer))  # fmt: skip


def _repaired(repairs: str) -> str:
    return f"repaired: {storable(repairs)}"


def _reply(message_id: bytes, answer: Answer) -> tuple[int, bytes]:
    if not answer.error_code:
        return CALL_RESULT, b"[3,%b,%b]" % (message_id, answer.payload)
    code, description = msgspec.json.encode(answer.error_code), msgspec.json.encode(answer.error_description)
    return CALL_ERROR, b"[4,%b,%b,%b,{}]" % (message_id, code, description)


def logged(frame: LoggedFrame) -> Frame:
    """A frame that the gateway handled by itself."""
    note = _repaired(frame.note) if frame.note else None
    return Frame(frame.charge_point_id, frame.at, frame.direction, frame.epoch, *_decoded(frame.frame), frame.frame,
                 note)  # fmt: skip


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
