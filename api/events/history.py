"""Reading events that were written: after a position, with who may read them. Writes nothing."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import asyncpg

from api.events.audience import Seen
from api.events.catalogue import Event
from api.sharing.access import viewers_of

BATCH: Final = 100
"""Handed on at once; readers that keep up have sent it before the next one comes."""
REPLAYED: Final = 5000
"""Events of the whole installation that a stream may be behind; beyond it, its client reads the resources again."""

COLUMNS: Final = "public_id, position, type, at, charge_point_id, person_id, audience, data::text as data"
NEWEST: Final = "select coalesce(max(position), 0) from events"
OLDEST: Final = "select min(position) from events where position is not null"
AFTER: Final = f"select {COLUMNS} from events where position > $1 order by position limit $2"  # noqa: S608 - our names
BETWEEN: Final = f"""
select {COLUMNS} from events where position > $1 and position <= $2 order by position limit $3
"""  # noqa: S608 - our own names


async def newest_position(connection: asyncpg.Connection) -> int:
    """The position of the newest event; 0 where there is none."""
    return int(await connection.fetchval(NEWEST))


async def read_after(connection: asyncpg.Connection, position: int) -> list[Event]:
    """The next events, a batch at most."""
    return [Event.from_row(row) for row in await connection.fetch(AFTER, position, BATCH)]


async def read_missed(connection: asyncpg.Connection, after: int, until: int) -> list[Event] | None:
    """Events after one position up to another; None where they are too many, or partly forgotten."""
    oldest = await connection.fetchval(OLDEST)
    if after > until or (after < until and (oldest is None or after < oldest - 1)):
        return None
    rows = await connection.fetch(BETWEEN, after, until, REPLAYED + 1)
    return None if len(rows) > REPLAYED else [Event.from_row(row) for row in rows]


async def seen_now(connection: asyncpg.Connection, events: Iterable[Event], now: datetime) -> Seen:
    """Who sees the charge points of these events at this moment."""
    named = {event.charge_point_id for event in events if event.charge_point_id is not None}
    return await viewers_of(connection, named, now)
