"""Closing a month: what stands on every account at its end, once. No transfer is booked on a closed day any more."""

from datetime import UTC, date, datetime, timedelta
from typing import Final

import asyncpg

OPEN_FOR: Final = timedelta(days=2)
"""How long after its end a month stays open: until its last day is over in every time zone, and then some."""
TAKE: Final = """
with base as (select coalesce(max(day), '-infinity'::date) as day from balance_snapshots where day < $1)
insert into balance_snapshots (day, account_id, currency, balance_minor)
select $1, account_id, currency, sum(minor) from (
    select s.account_id, s.currency, s.balance_minor as minor from balance_snapshots s join base on base.day = s.day
    union all
    select t.credit_account_id, t.currency, t.amount_minor from transfers t join base on t.booked_on > base.day
    where t.booked_on <= $1
    union all
    select t.debit_account_id, t.currency, -t.amount_minor from transfers t join base on t.booked_on > base.day
    where t.booked_on <= $1
) as parts
where not exists (select from balance_snapshots where day = $1)
group by account_id, currency
on conflict do nothing
"""


def last_closed(now: datetime) -> date:
    """The last day of the newest month that may be closed. Pure."""
    return (now.astimezone(UTC).date() - OPEN_FOR).replace(day=1) - timedelta(days=1)


async def take_snapshots(connection: asyncpg.Connection, now: datetime) -> None:
    """Closes the newest month that may be closed, where that has not been done."""
    await connection.execute(TAKE, last_closed(now))
