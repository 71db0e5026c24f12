"""The ledger in PostgreSQL: accounts, settlements and their transfers are added and read here, never changed.

What is posted follows from `api.accounting.postings`; when and why is decided by the callers, who also commit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from api.accounting.postings import Transfer

DRIVER: Final = "driver"
OWNER: Final = "owner"
PLATFORM: Final = "platform"
BANK: Final = "bank"
FIND_HOUSE: Final = "select id from ledger_accounts where kind = $1 and user_id is null"
FIND_ACCOUNT: Final = "select id from ledger_accounts where user_id = $1 and kind = $2"
OPEN_ACCOUNT: Final = "insert into ledger_accounts (user_id, kind) values ($1, $2) on conflict do nothing returning id"
LATEST: Final = """
select revision, driver_account_id, owner_account_id, fee_bp from settlements
where transaction_id = $1 order by revision desc limit 1
"""
COLUMNS: Final = "p.debit_account_id, p.credit_account_id, p.amount_minor, p.currency, p.kind, p.is_reversal"
POSTED: Final = f"""
select {COLUMNS} from transfers p join settlements s on s.id = p.settlement_id where s.transaction_id = $1
"""  # noqa: S608 - our own names
POSTED_FOR_MOVEMENT: Final = f"""
select {COLUMNS} from transfers p join bank_postings b on b.id = p.bank_posting_id where b.movement_id = $1
"""  # noqa: S608 - our own names
ADD_SETTLEMENTS: Final = """
insert into settlements (transaction_id, revision, decision_id, driver_account_id, owner_account_id, currency,
    net_minor, vat_minor, fee_bp, charge_detail_record)
select s.transaction_id, s.revision, s.decision_id, s.driver, s.owner, s.currency, s.net_minor, s.vat_minor, s.fee_bp,
    s.record::jsonb
from unnest($1::bigint[], $2::integer[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::bigint[], $8::bigint[],
    $9::integer[], $10::text[]) as s (transaction_id, revision, decision_id, driver, owner, currency, net_minor,
    vat_minor, fee_bp, record)
order by s.owner, s.transaction_id
returning transaction_id, id
"""
"""Receipts of one owner are numbered by one at a time, so they come in one order: no deadlock."""
ADD_BANK_POSTING: Final = """
insert into bank_postings (movement_id, revision, decision, account_id, payout_id, note, decided_by)
values ($1, $2, $3, $4, $5, $6, $7) returning id
"""
POSTED_FOR_BOOKING: Final = f"""
select {COLUMNS} from transfers p join no_show_postings n on n.id = p.no_show_posting_id where n.booking_id = $1
"""  # noqa: S608 - our own names
ADD_NO_SHOW: Final = """
insert into no_show_postings (booking_id, revision, driver_account_id, owner_account_id, currency, amount_minor)
select $1, coalesce(max(revision), -1) + 1, $2::uuid, $3::uuid, $4, $5 from no_show_postings where booking_id = $1
returning id
"""
ADD_TRANSFERS: Final = """
insert into transfers (settlement_id, bank_posting_id, no_show_posting_id, debit_account_id, credit_account_id,
    amount_minor, currency, kind, is_reversal, booked_on)
select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::bigint[], $7::text[], $8::text[],
    $9::boolean[], $10::date[])
"""


Cause = tuple[UUID | None, UUID | None, UUID | None]
"""Of a transfer: its settlement, bank posting or no-show posting."""


@dataclass(frozen=True, slots=True)
class Parties:
    """The accounts of a session and the platform's fee on it: those of its first settlement hold for corrections."""

    driver: UUID | None
    owner: UUID
    fee_bp: int


@dataclass(frozen=True, slots=True)
class Revision:
    """A settlement that is to be added."""

    transaction_id: int
    number: int
    decision_id: UUID | None
    parties: Parties
    currency: str
    net_minor: int
    vat_minor: int
    charge_detail_record: Mapping[str, Any] | None
    transfers: Sequence[Transfer]
    booked_on: date


@dataclass(frozen=True, slots=True)
class BankPosting:
    """What a bank movement means, or a payout that was confirmed without one; it is to be added."""

    movement_id: UUID | None
    number: int
    decision: str
    account_id: UUID | None = None
    payout_id: UUID | None = None
    note: str = ""
    decided_by: UUID | None = None


@dataclass(frozen=True, slots=True)
class NoShow:
    """What is to stand in the ledger for a booking, 0: nothing; it is to be added."""

    booking_id: UUID
    parties: Parties
    currency: str
    amount_minor: int


async def account_of(connection: asyncpg.Connection, user_id: UUID, kind: str) -> UUID:
    """A person's account of a kind, opened where there is none; of two that open it at once one waits."""
    for query in (FIND_ACCOUNT, OPEN_ACCOUNT, FIND_ACCOUNT):
        found: UUID | None = await connection.fetchval(query, user_id, kind)
        if found is not None:
            return found
    raise LookupError(f"account {kind} of {user_id} was neither found nor opened")


async def house_account(connection: asyncpg.Connection, kind: str) -> UUID:
    """An account of the house, platform or bank; a migration opened it."""
    found: UUID = await connection.fetchval(FIND_HOUSE, kind)
    return found


async def open_parties(connection: asyncpg.Connection, driver_id: UUID | None, owner_id: UUID, fee_bp: int) -> Parties:
    """The accounts of a session that was never settled; an owner who drives is the owner alone."""
    people = {OWNER: owner_id} | ({DRIVER: driver_id} if driver_id not in {None, owner_id} else {})
    opened = {}
    for kind, user_id in sorted(people.items(), key=lambda item: (str(item[1]), item[0])):  # one order: no deadlock
        assert user_id is not None  # noqa: S101 - for the type checker
        opened[kind] = await account_of(connection, user_id, kind)
    driver = opened[OWNER] if driver_id == owner_id else opened.get(DRIVER)
    return Parties(driver, opened[OWNER], fee_bp)


async def latest_revision(connection: asyncpg.Connection, transaction_id: int) -> tuple[int, Parties] | None:
    """The newest settlement's number and its parties; None where the session was never settled."""
    row = await connection.fetchrow(LATEST, transaction_id)
    if row is None:
        return None
    return row["revision"], Parties(row["driver_account_id"], row["owner_account_id"], row["fee_bp"])


async def posted_transfers(connection: asyncpg.Connection, transaction_id: int) -> list[Transfer]:
    """All that was ever posted for a session."""
    return [_transfer(row) for row in await connection.fetch(POSTED, transaction_id)]


async def posted_for_movement(connection: asyncpg.Connection, movement_id: UUID) -> list[Transfer]:
    """All that was ever posted for a bank movement."""
    return [_transfer(row) for row in await connection.fetch(POSTED_FOR_MOVEMENT, movement_id)]


async def posted_for_booking(connection: asyncpg.Connection, booking_id: UUID) -> list[Transfer]:
    """All that was ever posted for a booking that nobody came for."""
    return [_transfer(row) for row in await connection.fetch(POSTED_FOR_BOOKING, booking_id)]


def _transfer(row: asyncpg.Record) -> Transfer:
    return Transfer(
        str(row["debit_account_id"]),
        str(row["credit_account_id"]),
        row["amount_minor"],
        row["currency"],
        row["kind"],
        row["is_reversal"],
    )


async def add_revisions(connection: asyncpg.Connection, revisions: Sequence[Revision]) -> None:
    """Adds settlements of different sessions with their transfers; no more can be added once this database
    transaction has ended.

    Raises:
        asyncpg.UniqueViolationError: one of these revisions exists.
    """
    rows = await connection.fetch(
        ADD_SETTLEMENTS, *map(list, zip(*(_columns(revision) for revision in revisions), strict=True))
    )
    ids = {row["transaction_id"]: row["id"] for row in rows}
    await _add_transfers(
        connection,
        [
            ((ids[revision.transaction_id], None, None), transfer, revision.booked_on)
            for revision in revisions
            for transfer in revision.transfers
        ],
    )


def _columns(revision: Revision) -> tuple[object, ...]:
    record, parties = revision.charge_detail_record, revision.parties
    return (
        *(revision.transaction_id, revision.number, revision.decision_id, parties.driver, parties.owner),
        *(revision.currency, revision.net_minor, revision.vat_minor, parties.fee_bp),
        None if record is None else orjson.dumps(record).decode(),
    )


async def add_bank_posting(
    connection: asyncpg.Connection, posting: BankPosting, transfers: Sequence[Transfer], booked_on: date
) -> None:
    """Adds what a bank movement or a confirmed payout means, with its transfers; sealed as a settlement is.

    Raises:
        asyncpg.UniqueViolationError: this revision of the movement exists, or the payout is posted already.
    """
    posting_id = await connection.fetchval(
        ADD_BANK_POSTING,
        *(posting.movement_id, posting.number, posting.decision, posting.account_id, posting.payout_id),
        *(posting.note, posting.decided_by),
    )
    await _add_transfers(connection, [((None, posting_id, None), transfer, booked_on) for transfer in transfers])


async def add_no_show(
    connection: asyncpg.Connection, no_show: NoShow, transfers: Sequence[Transfer], booked_on: date
) -> None:
    """Adds the next revision of what a booking comes to, with its transfers; sealed as a settlement is.

    Raises:
        asyncpg.UniqueViolationError: somebody else added that revision at the same time.
    """
    parties = no_show.parties
    posting_id = await connection.fetchval(
        ADD_NO_SHOW, no_show.booking_id, parties.driver, parties.owner, no_show.currency, no_show.amount_minor
    )
    await _add_transfers(connection, [((None, None, posting_id), transfer, booked_on) for transfer in transfers])


async def _add_transfers(connection: asyncpg.Connection, postings: Sequence[tuple[Cause, Transfer, date]]) -> None:
    if not postings:
        return
    rows = [
        (
            *cause,
            *(UUID(transfer.debit), UUID(transfer.credit), transfer.amount_minor, transfer.currency),
            *(transfer.kind, transfer.is_reversal, booked_on),
        )
        for cause, transfer, booked_on in postings
    ]
    await connection.execute(ADD_TRANSFERS, *map(list, zip(*rows, strict=True)))
