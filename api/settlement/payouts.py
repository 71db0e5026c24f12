"""Payouts to owners: made from what stands on their accounts, posted once they are paid. Nothing here commits.

One payout of an account and currency is open at a time, by a unique index; making one locks the owner.
"""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from api.accounting.postings import PAYOUT, post_bank
from api.credit.balances import read_balances
from api.errors import Conflict, NotFound
from api.settlement.bank import END_PAYOUT, NAMED_PAYOUT, House, booked_on, lock_bank, tell
from api.settlement.ledger import BANK, BankPosting, add_bank_posting, house_account

OWNERS: Final = """
select a.id, a.user_id, b.iban, b.holder_name
from ledger_accounts a join payout_accounts b on b.user_id = a.user_id
where a.kind = 'owner' and not exists (
    select from payouts p where p.account_id = a.id and p.currency = $1 and p.status = 'open')
order by a.user_id
"""
LOCK_OWNER: Final = "select id from users where id = $1 for no key update"
OWNER: Final = "select user_id from ledger_accounts where id = $1"
ADD: Final = """
insert into payouts (account_id, iban, holder_name, amount_minor, currency, created_by, created_at)
values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing returning id
"""


async def run(connection: asyncpg.Connection, currency: str, least_minor: int, by: UUID, now: datetime) -> list[UUID]:
    """A payout of the whole balance for every owner who has at least `least_minor`, a bank account, and none open."""
    made = []
    for owner in await connection.fetch(OWNERS, currency):
        await connection.execute(LOCK_OWNER, owner["user_id"])
        amount_minor = (await read_balances(connection, owner["id"])).get(currency, 0)
        if amount_minor < max(least_minor, 1):
            continue
        values: tuple[Any, ...] = (owner["id"], owner["iban"], owner["holder_name"], amount_minor, currency, by, now)
        payout_id = await connection.fetchval(ADD, *values)
        made += [payout_id] if payout_id is not None else []
    return made


async def confirm(connection: asyncpg.Connection, payout_id: UUID, house: House, by: UUID, now: datetime) -> None:
    """An operator says that it was paid; a statement that shows it later changes nothing.

    Raises:
        NotFound: there is none.
        Conflict: it has ended, or the balance has fallen below it since it was made.
    """
    payout = await _lock_open(connection, payout_id)
    await connection.execute(LOCK_OWNER, await connection.fetchval(OWNER, payout["account_id"]))
    balance_minor = (await read_balances(connection, payout["account_id"])).get(payout["currency"], 0)
    if balance_minor < payout["amount_minor"]:
        raise Conflict("The balance has fallen below this payout since it was made: cancel it and make another.")
    due = post_bank(
        -payout["amount_minor"],
        payout["currency"],
        str(payout["account_id"]),
        str(await house_account(connection, BANK)),
        PAYOUT,
    )
    posting = BankPosting(None, 0, PAYOUT, payout["account_id"], payout_id, "", by)
    await add_bank_posting(connection, posting, [due], booked_on(house, now))
    await connection.execute(END_PAYOUT, payout_id, "paid", now, by)
    await tell(connection, PAYOUT, payout["account_id"], (payout["amount_minor"], payout["currency"]), now)


async def cancel(connection: asyncpg.Connection, payout_id: UUID, by: UUID, now: datetime) -> None:
    """It is not paid, and the money stays where it is.

    Raises:
        NotFound: there is none.
        Conflict: it has ended.
    """
    await _lock_open(connection, payout_id)
    await connection.execute(END_PAYOUT, payout_id, "cancelled", now, by)


async def _lock_open(connection: asyncpg.Connection, payout_id: UUID) -> asyncpg.Record:
    await lock_bank(connection)
    payout = await connection.fetchrow(NAMED_PAYOUT, payout_id)
    if payout is None:
        raise NotFound
    if payout["status"] != "open":
        raise Conflict(f"This payout is {payout['status']} already.")
    return payout
