"""The outbox of webhooks: taking deliveries that are due, and writing down how they went. Sends nothing.

A delivery that is taken has a lease: whoever takes it dies, and another has it again when the lease is over.
"""

import random
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from api.events.audience import Seen, readers
from api.events.catalogue import PING, Event
from api.events.history import COLUMNS, seen_now

LEASE: Final = timedelta(seconds=60)
"""Many times the time-out of a delivery."""
MOST_OF_HOST: Final = 4
"""Deliveries to one host at the same time, of each listener."""
MOST_TAKEN: Final = 32
MOST_UNDER_WAY: Final = 256
"""Of each listener: more than the webhooks of a few users can occupy by not answering."""
FIRST_PAUSE_S: Final = 5.0
LONGEST_PAUSE_S: Final = 2 * 3600.0

TAKE: Final = """
with due as (
    select d.id, row_number() over (partition by w.host order by d.next_at) as place
    from webhooks w cross join lateral (
        select id, next_at from webhook_deliveries
        where webhook_id = w.id and status = 'pending' and next_at <= $1
        order by next_at limit $2 for update skip locked
    ) d
    where w.disabled_at is null and w.host <> all($3::text[])
)
update webhook_deliveries d set next_at = $1::timestamptz + $5::interval, attempts = d.attempts + 1, attempted_at = $1
from webhooks w
where w.id = d.webhook_id and d.id in (select id from due where place <= $2 order by id limit $4)
returning d.id, d.webhook_id, d.event_id, d.attempts, d.give_up_at, w.url, w.host, w.secret, w.user_id
"""
EVENTS: Final = f"select id, {COLUMNS} from events where id = any($1::bigint[])"  # noqa: S608 - our own names
OPERATORS: Final = "select id from users where id = any($1::uuid[]) and role = 'operator' and disabled_at is null"
STANDING: Final = "select id from users where id = any($1::uuid[]) and disabled_at is null"
DELIVERED: Final = """
update webhook_deliveries set status = 'delivered', response_status = $3, error = null
where id = $1 and attempts = $2
"""
RETRY: Final = """
update webhook_deliveries set next_at = $3, response_status = $4, error = $5
where id = $1 and attempts = $2 and status = 'pending'
"""
GIVE_UP: Final = """
update webhook_deliveries set status = 'failed', response_status = $3, error = $4
where id = $1 and attempts = $2 and status = 'pending'
"""
DISABLE: Final = """
update webhooks set disabled_at = $2, disabled_reason = $3 where id = $1 and disabled_at is null
"""
FAIL_REST: Final = """
update webhook_deliveries set status = 'failed', error = 'the webhook was disabled'
where webhook_id = $1 and status = 'pending'
"""
WITHDRAW: Final = """
update webhook_deliveries set status = 'withdrawn', error = 'its owner may not see this any more'
where id = any($1::uuid[])
"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one webhook."""

    id: UUID
    webhook_id: UUID
    attempts: int
    give_up_at: datetime
    url: str
    host: str
    secret: str
    event: Event


async def take_due(connection: asyncpg.Connection, busy_hosts: Collection[str], now: datetime) -> list[Delivery]:
    """Takes deliveries that are due, few for each host; what their owners may not see any more is withdrawn."""
    taken = await connection.fetch(TAKE, now, MOST_OF_HOST, list(busy_hosts), MOST_TAKEN, LEASE)
    if not taken:
        return []
    rows = await connection.fetch(EVENTS, [row["event_id"] for row in taken])
    events = {row["id"]: Event.from_row(dict(row) | {"position": row["position"] or 0}) for row in rows}
    users = [row["user_id"] for row in taken]
    operators = {row["id"] for row in await connection.fetch(OPERATORS, users)}
    standing = {row["id"] for row in await connection.fetch(STANDING, users)}
    seen = await seen_now(connection, events.values(), now)
    withdrawn = [
        row["id"]
        for row in taken
        if row["user_id"] not in operators
        and not (row["user_id"] in standing and _may_read(events[row["event_id"]], row["user_id"], seen))
    ]
    if withdrawn:
        await connection.execute(WITHDRAW, withdrawn)
    fields = ("id", "webhook_id", "attempts", "give_up_at", "url", "host", "secret")
    return [
        Delivery(**{name: row[name] for name in fields}, event=events[row["event_id"]])
        for row in taken
        if row["id"] not in withdrawn
    ]


def _may_read(event: Event, user_id: UUID, seen: Seen) -> bool:
    return event.type == PING or user_id in readers(event, seen)


async def delivered(connection: asyncpg.Connection, delivery: Delivery, status: int) -> None:
    """The receiver accepted it."""
    await connection.execute(DELIVERED, delivery.id, delivery.attempts, status)


async def undelivered(
    connection: asyncpg.Connection, delivery: Delivery, reason: str, status: int | None, now: datetime
) -> None:
    """Tried again later; a webhook that accepted nothing of this event for a day is disabled."""
    next_at = now + timedelta(seconds=pause_s(delivery.attempts, random.uniform(0.5, 1.0)))  # noqa: S311 - spreads load
    if next_at < delivery.give_up_at:
        await connection.execute(RETRY, delivery.id, delivery.attempts, next_at, status, reason)
        return
    given_up = await connection.execute(GIVE_UP, delivery.id, delivery.attempts, status, reason)
    if given_up != "UPDATE 0" and delivery.event.type != PING:
        why = f"An event was not accepted for a day; last: {reason}"
        await connection.execute(DISABLE, delivery.webhook_id, now, why)
        await connection.execute(FAIL_REST, delivery.webhook_id)


def pause_s(attempts: int, jitter: float) -> float:
    """Twice as long after each attempt, up to a longest; `jitter` from 0.5 to 1 spreads what failed together."""
    return jitter * min(FIRST_PAUSE_S * 2.0 ** min(attempts - 1, 20), LONGEST_PAUSE_S)
