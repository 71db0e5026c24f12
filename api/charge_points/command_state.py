"""The life of a command's row: queued -> sent -> one terminal status, moved by compare-and-set, and its sweeping.

A terminal status never changes; what comes later is a note. Making commands and reading them is not done here.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg
import orjson

from api.charge_points.call_schemas import encode_payload
from api.charge_points.command_effects import apply_effect
from api.charge_points.command_rules import AUTHORIZATION_KEY, is_positive
from api.charge_points.ended import Ended
from api.charge_points.message_log import storable
from wire.messages import Command, CommandOutcome

GRACE: Final = timedelta(seconds=5)
"""How long after its deadline a sent command may still hear from its gateway."""
PUBLISH_AFTER: Final = timedelta(seconds=2)
"""A committed command that nobody has published by then lost its publisher; one of Voltuj's own never had one."""
OPEN: Final = ("queued", "sent")
SWEEP_LIMIT: Final = 200

SENT: Final = "update commands set status = 'sent', sent_at = $2 where id = $1 and status = 'queued'"
FIND: Final = "select id, charge_point_id, action, payload, status from commands where id = $1 for update"
END: Final = """
update commands
set status = $2, finished_at = $3, response = $4::text::jsonb, error_code = $5, error_description = $6, note = $7
where id = $1 and status in ('queued', 'sent')
"""
NOTE: Final = """
update commands set note = concat_ws('; ', note, $2::text)
where id = $1 and status <> $3 and not coalesce(note, '') like '%' || $2 || '%'
"""
OVERDUE: Final = """
update commands c set status = case c.status when 'queued' then 'timeout' else 'unknown' end, finished_at = $1
from (
    select id from commands where status in ('queued', 'sent')
        and deadline_at < $1::timestamptz - case status when 'sent' then $2::interval else interval '0' end
    order by id limit $3 for update skip locked
) as overdue
where c.id = overdue.id
returning c.id, c.charge_point_id, c.action, c.payload, c.status
"""
UNPUBLISHED: Final = """
select id, charge_point_id, epoch, action, payload, deadline_at from commands
where status = 'queued' and published_at is null and deadline_at > $1
    and (user_id is null or created_at < $1::timestamptz - $2::interval)
order by id limit $3 for update skip locked
"""
PUBLISHED: Final = "update commands set published_at = $2 where id = any($1::uuid[])"
OFFLINE: Final = """
update commands set status = 'offline', finished_at = $2, note = $3
where id = any($1::uuid[]) and status = 'queued'
returning id, charge_point_id, action, payload
"""


async def apply_outcome(connection: asyncpg.Connection, outcome: CommandOutcome) -> None:
    """Moves the command's row; a late or repeated outcome never changes a terminal status."""
    at = datetime.fromtimestamp(outcome.at, UTC)
    if outcome.status == "sent":
        await connection.execute(SENT, outcome.id, at)
        return
    row = await connection.fetchrow(FIND, outcome.id)
    if row is None:
        return
    status, response, note = read_outcome(row["action"], outcome)
    if row["status"] not in OPEN:
        await connection.execute(NOTE, outcome.id, f"late: {outcome.status} ({status})", status)
        return
    error = (storable(outcome.error_code) or None, storable(outcome.error_description) or None)
    await connection.execute(END, outcome.id, status, at, response, *error, note)
    await apply_effect(connection, _ended(row, status, at, response))


def _ended(row: asyncpg.Record, status: str, at: datetime, response: str | None = None) -> Ended:
    payload, answer = row["payload"], orjson.loads(response) if response else {}
    return Ended(
        id=row["id"],
        charge_point_id=row["charge_point_id"],
        action=row["action"],
        payload=orjson.loads(payload) if isinstance(payload, str) else payload,
        status=status,
        response=answer if isinstance(answer, dict) else {},
        at=at,
    )


def read_outcome(action: str, outcome: CommandOutcome) -> tuple[str, str | None, str | None]:
    """The terminal status, the response as storable JSON, and a note where it could not be read. Pure."""
    if outcome.status != "result":
        return outcome.status, None, None
    try:
        payload = json.loads(outcome.payload)
        response = orjson.dumps(redact(payload)).decode()
    except (ValueError, TypeError, RecursionError):
        return "unknown", None, "the answer of the charge point cannot be read"
    positive = isinstance(payload, dict) and is_positive(action, payload)
    return ("accepted" if positive else "rejected"), response.replace("\\u0000", "\\ufffd"), None


def redact(payload: object) -> object:
    """A GetConfiguration.conf without the charge point's key; any other payload as it is."""
    if not isinstance(payload, dict) or not isinstance(keys := payload.get("configurationKey"), list):
        return payload
    return {**payload, "configurationKey": [_redact_key(key) for key in keys]}


def _redact_key(key: object) -> object:
    if isinstance(key, dict) and str(key.get("key", "")).lower() == AUTHORIZATION_KEY and "value" in key:
        return {**key, "value": "***"}
    return key


async def end_overdue(connection: asyncpg.Connection, now: datetime) -> list[asyncpg.Record]:
    """Ends what nobody will end any more: never sent -> timeout, sent and silent -> unknown."""
    rows: list[asyncpg.Record] = await connection.fetch(OVERDUE, now, GRACE, SWEEP_LIMIT)
    for row in rows:
        await apply_effect(connection, _ended(row, row["status"], now))
    return rows


async def unpublished(connection: asyncpg.Connection, now: datetime) -> list[Command]:
    """Commands that were committed and never published, locked until the transaction ends."""
    rows = await connection.fetch(UNPUBLISHED, now, PUBLISH_AFTER, SWEEP_LIMIT)
    return [_command(row) for row in rows]


def _command(row: asyncpg.Record) -> Command:
    payload = encode_payload(row["action"], row["payload"])
    deadline = row["deadline_at"].timestamp()
    return Command(str(row["id"]), str(row["charge_point_id"]), row["epoch"], row["action"], payload, deadline)


async def mark_published(connection: asyncpg.Connection, ids: Iterable[str], now: datetime) -> None:
    """Notes that these commands are on their way; from now on they are never sent again."""
    await connection.execute(PUBLISHED, list(ids), now)


async def mark_offline(connection: asyncpg.Connection, ids: Iterable[UUID | str], note: str, now: datetime) -> None:
    """Ends commands whose charge point, or the connection that they were meant for, is gone."""
    for row in await connection.fetch(OFFLINE, list(ids), now, note):
        await apply_effect(connection, _ended(row, "offline", now))
