"""A remote start that was accepted and led to nothing (errata 3.32): the attempt ends, and the command says so."""

from datetime import datetime, timedelta
from typing import Final

import asyncpg

GIVE_UP: Final = """
update commands c set gave_up_at = $2, note = concat_ws('; ', c.note, format(
    'No session began within %s s: no cable was plugged in, or the charge point gave up.', late.seconds))
from (
    select c.id, t.seconds from commands c
    left join configuration_keys k on k.charge_point_id = c.charge_point_id and k.name = 'connectiontimeout'
        and k.value ~ '^[1-9][0-9]{0,4}$'
    cross join lateral (
        select coalesce(k.value::integer, extract(epoch from $1::interval)::integer) as seconds) t
    where c.action = 'RemoteStartTransaction' and c.status = 'accepted' and c.transaction_id is null
        and c.gave_up_at is null and c.finished_at + make_interval(secs => t.seconds) < $2::timestamptz
    limit 200 for update of c skip locked
) as late
where c.id = late.id
returning c.id, c.charge_point_id
"""
"""The charge point's own ConnectionTimeOut (9.1.4) where it was read, else the setting."""


async def give_up(connection: asyncpg.Connection, time_out: timedelta, now: datetime) -> list[asyncpg.Record]:
    """Ends the attempts whose time is over; a transaction that begins later all the same still finds its command."""
    rows: list[asyncpg.Record] = await connection.fetch(GIVE_UP, time_out, now)
    return rows
