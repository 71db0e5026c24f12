"""What stands on accounts of the ledger: the one query for it, for whoever decides about money. Nothing here writes.

A balance is what was credited less what was debited; negative is owed.
"""

from datetime import date
from typing import Final
from uuid import UUID

import asyncpg

BALANCES: Final = """
with base as (
    select coalesce(greatest(
        (select max(day) from balance_snapshots where $2::date is null or day < $2),
        (select max(day) from interim_balances where account_id = $1::uuid and ($2 is null or day < $2))
    ), '-infinity') as day
)
select currency, sum(minor)::bigint as minor from (
    select s.currency, s.balance_minor as minor from balance_snapshots s join base on base.day = s.day
    where s.account_id = $1
    union all
    select i.currency, i.balance_minor from interim_balances i join base on base.day = i.day where i.account_id = $1
    union all
    select t.currency, t.amount_minor from transfers t join base on t.booked_on > base.day
    where t.credit_account_id = $1 and ($2 is null or t.booked_on < $2)
    union all
    select t.currency, -t.amount_minor from transfers t join base on t.booked_on > base.day
    where t.debit_account_id = $1 and ($2 is null or t.booked_on < $2)
) as parts
group by currency order by currency
"""
"""The newest snapshot, which has every account, or a newer day for which this one was kept, and what was booked after.

No day has both: at the end of a month there are snapshots alone.
"""


async def read_balances(connection: asyncpg.Connection, account_id: UUID, before: date | None = None) -> dict[str, int]:
    """By currency, in its order; `before`: of what was booked before that day."""
    return {row["currency"]: row["minor"] for row in await connection.fetch(BALANCES, account_id, before)}
