"""Closing a month: what stands on every account at its end, and what came in and went out, once.

No transfer is booked on a closed day any more.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Final

import asyncpg

OPEN_FOR: Final = timedelta(days=2)
"""How long after its end a month stays open: until its last day is over in every time zone, and then some."""
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


def last_closed(now: datetime) -> date:
    """The last day of the newest month that may be closed. Pure."""
    return (now.astimezone(UTC).date() - OPEN_FOR).replace(day=1) - timedelta(days=1)


async def take_snapshots(connection: asyncpg.Connection, now: datetime) -> None:
    """Closes the newest month that may be closed, where that has not been done."""
    await connection.execute(TAKE, last_closed(now))
