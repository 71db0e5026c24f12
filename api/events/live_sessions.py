"""Running sessions as they are now: energy, power, duration, cost, for one reader or for everybody who is listening.

A reader gets what PostgreSQL has; the stream gets the live state in Redis, which may lag, vanish and come back.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson
from redis.asyncio import Redis
from sqlalchemy import Column, Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from api.charge_points.live import LiveConnector, read_live_of
from api.database import raw
from api.events.catalogue import UPDATED, envelope, server_sent
from api.schema import meter_values
from api.transactions.cost import cost_so_far
from wire.channels import Channels

MOST_COSTS: Final = 200
"""Sessions whose cost one process reads in a second."""
RUNNING: Final = """
select t.id, t.public_id, t.charge_point_id, t.connector_id, t.driver_id, t.started_at, t.meter_start_wh, t.currency,
    c.owner_id
from transactions t join charge_points c on c.id = t.charge_point_id
where t.status = 'active' and c.deleted_at is null and t.charge_point_id = any($1::uuid[])
"""


@dataclass(frozen=True, slots=True)
class LiveSession:
    """What a session shows at one moment; its last readings where it has ended."""

    energy_wh: int | None
    power_w: int | None
    duration_s: int
    read_at: datetime | None
    cost_minor: int | None


async def read_live_session(connection: AsyncConnection, transaction: Row[Any], now: datetime) -> LiveSession:
    """Of a row of `transactions`."""
    register = await _last_reading(connection, transaction, meter_values.c.energy_wh)
    power = await _last_reading(connection, transaction, meter_values.c.power_w)
    is_running = transaction.status == "active"
    charged = charged_wh(transaction.meter_start_wh, register.value if register else None)
    times = [row.sampled_at for row in (register, power) if row is not None]
    return LiveSession(
        energy_wh=charged if is_running or transaction.energy_wh is None else transaction.energy_wh,
        power_w=power.value if power is not None and is_running else None,
        duration_s=duration_s(
            transaction.started_at, now if is_running else transaction.stopped_at or max(times, default=now)
        ),
        read_at=max(times, default=None),
        cost_minor=await _cost_minor(await raw(connection), transaction.id, now)
        if is_running
        else transaction.total_minor,
    )


async def _cost_minor(connection: asyncpg.Connection, transaction_id: int, now: datetime) -> int | None:
    rated = await cost_so_far(connection, transaction_id, now)
    return None if rated is None else rated[0].total_minor


async def _last_reading(connection: AsyncConnection, transaction: Row[Any], column: Column[Any]) -> Row[Any] | None:
    table = meter_values
    query: Select[Any] = select(column.label("value"), table.c.sampled_at).where(
        table.c.transaction_id == transaction.id, column.is_not(None)
    )
    newest = query.order_by(table.c.sampled_at.desc()).limit(1)
    row: Row[Any] | None = (await connection.execute(newest)).one_or_none()
    return row


@dataclass(frozen=True, slots=True)
class Update:
    """What one running session shows now, and who may read it, operators aside."""

    transaction_id: UUID
    charge_point_id: UUID
    readers: frozenset[UUID]
    data: bytes

    def chunk(self, now: datetime, version: int) -> bytes:
        """As a server-sent event."""
        body = envelope(UPDATED, self.data, version, event_id=None, at=now, charge_point_id=self.charge_point_id)
        return server_sent(UPDATED, body)


async def running_sessions(
    connection: asyncpg.Connection, charge_point_ids: Collection[UUID]
) -> list[Mapping[str, Any]]:
    """The running sessions at these charge points."""
    rows: list[Mapping[str, Any]] = await connection.fetch(RUNNING, list(charge_point_ids))
    return rows


async def read_costs(
    connection: asyncpg.Connection, sessions: Iterable[Mapping[str, Any]], now: datetime
) -> dict[UUID, int]:
    """What these sessions have cost so far, by public id; those without a price, or too many at once, are left out."""
    costs: dict[UUID, int] = {}
    for session in islice((each for each in sessions if each["currency"] is not None), MOST_COSTS):
        cost_minor = await _cost_minor(connection, session["id"], now)
        if cost_minor is not None:
            costs[session["public_id"]] = cost_minor
    return costs


async def read_updates(
    redis: Redis,
    channels: Channels,
    sessions: Collection[Mapping[str, Any]],
    costs: Mapping[UUID, int],
    now: datetime,
) -> list[Update]:
    """What the live state says of these sessions; those of which it knows nothing are left out.

    Raises:
        redis.RedisError: Redis is down.
    """
    ids = sorted({str(session["charge_point_id"]) for session in sessions})
    live = dict(zip(ids, await read_live_of(redis, channels, ids), strict=True))
    updates = []
    for session in sessions:
        connector = live[str(session["charge_point_id"])].connectors.get(session["connector_id"])
        if connector is not None and (connector.energy_wh is not None or connector.power_w is not None):
            updates.append(_update(session, connector, costs.get(session["public_id"]), now))
    return updates


def readers_of(session: Mapping[str, Any]) -> frozenset[UUID]:
    """Who may read what a session shows, operators aside."""
    return frozenset(each for each in (session["owner_id"], session["driver_id"]) if each is not None)


def _update(session: Mapping[str, Any], connector: LiveConnector, cost_minor: int | None, now: datetime) -> Update:
    data = {
        "transaction_id": str(session["public_id"]),
        "connector_id": session["connector_id"],
        "energy_wh": charged_wh(session["meter_start_wh"], connector.energy_wh),
        "power_w": connector.power_w,
        "duration_s": duration_s(session["started_at"], now),
        "currency": session["currency"],
        "cost_minor": cost_minor,
    }
    return Update(session["public_id"], session["charge_point_id"], readers_of(session), orjson.dumps(data))


def charged_wh(meter_start_wh: int, register_wh: int | None) -> int | None:
    """What the register has moved since the start; None where it was not read since."""
    return None if register_wh is None or register_wh < meter_start_wh else register_wh - meter_start_wh


def duration_s(started_at: datetime, until: datetime) -> int:
    """Whole seconds; a start in the future, by a charge point's clock, is 0."""
    return max(0, int((until - started_at).total_seconds()))
