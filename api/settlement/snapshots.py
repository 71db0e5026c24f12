"""Closing months and days: what stands on accounts at their end, and what came in and went out, once.

No transfer is booked on a closed day any more. A month is kept of every account, a day of those with much to add up.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Final

import asyncpg

OPEN_FOR: Final = timedelta(days=2)
"""How long a day stays open after its end: until it is over in every time zone, and then some. A day at least: what is
booked on yesterday passes the trigger on transfers without the lock."""
MOST_S: Final = 1800.0
"""How long a closing may take, and another wait for it: the first one adds up all that ever was, a month's the
transfers of everybody."""
MUCH: Final = 100
"""Transfers of an account on newly closed days from which on it is kept; with fewer each day some 3,000 are added
up for a month at most, in half a millisecond."""
LOCK: Final = "select pg_advisory_xact_lock(hashtextextended('close the books', 0))"
"""Whoever books late shares it, by the trigger on transfers: what they book is seen here, or what is closed there."""
TAKE: Final = """
with base as (select coalesce(max(day), '-infinity'::date) as day from balance_snapshots where day < $1),
sides as (
    select s.account_id, s.currency, s.balance_minor as opening, 0::bigint as credited, 0::bigint as debited
    from balance_snapshots s join base on base.day = s.day
    union all
    select t.credit_account_id, t.currency, 0, t.amount_minor, 0
    from transfers t join base on t.booked_on > base.day where t.booked_on <= $1
    union all
    select t.debit_account_id, t.currency, 0, 0, t.amount_minor
    from transfers t join base on t.booked_on > base.day where t.booked_on <= $1
)
insert into balance_snapshots (day, account_id, currency, balance_minor, credited_minor, debited_minor)
select $1, account_id, currency, sum(opening + credited - debited), sum(credited), sum(debited)
from sides where not exists (select from balance_snapshots where day = $1)
group by account_id, currency
on conflict do nothing
"""
"""Credited and debited is what was booked since the snapshot before; it is null where an older release closed."""
CLOSE: Final = """
with closed as (
    select coalesce(greatest((select max(day) from closed_days), (select max(day) from balance_snapshots)), '-infinity')
        as day
)
insert into closed_days (day) select $1::date from closed where $1 > day
returning greatest((select day from closed), $2::date - 1)
"""
"""Gives the last day of this month that was closed before, or the one before the month."""
KEEP: Final = """
with busy as (
    select account_id, (select max(day) from balance_snapshots where day < $4::date) as opened,
        (select max(day) from interim_balances i where i.account_id = sides.account_id and day >= $4) as kept
    from (select credit_account_id as account_id from transfers where booked_on > $2::date and booked_on <= $1::date
        union all select debit_account_id from transfers where booked_on > $2 and booked_on <= $1) as sides
    group by account_id having count(*) >= $3
), parts as (
    select i.account_id, i.currency, i.balance_minor, i.credited_minor, i.debited_minor
    from busy b join interim_balances i on i.account_id = b.account_id and i.day = b.kept
    union all
    select s.account_id, s.currency, s.balance_minor, 0, 0
    from busy b join balance_snapshots s on s.account_id = b.account_id and s.day = b.opened where b.kept is null
    union all
    select b.account_id, t.currency, t.amount_minor,
        case when t.booked_on >= $4 then t.amount_minor else 0 end, 0
    from busy b join transfers t on t.credit_account_id = b.account_id
        and t.booked_on > coalesce(b.kept, b.opened, '-infinity') and t.booked_on <= $1
    union all
    select b.account_id, t.currency, -t.amount_minor, 0,
        case when t.booked_on >= $4 then t.amount_minor else 0 end
    from busy b join transfers t on t.debit_account_id = b.account_id
        and t.booked_on > coalesce(b.kept, b.opened, '-infinity') and t.booked_on <= $1
)
insert into interim_balances (account_id, day, currency, balance_minor, credited_minor, debited_minor)
select account_id, $1, currency, sum(balance_minor), sum(credited_minor), sum(debited_minor)
from parts group by account_id, currency
"""
"""Each account goes on from where it was kept last in this month, or from the month before."""


def last_closed(now: datetime) -> date:
    """The last day of the newest month that may be closed. Pure."""
    return (now.astimezone(UTC).date() - OPEN_FOR).replace(day=1) - timedelta(days=1)


def last_over(now: datetime) -> date:
    """The newest day that may be closed. Pure."""
    return now.astimezone(UTC).date() - OPEN_FOR - timedelta(days=1)


async def close_what_is_over(connection: asyncpg.Connection, now: datetime) -> None:
    """Closes the newest month and all days that may be closed."""
    await take_snapshots(connection, now)
    await close_days(connection, now)


async def take_snapshots(connection: asyncpg.Connection, now: datetime) -> None:
    """Closes the newest month that may be closed, where that has not been done."""
    async with connection.transaction():
        await connection.execute(LOCK, timeout=MOST_S)
        await connection.execute(TAKE, last_closed(now), timeout=MOST_S)


async def close_days(connection: asyncpg.Connection, now: datetime) -> None:
    """Closes all days up to the newest that may be closed, where that has not been done; after the month before."""
    async with connection.transaction():
        await connection.execute(LOCK, timeout=MOST_S)
        day = last_over(now)
        begins = day.replace(day=1)
        since = await connection.fetchval(CLOSE, day, begins)
        if since is not None:
            await connection.execute(KEEP, day, since, MUCH, begins, timeout=MOST_S)
