"""Running sessions against what they may reach, by the clock: who has reached it is noted, told and stopped, once.

What counts is committed: registers, and the cost so far. So a session goes over its limit by what flows between two
samples and until the charge point obeys.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg

from api.charge_points.background import CONNECTED
from api.transactions.cost import cost_so_far
from api.transactions.limits import Limits, Reached, Taken, reached

RECHECK: Final = timedelta(seconds=15)
"""A session without a new sample is looked at again after this: time costs too, and a clock may be wrong."""
CLOCK_DIFFERENCE: Final = timedelta(minutes=10)
DEADLINE: Final = timedelta(seconds=60)
ASK_AGAIN: Final = timedelta(seconds=10)
BATCH: Final = 20
"""Sessions that one database transaction looks at: their rows are locked, and a Stop waits for that."""

DUE: Final = f"""
select t.id, t.currency, t.limit_energy_wh, t.limit_amount_minor, t.limit_credit_minor
from transactions t
where t.status = 'active' and num_nonnulls(t.limit_energy_wh, t.limit_amount_minor, t.limit_credit_minor) > 0
    and t.limit_reached is null and (t.limit_checked_at is null or t.limit_checked_at < $1::timestamptz - $2::interval
        or exists (
            select 1 from meter_values v
            where v.transaction_id = t.id and v.sampled_at > t.limit_checked_at - $3::interval
                and v.received_at > t.limit_checked_at))
order by t.limit_checked_at nulls first, t.id limit {BATCH} for update of t skip locked
"""  # noqa: S608 - our own names
COUNTED: Final = """
select x.id, x.status = 'active' as is_running, x.currency = t.currency as has_currency, x.total_minor,
    coalesce(x.energy_wh, greatest(0, (
        select v.energy_wh from meter_values v where v.transaction_id = x.id and v.energy_wh is not null
        order by v.sampled_at desc limit 1) - x.meter_start_wh), 0) as energy_wh,
    exists (
        select 1 from grants g join grants s on s.series_id = g.series_id
        where g.id = t.grant_id and s.id = x.grant_id and (g.cap_period <> 'month'
            or date_trunc('month', x.started_at at time zone p.time_zone)
            = date_trunc('month', t.started_at at time zone p.time_zone))) as has_grant
from transactions t
join charge_points p on p.id = t.charge_point_id
join transactions x on x.driver_id = t.driver_id and x.owner_id <> x.driver_id
    and (x.status = 'active' or x.stop_received_at > t.start_received_at)
where t.id = $1
"""
"""The session itself, and those of its driver that ran at any time since its start."""
REACHED: Final = "update transactions set limit_reached = $2, limit_reached_at = $3 where id = $1"
CHECKED: Final = "update transactions set limit_checked_at = $2 where id = any($1::bigint[])"
STOP: Final = f"""
with due as (
    update transactions t set limit_stop_at = $1 from charge_points c
    where c.id = t.charge_point_id and {CONNECTED} and t.id in (
        select t.id from transactions t
        where t.status = 'active' and num_nonnulls(t.limit_energy_wh, t.limit_amount_minor, t.limit_credit_minor) > 0
            and t.limit_reached is not null and (t.limit_stop_at is null
                or t.limit_stop_at < $1::timestamptz - $2::interval and not exists (
                    select 1 from commands k
                    where k.charge_point_id = t.charge_point_id and k.created_at >= t.limit_stop_at
                        and k.transaction_id = t.id and k.action = 'RemoteStopTransaction'
                        and k.status not in ('offline', 'timeout', 'unknown')))
        order by t.id for update skip locked)
    returning t.id, t.charge_point_id, t.ocpp_transaction_id, t.public_id, t.limit_reached, c.connection_epoch
), asked as (
    insert into commands (charge_point_id, action, payload, epoch, deadline_at, created_at, note, transaction_id)
    select charge_point_id, 'RemoteStopTransaction', jsonb_build_object('transactionId', ocpp_transaction_id),
        connection_epoch, $1::timestamptz + $3::interval, $1, 'asked by Voltuj: ' || limit_reached, id
    from due)
select charge_point_id, public_id, limit_reached from due
"""  # noqa: S608 - our own names
"""Asked again where the charge point did not get it, or may not have: a second RemoteStop of a session does nothing."""


async def note_reached(connection: asyncpg.Connection, now: datetime) -> bool:
    """Looks at a batch of the sessions that are due; whether there may be more."""
    sessions = await connection.fetch(DUE, now, RECHECK, CLOCK_DIFFERENCE)
    for session in sessions:
        code = await _reached(connection, session, now)
        if code is not None:
            await connection.execute(REACHED, session["id"], code, now)
    if sessions:
        await connection.execute(CHECKED, [session["id"] for session in sessions], now)
    return len(sessions) == BATCH


async def ask_to_stop(connection: asyncpg.Connection, now: datetime) -> list[asyncpg.Record]:
    """Commands for the sessions that reached a limit and whose charge point is connected; the sweeper sends them."""
    rows: list[asyncpg.Record] = await connection.fetch(STOP, now, ASK_AGAIN, DEADLINE)
    return rows


async def _reached(connection: asyncpg.Connection, session: Mapping[str, Any], now: datetime) -> Reached | None:
    limits = Limits(session["limit_energy_wh"], session["limit_amount_minor"], session["limit_credit_minor"])
    counted = await connection.fetch(COUNTED, session["id"])
    energy_wh = sum(each["energy_wh"] for each in counted if each["has_grant"])
    amount_minor = credit_minor = 0
    if limits.amount_minor is not None or limits.credit_minor is not None:
        for each in counted:
            cost_minor = await _cost_minor(connection, each, now) if each["has_currency"] else 0
            amount_minor += cost_minor if each["has_grant"] else 0
            credit_minor += cost_minor
    return reached(limits, Taken(energy_wh, amount_minor, credit_minor))


async def _cost_minor(connection: asyncpg.Connection, session: Mapping[str, Any], now: datetime) -> int:
    if not session["is_running"]:
        return session["total_minor"] or 0
    rated = await cost_so_far(connection, session["id"], now)
    return rated[0].total_minor if rated is not None else 0
