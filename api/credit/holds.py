"""What a driver has to charge with: balance and credit limit less what is kept for starts; keeping and releasing it.

Whoever decides by what is available locks the driver first. Nothing here commits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from api.accounting.money import format_minor
from api.accounting.tariff import Tariff
from api.credit.balances import read_balances
from api.errors import CreditTooLow

LATE: Final = timedelta(hours=1)
"""A remote start of which nothing was heard for this long begins no session (a Start finds it for 15 minutes)."""

LOCK: Final = "select id from users where id = $1 for no key update"
DRIVERS_ACCOUNT: Final = "select id from ledger_accounts where user_id = $1 and kind = 'driver'"
LIMITS: Final = """
select distinct on (currency) currency, limit_minor from credit_limits where user_id = $1 order by currency, id desc
"""
HELD: Final = """
select currency, sum(amount_minor)::bigint as minor from holds
where user_id = $1 and released_at is null group by currency
"""
PLACE: Final = """
insert into holds (user_id, command_id, currency, amount_minor, placed_at, spendable_minor)
values ($1, $2, $3::varchar, $4, $5, $6 + coalesce((
    select sum(h.amount_minor) from holds h
    join commands c on c.id = h.command_id left join transactions t on t.id = c.transaction_id
    where h.user_id = $1 and h.currency = $3::varchar and h.released_at is null
        and coalesce(t.status, 'active') = 'active'), 0))
"""
"""`spendable_minor`: what is available, and what is kept for sessions that run or begin: those count by their cost."""
RELEASE_SETTLED: Final = """
update holds h set released_at = $2 from commands c
where c.id = h.command_id and c.transaction_id = any($1::bigint[]) and h.released_at is null
"""
RELEASE_ENDED: Final = """
update holds set released_at = $1::timestamptz where id in (
    select h.id from holds h join commands c on c.id = h.command_id left join transactions t on t.id = c.transaction_id
    where h.released_at is null and ($3::uuid is null or h.user_id = $3) and case
        when t.id is null then c.status in ('rejected', 'call_error', 'offline', 'timeout')
            or c.gave_up_at is not null or c.created_at < $1::timestamptz - $2::interval
        else t.status <> 'active' and t.currency is null and cardinality(t.held_reasons) = 0
    end
    order by h.id for update of h skip locked)
"""


@dataclass(frozen=True, slots=True)
class CreditTerms:
    """What a start keeps at most, and the limit of drivers for whom nobody has set one; in minor units."""

    hold_minor: int
    limit_minor: int


@dataclass(frozen=True, slots=True)
class Credit:
    """What a driver has in one currency."""

    balance_minor: int
    limit_minor: int
    held_minor: int

    @property
    def available_minor(self) -> int:
        """What a start may keep; negative where the balance has fallen below the limit."""
        return self.balance_minor + self.limit_minor - self.held_minor


async def lock_driver(connection: asyncpg.Connection, user_id: UUID) -> None:
    """Waits until nobody else decides by this driver's money."""
    await connection.execute(LOCK, user_id)


async def read_credit(connection: asyncpg.Connection, user_id: UUID, default_limit_minor: int) -> dict[str, Credit]:
    """By currency, those in which there is something: transfers, a limit of the driver's own, or holds."""
    held = {row["currency"]: row["minor"] for row in await connection.fetch(HELD, user_id)}
    # only now: a settlement in between takes its hold away and the money too, and must not be seen by half
    account_id = await connection.fetchval(DRIVERS_ACCOUNT, user_id)
    balances = await read_balances(connection, account_id) if account_id is not None else {}
    limits = {row["currency"]: row["limit_minor"] for row in await connection.fetch(LIMITS, user_id)}
    return {
        currency: Credit(balances.get(currency, 0), limits.get(currency, default_limit_minor), held.get(currency, 0))
        for currency in sorted({*balances, *limits, *held})
    }


async def available(connection: asyncpg.Connection, user_id: UUID, currency: str, default_limit_minor: int) -> int:
    """What a driver may still spend in a currency; binding only while the driver is locked."""
    found = await read_credit(connection, user_id, default_limit_minor)
    return found.get(currency, Credit(0, default_limit_minor, 0)).available_minor


async def place_hold(
    connection: asyncpg.Connection,
    user_id: UUID,
    command_id: UUID,
    amount: tuple[int, str],
    *,
    default_limit_minor: int,
    now: datetime,
) -> None:
    """Keeps `amount` (minor units, currency) of the driver's money for the session that a command is to start.

    Raises:
        CreditTooLow: less is available.
    """
    amount_minor, currency = amount
    await lock_driver(connection, user_id)
    await release_ended(connection, now, user_id)
    available_minor = await available(connection, user_id, currency, default_limit_minor)
    if available_minor < amount_minor:
        raise too_low(amount_minor, available_minor, currency)
    await connection.execute(PLACE, user_id, command_id, currency, amount_minor, now, available_minor)


def too_low(needed_minor: int, available_minor: int, currency: str) -> CreditTooLow:
    """The refusal, which says what is missing and how to top up."""
    missing_minor = needed_minor - available_minor
    needed, has, missing = (format_minor(minor, currency) for minor in (needed_minor, available_minor, missing_minor))
    return CreditTooLow(
        f"Charging here needs {needed} {currency}; {has} {currency} are available, {missing} {currency} are missing. "
        "Top up by bank transfer: GET /api/v1/top-up shows how.",
        currency=currency,
        needed_minor=needed_minor,
        available_minor=available_minor,
        missing_minor=missing_minor,
        top_up=f"/api/v1/top-up?amount_minor={missing_minor}",
    )


async def release_settled(connection: asyncpg.Connection, transaction_ids: Sequence[int], now: datetime) -> None:
    """The sessions are in the ledger, so nothing needs to be kept for them."""
    await connection.execute(RELEASE_SETTLED, transaction_ids, now)


async def release_ended(connection: asyncpg.Connection, now: datetime, user_id: UUID | None = None) -> None:
    """What was kept for starts that failed or led to nothing; of one driver or of all."""
    await connection.execute(RELEASE_ENDED, now, LATE, user_id)


async def keep_for_start(
    connection: asyncpg.Connection,
    tariff: Tariff,
    driver_id: UUID,
    command_id: UUID,
    *,
    terms: CreditTerms,
    now: datetime,
) -> None:
    """Keeps what a start by this tariff needs; nothing where charging is free.

    Raises:
        CreditTooLow: less is available.
    """
    amount_minor = hold_for(tariff, terms.hold_minor)
    if amount_minor > 0:
        amount = (amount_minor, tariff.currency)
        await place_hold(connection, driver_id, command_id, amount, default_limit_minor=terms.limit_minor, now=now)


def hold_for(tariff: Tariff, most_minor: int) -> int:
    """What a start by this tariff keeps: `most_minor`, or less where the tariff's maximum is lower. Pure."""
    prices = [component.price_e4 for element in tariff.elements for component in element.components]
    least = tariff.min_price
    if not any(prices) and (least is None or not (least.excl_vat_minor or least.incl_vat_minor)):
        return 0
    cap = None if tariff.max_price is None else tariff.max_price.incl_vat_minor
    return most_minor if cap is None else min(most_minor, cap)
