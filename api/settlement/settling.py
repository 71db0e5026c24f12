"""Settling one finished session: from its charge detail record to a revision in the ledger. Nothing here commits.

The caller holds the row of the transaction; a unique constraint on (transaction, revision) backs that up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Self
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import orjson
import structlog

from api.accounting.postings import Accounts, Terms, Transfer, correct, post
from api.credit.holds import release_settled
from api.settlement.ledger import (
    PLATFORM,
    Parties,
    Revision,
    add_revisions,
    house_account,
    latest_revision,
    open_parties,
    posted_transfers,
)
from api.transactions.held import NOT_BILLABLE, with_reasons
from api.transactions.start import HOLD

log = structlog.get_logger(__name__)

COLUMNS: Final = """
t.id, t.public_id, t.status, t.driver_id, t.started_at, t.stopped_at, t.meter_start_wh, t.meter_stop_wh,
    t.held_reasons, t.currency, t.total_minor, t.settled_at, t.tariff::text as tariff,
    t.charge_detail_record::text as charge_detail_record, t.owner_id, c.time_zone
"""
SESSION: Final = f"select {COLUMNS} from transactions t join charge_points c on c.id = t.charge_point_id"  # noqa: S608
IS_DUE: Final = """
t.status = 'stopped' and t.settled_at is null and t.total_minor is not null and cardinality(t.held_reasons) = 0
"""
IS_PLAIN: Final = """
not exists (select from settlements s where s.transaction_id = t.id)
    and exists (select from ledger_accounts o where o.user_id = t.owner_id and o.kind = 'owner')
    and exists (select from ledger_accounts d where d.user_id = t.driver_id
        and d.kind = case when t.driver_id = t.owner_id then 'owner' else 'driver' end)
"""
"""Nothing was ever posted of it, and its accounts are open."""
DUE: Final = f"{SESSION} where {IS_DUE} order by t.id limit 1 for update of t skip locked"
DUE_ALONE: Final = f"{SESSION} where {IS_DUE} and not ({IS_PLAIN}) order by t.id limit 1 for update of t skip locked"
PLAIN: Final = f"""
select {COLUMNS}, o.id as owner_account_id, d.id as driver_account_id
from transactions t join charge_points c on c.id = t.charge_point_id
join ledger_accounts o on o.user_id = t.owner_id and o.kind = 'owner'
join ledger_accounts d on d.user_id = t.driver_id
    and d.kind = case when t.driver_id = t.owner_id then 'owner' else 'driver' end
where {IS_DUE} and not exists (select from settlements s where s.transaction_id = t.id)
order by t.id limit $1 for update of t skip locked
"""  # noqa: S608 - our own names
NAMED: Final = f"{SESSION} where t.public_id = $1 for update of t"
SETTLED: Final = "update transactions set settled_at = $2 where id = any($1::bigint[])"


class NotBillableError(ValueError):
    """The session has nobody to bill, or a record that does not add up."""


SESSIONS_FAULT: Final = (
    ValueError, LookupError, TypeError, ArithmeticError, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError,
)  # fmt: skip
"""What one session's data cause; it is held for a person, and the others go on."""


@dataclass(frozen=True, slots=True)
class Session:
    """A transaction as settlement sees it, its row locked."""

    id: int
    public_id: UUID
    status: str
    driver_id: UUID | None
    owner_id: UUID
    time_zone: str
    started_at: datetime
    stopped_at: datetime | None
    meter_start_wh: int
    meter_stop_wh: int | None
    held_reasons: list[str]
    currency: str | None
    total_minor: int | None
    settled_at: datetime | None
    tariff: Mapping[str, Any] | None
    charge_detail_record: Mapping[str, Any] | None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """From a row of `SESSION`."""
        fields = dict(row)
        for name in ("tariff", "charge_detail_record"):
            fields[name] = None if fields[name] is None else orjson.loads(fields[name])
        return cls(**fields)

    def day_of(self, now: datetime) -> date:
        """The day at the charge point."""
        return now.astimezone(ZoneInfo(self.time_zone)).date()


@dataclass(frozen=True, slots=True)
class Bill:
    """The amounts of a charge detail record that was kept."""

    currency: str
    net_minor: int
    vat_minor: int


NO_CHARGE: Final = Bill("", 0, 0)


async def lock_due(connection: asyncpg.Connection, *, but_plain: bool = False) -> Session | None:
    """The oldest session that is to be settled and that nobody else is working on; `but_plain` leaves those out."""
    row = await connection.fetchrow(DUE_ALONE if but_plain else DUE)
    return None if row is None else Session.from_row(row)


async def lock_named(connection: asyncpg.Connection, public_id: UUID) -> Session:
    """The session, once whoever works on it is done."""
    return Session.from_row(await connection.fetchrow(NAMED, public_id))


async def settle_next(
    connection: asyncpg.Connection, fee_bp: int, now: datetime, *, but_plain: bool = False
) -> Session | None:
    """Settles the oldest session that is due, or holds it where it cannot be posted; None where none is due.

    `but_plain` leaves out those that `settle_plain` settles.
    """
    session = await lock_due(connection, but_plain=but_plain)
    if session is None:
        return None
    try:
        async with connection.transaction():
            await settle(connection, session, session.charge_detail_record or {}, fee_bp=fee_bp, now=now)
    except SESSIONS_FAULT as error:
        log.warning("session held", transaction_id=str(session.public_id), error=f"{type(error).__name__}: {error}")
        await connection.execute(HOLD, session.id, with_reasons(session.held_reasons, [NOT_BILLABLE]))
    return session


async def settle_plain(connection: asyncpg.Connection, fee_bp: int, now: datetime, most: int) -> int:
    """Settles the oldest plain sessions that are due, together; how many.

    Raises:
        SESSIONS_FAULT: one of them cannot be posted, so that none was; `settle_next` finds out which.
    """
    rows = await connection.fetch(PLAIN, most)
    if rows:
        platform = await house_account(connection, PLATFORM)
        revisions = [_first_revision(row, fee_bp, platform, now) for row in rows]
        await add_revisions(connection, revisions)
        await _close(connection, [row["id"] for row in rows], now)
    return len(rows)


def _first_revision(row: Mapping[str, Any], fee_bp: int, platform: UUID, now: datetime) -> Revision:
    fields = dict(row)
    parties = Parties(fields.pop("driver_account_id"), fields.pop("owner_account_id"), fee_bp)
    session = Session.from_row(fields)
    record = session.charge_detail_record or {}
    bill = read_bill(record)
    transfers = due_transfers(bill, parties, platform)
    amounts = (bill.net_minor, bill.vat_minor)
    return Revision(session.id, 0, None, parties, bill.currency, *amounts, record, transfers, session.day_of(now))


def read_bill(record: Mapping[str, Any]) -> Bill:
    """The amounts of a record as it is kept with the transaction.

    Raises:
        NotBillableError: it is not complete, its lines do not add up to its total, or it comes to less than nothing.
    """
    try:
        bill = Bill(record["currency"], record["net_minor"], record["vat_minor"])
        total_minor = sum(line["amount_minor"] for line in record["lines"])
        agrees = total_minor == record["total_minor"] == bill.net_minor + bill.vat_minor
    except (KeyError, TypeError) as error:
        raise NotBillableError("the charge detail record is not complete") from error
    if not agrees or bill.net_minor < 0 or bill.vat_minor < 0:
        raise NotBillableError("the charge detail record does not add up")
    return bill


async def settle(
    connection: asyncpg.Connection,
    session: Session,
    record: Mapping[str, Any] | None,
    *,
    fee_bp: int,
    now: datetime,
    decision_id: UUID | None = None,
) -> None:
    """Makes `record` what stands for the session in the ledger, None: nothing. Adds nothing where that is so already.

    Raises:
        NotBillableError: it cannot be posted; nothing was added.
    """
    latest = await latest_revision(connection, session.id)
    parties = latest[1] if latest else await open_parties(connection, session.driver_id, session.owner_id, fee_bp)
    bill = read_bill(record) if record is not None else NO_CHARGE
    posted = await posted_transfers(connection, session.id)
    transfers = correct(posted, due_transfers(bill, parties, await house_account(connection, PLATFORM)))
    if latest is None or transfers:
        number = latest[0] + 1 if latest else 0
        currency = bill.currency or session.currency or ""
        amounts = (bill.net_minor, bill.vat_minor)
        day = session.day_of(now)
        revision = Revision(session.id, number, decision_id, parties, currency, *amounts, record, transfers, day)
        await add_revisions(connection, [revision])
    await _close(connection, [session.id], now)


async def _close(connection: asyncpg.Connection, transaction_ids: Sequence[int], now: datetime) -> None:
    await connection.execute(SETTLED, transaction_ids, now)
    await release_settled(connection, transaction_ids, now)


def due_transfers(bill: Bill, parties: Parties, platform: UUID) -> tuple[Transfer, ...]:
    """What a bill comes to. That its owner is registered is checked where a tariff with VAT is made.

    Raises:
        NotBillableError: there is something to pay, and nobody to pay it.
    """
    if bill.net_minor == 0 and bill.vat_minor == 0:
        return ()
    if parties.driver is None:
        raise NotBillableError("there is nobody to bill")
    accounts = Accounts(str(parties.driver), str(parties.owner), str(platform))
    return post(bill, accounts, Terms(parties.fee_bp, owner_is_vat_registered=True))
