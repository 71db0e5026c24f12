"""What the charge point holds as its local authorization list: effects of commands only (OCPP 1.6 5.10, 5.15)."""

from typing import Any, Final

import asyncpg
import orjson

from api.charge_points.ended import Ended

FIND: Final = "select entries::text from local_lists where charge_point_id = $1 for update"
SENT: Final = """
insert into local_lists as known (charge_point_id, version, entries, sent_at, reported_version, reported_at)
values ($1, $2::integer, $3::text::jsonb, $4::timestamptz, $2, $4)
on conflict (charge_point_id) do update
set version = excluded.version, entries = excluded.entries, sent_at = excluded.sent_at,
    reported_version = excluded.reported_version, reported_at = excluded.reported_at
"""
REPORTED: Final = """
insert into local_lists (charge_point_id, reported_version, reported_at) values ($1, $2, $3)
on conflict (charge_point_id) do update set reported_version = $2, reported_at = $3
"""


async def sent(connection: asyncpg.Connection, ended: Ended) -> None:
    """SendLocalList: what was accepted is what the charge point holds."""
    if not ended.accepted:
        return
    update = ended.payload.get("localAuthorizationList", [])
    known: list[dict[str, Any]] = []
    if ended.payload["updateType"] == "Differential":
        stored = await connection.fetchval(FIND, ended.charge_point_id)
        known = orjson.loads(stored) if stored else []
    entries = orjson.dumps(apply_update(known, update)).decode()
    await connection.execute(SENT, ended.charge_point_id, ended.payload["listVersion"], entries, ended.at)


def apply_update(known: list[dict[str, Any]], update: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The list after an update; an entry without idTagInfo is removed (5.15). Pure."""
    entries = {entry["idTag"].upper(): entry for entry in known}
    for entry in update:
        if "idTagInfo" in entry:
            entries[entry["idTag"].upper()] = entry
        else:
            entries.pop(entry["idTag"].upper(), None)
    return [entries[tag] for tag in sorted(entries)]


async def version_reported(connection: asyncpg.Connection, ended: Ended) -> None:
    """GetLocalListVersion: 0 is an empty list, -1 a charge point without one (5.10)."""
    if ended.accepted:
        await connection.execute(REPORTED, ended.charge_point_id, ended.response["listVersion"], ended.at)
