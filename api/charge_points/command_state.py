"""The life of a command's row: queued -> sent -> one terminal status, moved by compare-and-set, and its sweeping.

A terminal status never changes; what comes later is a note. Making commands and reading them is not done here.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any, Final

import asyncpg
import msgspec
import orjson

from api.charge_points.message_log import storable
from wire.messages import Command, CommandOutcome

POSITIVE: Final = frozenset({"Accepted", "Scheduled", "RebootRequired", "Unlocked"})
"""What a charge point answers when it will do, or has done, what it was told."""
GRACE: Final = timedelta(seconds=5)
"""How long after its deadline a sent command may still hear from its gateway."""
PUBLISH_AFTER: Final = timedelta(seconds=2)
"""A committed command that nobody has published by then lost its publisher."""
SWEEP_LIMIT: Final = 200
WRITE_ONLY: Final = "authorizationkey"
"""The charge point's key, which some charge points give away when asked (WP, AuthorizationKey is write-only)."""

SENT: Final = "update commands set status = 'sent', sent_at = $2 where id = $1 and status = 'queued'"
END: Final = """
update commands
set status = $2, finished_at = $3, response = $4::text::jsonb, error_code = $5, error_description = $6, note = $7
where id = $1 and status in ('queued', 'sent') returning true
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
returning c.id, c.charge_point_id, c.action, c.status
"""
UNPUBLISHED: Final = """
select id, charge_point_id, epoch, action, payload, deadline_at from commands
where status = 'queued' and published_at is null and created_at < $1::timestamptz - $2::interval and deadline_at > $1
order by id limit $3 for update skip locked
"""
PUBLISHED: Final = "update commands set published_at = $2 where id = any($1::uuid[])"
OFFLINE: Final = "update commands set status = 'offline', finished_at = $2 where id = any($1::uuid[])"


async def apply_outcome(connection: asyncpg.Connection, outcome: CommandOutcome) -> None:
    """Moves the command's row; a late or repeated outcome never changes a terminal status."""
    at = datetime.fromtimestamp(outcome.at, UTC)
    if outcome.status == "sent":
        await connection.execute(SENT, outcome.id, at)
        return
    status, response, note = read_outcome(outcome)
    error = (storable(outcome.error_code) or None, storable(outcome.error_description) or None)
    if not await connection.fetchval(END, outcome.id, status, at, response, *error, note):
        await connection.execute(NOTE, outcome.id, f"late: {outcome.status} ({status})", status)


def read_outcome(outcome: CommandOutcome) -> tuple[str, str | None, str | None]:
    """The terminal status, the response as storable JSON, and a note where it could not be read. Pure."""
    if outcome.status != "result":
        return outcome.status, None, None
    try:
        payload = json.loads(outcome.payload)
        response = orjson.dumps(redact(payload)).decode()
    except (ValueError, TypeError, RecursionError):
        return "unknown", None, "the answer of the charge point cannot be read"
    status = payload.get("status", "Accepted") if isinstance(payload, dict) else None
    return ("accepted" if status in POSITIVE else "rejected"), response.replace("\\u0000", "\\ufffd"), None


def redact(payload: object) -> object:
    """A GetConfiguration.conf without the charge point's key; any other payload as it is."""
    if not isinstance(payload, dict) or not isinstance(keys := payload.get("configurationKey"), list):
        return payload
    return {**payload, "configurationKey": [_redact_key(key) for key in keys]}


def _redact_key(key: object) -> object:
    if isinstance(key, dict) and str(key.get("key", "")).lower() == WRITE_ONLY and "value" in key:
        return {**key, "value": "***"}
    return key


async def end_overdue(connection: asyncpg.Connection, now: datetime) -> list[asyncpg.Record]:
    """Ends what nobody will end any more: never sent -> timeout, sent and silent -> unknown."""
    return await connection.fetch(OVERDUE, now, GRACE, SWEEP_LIMIT)  # type: ignore[no-any-return]


async def unpublished(connection: asyncpg.Connection, now: datetime) -> list[Command]:
    """Commands that were committed and never published, locked until the transaction ends."""
    rows = await connection.fetch(UNPUBLISHED, now, PUBLISH_AFTER, SWEEP_LIMIT)
    return [_command(row) for row in rows]


def _command(row: asyncpg.Record) -> Command:
    payload = msgspec.json.encode(in_schema_order(row["action"], row["payload"]))
    deadline = row["deadline_at"].timestamp()
    return Command(str(row["id"]), str(row["charge_point_id"]), row["epoch"], row["action"], payload, deadline)


async def mark_published(connection: asyncpg.Connection, ids: Iterable[str], now: datetime) -> None:
    """Notes that these commands are on their way; from now on they are never sent again."""
    await connection.execute(PUBLISHED, list(ids), now)


async def mark_offline(connection: asyncpg.Connection, ids: Iterable[str], now: datetime) -> None:
    """Ends commands whose charge point, or the connection that they were meant for, is gone."""
    await connection.execute(OFFLINE, list(ids), now)


@cache
def _schema(action: str) -> dict[str, Any]:
    schemas = files("ocpp.v16.schemas")
    return json.loads(schemas.joinpath(f"{action}.json").read_text("utf-8-sig"))  # type: ignore[no-any-return]


def in_schema_order(action: str, payload: dict[str, Any]) -> dict[str, Any]:
    """The payload with its keys as the schema has them (OCPP-J 4.2.1): jsonb forgets their order."""
    ordered = _ordered(payload, _schema(action))
    return ordered if isinstance(ordered, dict) else payload


def _ordered(value: object, schema: dict[str, Any]) -> object:
    if isinstance(value, list):
        return [_ordered(item, schema.get("items", {})) for item in value]
    if not isinstance(value, dict):
        return value
    properties = schema.get("properties", {})
    known = {name: _ordered(value[name], part) for name, part in properties.items() if name in value}
    return known | {name: part for name, part in value.items() if name not in known}
