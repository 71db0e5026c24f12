"""What stands on accounts of the ledger: the one query for it, for whoever decides about money. Nothing here writes.

A balance is what was credited less what was debited; negative is owed.
"""

from datetime import date
from typing import Final
from uuid import UUID

import asyncpg

BALANCES: Final = """
select currency, sum(case when credit_account_id = $1 then amount_minor else -amount_minor end)::bigint as minor
from transfers
where (credit_account_id = $1 or debit_account_id = $1) and ($2::date is null or booked_on < $2)
group by currency order by currency
"""


async def read_balances(connection: asyncpg.Connection, account_id: UUID, before: date | None = None) -> dict[str, int]:
    """By currency, in its order; `before`: of what was booked before that day."""
    return {row["currency"]: row["minor"] for row in await connection.fetch(BALANCES, account_id, before)}
