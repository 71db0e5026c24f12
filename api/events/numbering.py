"""Numbers events in the order in which readers will see them, addresses them to webhooks and mails, forgets old ones.

Rows become visible in the order of their commits, not of their ids: only a number given afterwards, by one at a time,
lets a reader say "after this one" and miss nothing.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg

from api.events.audience import Filter, Seen, readers
from api.events.catalogue import PING, Event
from api.events.history import seen_now
from api.events.mails import post_mails

BATCH: Final = 500
KEPT: Final = timedelta(days=7)
MOST_FORGOTTEN: Final = 5000
GIVE_UP_AFTER: Final = timedelta(days=1)
"""How long a delivery is tried."""

LOCK: Final = "select pg_try_advisory_xact_lock(hashtextextended('number events', 0))"
ANY_DUE: Final = "select exists (select from events where position is null)"
DUE: Final = """
select id, public_id, 0 as position, type, at, charge_point_id, person_id, audience, data::text as data
from events where position is null order by id limit $1
"""
NUMBER: Final = """
update events e set position = given.position
from unnest($1::bigint[], $2::bigint[]) as given (id, position) where e.id = given.id
"""
DRAW: Final = "select nextval('event_positions') from generate_series(1, $1::integer)"
WEBHOOKS: Final = """
select w.id, w.user_id, w.types, w.charge_point_ids, u.role = 'operator' as is_operator
from webhooks w join users u on u.id = w.user_id
where w.disabled_at is null and u.disabled_at is null and (w.user_id = any($1::uuid[]) or u.role = 'operator')
"""
ENQUEUE: Final = """
insert into webhook_deliveries (webhook_id, event_id, next_at, give_up_at)
select d.webhook_id, d.event_id, $3::timestamptz, $3::timestamptz + $4::interval
from unnest($1::uuid[], $2::bigint[]) as d (webhook_id, event_id) on conflict do nothing
"""
FORGET: Final = """
delete from events where id in (
    select id from events where created_at < $1 and position is not null order by id limit $2)
"""


async def is_any_due(connection: asyncpg.Connection) -> bool:
    """Whether an event waits for its number."""
    return bool(await connection.fetchval(ANY_DUE))


async def number_next(connection: asyncpg.Connection, now: datetime) -> int:
    """Numbers the next events and addresses them; how many. 0 too while another listener is at it."""
    if not await connection.fetchval(LOCK):
        return 0
    rows = await connection.fetch(DUE, BATCH)
    if not rows:
        return 0
    positions = [row[0] for row in await connection.fetch(DRAW, len(rows))]
    await connection.execute(NUMBER, [row["id"] for row in rows], sorted(positions))
    events = [(row["id"], Event.from_row(row)) for row in rows if row["type"] != PING]
    seen = await seen_now(connection, [event for _, event in events], now)
    await _address(connection, events, seen, now)
    await post_mails(connection, [event for _, event in events], seen, now)
    return len(rows)


async def _address(connection: asyncpg.Connection, events: list[tuple[int, Event]], seen: Seen, now: datetime) -> None:
    by_event = [(event_id, event, readers(event, seen)) for event_id, event in events]
    concerned = {user for _, _, users in by_event for user in users}
    webhooks = await connection.fetch(WEBHOOKS, list(concerned))
    pairs = [
        (webhook["id"], event_id)
        for webhook in webhooks
        for event_id, event, users in by_event
        if (webhook["is_operator"] or webhook["user_id"] in users)
        and wanted(webhook).takes(event.type, event.charge_point_id)
    ]
    if pairs:
        webhook_ids, event_ids = zip(*pairs, strict=True)
        await connection.execute(ENQUEUE, webhook_ids, event_ids, now, GIVE_UP_AFTER)


def wanted(webhook: Mapping[str, Any]) -> Filter:
    """What the owner of a webhook asked for."""
    return Filter(frozenset(webhook["types"]), frozenset(webhook["charge_point_ids"]))


async def forget_old(connection: asyncpg.Connection, now: datetime) -> bool:
    """Removes a bounded number of events whose time is over, with their deliveries; whether there may be more."""
    removed: str = await connection.execute(FORGET, now - KEPT, MOST_FORGOTTEN)
    return removed == f"DELETE {MOST_FORGOTTEN}"
