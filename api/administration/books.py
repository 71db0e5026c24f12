"""Do the books add up: transactions against their stops, registers and records; the ledger in itself. Changes nothing.

A difference is a bug or a hand in the database; a session that is held for a person is not one.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import asyncpg
import orjson

PAGE: Final = 500
TRANSACTIONS: Final = """
select t.id, t.public_id, t.status, t.meter_start_wh, t.meter_stop_wh, t.energy_wh, t.total_minor, t.currency,
    t.held_reasons, t.charge_detail_record, s.meter_stop_wh as applied_stop_wh, coalesce(s.number, 0) as applied_stops
from transactions t left join lateral (
    select count(*) as number, min(meter_stop_wh) as meter_stop_wh from transaction_stops
    where transaction_id = t.id and applied
) s on true
order by t.id
"""

LEDGER: Final = {
    "balances of {} add up to {} instead of 0": """
        select currency, sum(case when a.id = t.credit_account_id then amount_minor else -amount_minor end)::text
        from transfers t join ledger_accounts a on a.id in (t.debit_account_id, t.credit_account_id)
        group by currency having sum(case when a.id = t.credit_account_id then amount_minor else -amount_minor end) <> 0
    """,
    "bank movement {} of {} moved {} in the ledger": """
        select m.id, m.amount_minor,
            coalesce(sum(case when a.kind = 'bank' then t.amount_minor else -t.amount_minor end), 0)::text
        from bank_movements m
        join lateral (
            select decision from bank_postings where movement_id = m.id order by revision desc limit 1
        ) as newest on true
        left join bank_postings b on b.movement_id = m.id
        left join transfers t on t.bank_posting_id = b.id
        left join ledger_accounts a on a.id = t.debit_account_id and a.kind = 'bank'
        group by m.id, m.amount_minor, newest.decision
        having coalesce(sum(case when a.kind = 'bank' then t.amount_minor else -t.amount_minor end), 0)
            <> case when newest.decision in ('top_up', 'payout', 'refund') then m.amount_minor else 0 end
    """,
    "on {} the snapshot of account {} says {} {}, its transfers {}": """
        select s.day, s.account_id, s.balance_minor, s.currency, coalesce(sum(
            case when t.credit_account_id = s.account_id then t.amount_minor else -t.amount_minor end), 0)::text
        from balance_snapshots s left join transfers t
            on s.account_id in (t.debit_account_id, t.credit_account_id) and t.currency = s.currency
            and t.booked_on <= s.day
        group by s.day, s.account_id, s.currency, s.balance_minor
        having coalesce(sum(
            case when t.credit_account_id = s.account_id then t.amount_minor else -t.amount_minor end), 0)
            <> s.balance_minor
    """,
    "to {} the snapshot of account {} says credited {}, debited {} {}, its transfers {} and {}": """
        with closed as (select day, coalesce(lag(day) over (order by day), '-infinity'::date) as opened
            from (select distinct day from balance_snapshots) as days)
        select s.day, s.account_id, s.credited_minor, s.debited_minor, s.currency, t.credited::text, t.debited::text
        from balance_snapshots s join closed using (day) cross join lateral (
            select coalesce(sum(amount_minor) filter (where credit_account_id = s.account_id), 0) as credited,
                coalesce(sum(amount_minor) filter (where debit_account_id = s.account_id), 0) as debited
            from transfers where s.account_id in (debit_account_id, credit_account_id) and currency = s.currency
                and booked_on > opened and booked_on <= s.day
        ) as t
        where s.credited_minor <> t.credited or s.debited_minor <> t.debited
    """,
    "on {} account {} is kept with {} {}, credited {}, debited {}, its transfers come to {}, {} and {}": """
        with kept as (select distinct account_id, day from interim_balances), moved as (
            select account_id, currency, booked_on as day, sum(credited) as credited, sum(debited) as debited from (
                select credit_account_id as account_id, currency, booked_on, amount_minor as credited, 0 as debited
                from transfers where credit_account_id in (select account_id from kept)
                union all
                select debit_account_id, currency, booked_on, 0, amount_minor
                from transfers where debit_account_id in (select account_id from kept)
            ) as sides group by account_id, currency, booked_on
        ), days as (
            select account_id, currency, day, credited, debited, false as is_kept from moved
            union all
            select account_id, currency, day, 0, 0, true from kept
            join (select account_id, currency from moved union select account_id, currency from interim_balances)
                as currencies using (account_id)
        ), sums as (
            select account_id, currency, day, is_kept, sum(credited - debited) over total as balance,
                sum(credited) over month as credited, sum(debited) over month as debited
            from days window total as (partition by account_id, currency order by day),
                month as (partition by account_id, currency, date_trunc('month', day) order by day)
        )
        select day, account_id, coalesce(i.balance_minor, 0), currency, coalesce(i.credited_minor, 0),
            coalesce(i.debited_minor, 0), balance::text, credited::text, debited::text
        from sums left join interim_balances i using (account_id, currency, day)
        where is_kept and (coalesce(i.balance_minor, 0), coalesce(i.credited_minor, 0), coalesce(i.debited_minor, 0))
            <> (balance, credited, debited)
        order by day, account_id, currency
    """,
    "booking {} has {} settled as its no-show fee, its transfers come to {}": """
        select b.id, b.settled_minor,
            coalesce(sum(case when t.is_reversal then -t.amount_minor else t.amount_minor end), 0)::text
        from bookings b
        left join no_show_postings n on n.booking_id = b.id
        left join transfers t on t.no_show_posting_id = n.id
        group by b.id, b.settled_minor
        having coalesce(sum(case when t.is_reversal then -t.amount_minor else t.amount_minor end), 0) <> b.settled_minor
    """,
    "payout {} is {}, and its transfers come to {}": """
        select p.id, p.status, coalesce(sum(t.amount_minor), 0)::text
        from payouts p
        left join bank_postings b on b.payout_id = p.id
        left join transfers t on t.bank_posting_id = b.id and t.kind = 'payout'
        group by p.id, p.status, p.amount_minor
        having coalesce(sum(t.amount_minor), 0) <> case when p.status = 'paid' then p.amount_minor else 0 end
    """,
}
"""Sentences with the queries whose rows fill them; a ledger that adds up gives none."""


async def check_ledger(connection: asyncpg.Connection) -> list[str]:
    """What does not add up in the ledger, a sentence each, all as of one moment.

    Raises:
        asyncpg.PostgresError, OSError: the database refuses or is away.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return [
            sentence.format(*row.values())
            for sentence, query in LEDGER.items()
            for row in await connection.fetch(query)
        ]


async def check_books(connection: asyncpg.Connection) -> AsyncIterator[tuple[str, list[str]]]:
    """(public id, differences) of every transaction, all as of one moment.

    Raises:
        asyncpg.PostgresError, OSError: the database refuses or is away.
    """
    await connection.set_type_codec("jsonb", encoder=orjson.dumps, decoder=orjson.loads, schema="pg_catalog")
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        async for row in connection.cursor(TRANSACTIONS, prefetch=PAGE):
            yield str(row["public_id"]), differences(row)


def differences(row: Mapping[str, Any]) -> list[str]:
    """What does not add up in one row of `TRANSACTIONS`, a sentence each. Pure."""
    found = [f"{name} is negative: {row[name]}" for name in ("energy_wh", "total_minor") if (row[name] or 0) < 0]
    if row["status"] == "stopped":
        found += _of_a_stopped(row)
    if (row["charge_detail_record"] is None) != (row["total_minor"] is None):
        found.append("of charge detail record and total_minor one is there and the other is not")
    elif row["charge_detail_record"] is not None:
        found += _of_a_rated(row, row["charge_detail_record"])
    return found


def _of_a_stopped(row: Mapping[str, Any]) -> list[str]:
    if row["applied_stops"] != 1:
        return [f"stopped, with {row['applied_stops']} applied stops"]
    found = []
    if row["meter_stop_wh"] != row["applied_stop_wh"]:
        found.append(f"meter_stop_wh is {row['meter_stop_wh']}, its stop says {row['applied_stop_wh']}")
    energy_wh = (row["meter_stop_wh"] or 0) - row["meter_start_wh"]
    if energy_wh >= 0 and row["energy_wh"] != energy_wh:
        found.append(f"energy_wh is {row['energy_wh']}, the registers say {energy_wh}")
    if energy_wh < 0 and not row["held_reasons"]:
        found.append("the register went backwards, and nobody holds the session")
    return found


def _of_a_rated(row: Mapping[str, Any], record: Mapping[str, Any]) -> list[str]:
    found = [
        f"{name} is {row[name]}, its charge detail record says {record.get(name)}"
        for name in ("meter_start_wh", "meter_stop_wh", "energy_wh", "total_minor", "currency")
        if row[name] != record.get(name)
    ]
    lines = sum(line["amount_minor"] for line in record.get("lines", []))
    if lines != row["total_minor"]:
        found.append(f"total_minor is {row['total_minor']}, the lines add up to {lines}")
    return found
