"""Movements on the bank account of the house: imported once, matched by variable symbol, else decided by a person.

Whoever changes what a movement or a payout means holds one lock, so that they follow each other. Nothing here commits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg

from api.accounting.money import format_minor
from api.accounting.postings import PAYOUT, REFUND, TOP_UP, BankKind, Transfer, correct, post_bank
from api.errors import Conflict, Invalid, NotFound
from api.mail.notices import Notice, post_notice
from api.settlement.bank_statement import Movement, Statement, StatementError
from api.settlement.ledger import (
    BANK,
    DRIVER,
    BankPosting,
    account_of,
    add_bank_posting,
    house_account,
    posted_for_movement,
)
from api.settlement.payment_order import read_symbol

LOCK: Final = "select pg_advisory_xact_lock(hashtextextended('bank', 0))"
KNOWN: Final = """
select reference, booked_on, amount_minor, currency from bank_movements
where bank_account = $1 and reference = any($2::text[])
"""
ADD: Final = """
insert into bank_movements (bank_account, reference, booked_on, amount_minor, currency, variable_symbol, counterparty,
    counterparty_name, message, imported_by, imported_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
returning id, amount_minor, currency, variable_symbol
"""
FIND: Final = "select id, amount_minor, currency, variable_symbol from bank_movements where id = $1"
LATEST: Final = """
select revision, decision from bank_postings where movement_id = $1 order by revision desc limit 1
"""
HOLDER: Final = "select user_id from ledger_accounts where id = $1"
PAYER: Final = "select user_id from payment_symbols where number = $1"
PAYOUT_COLUMNS: Final = "p.id, p.account_id, p.amount_minor, p.currency, p.status"
NUMBERED_PAYOUT: Final = f"select {PAYOUT_COLUMNS} from payouts p where p.number = $1 for update"  # noqa: S608
NAMED_PAYOUT: Final = f"select {PAYOUT_COLUMNS} from payouts p where p.id = $1 for update"  # noqa: S608 - our own names
HAS_MOVEMENT: Final = "select exists (select from bank_postings where payout_id = $1 and movement_id is not null)"
END_PAYOUT: Final = "update payouts set status = $2, ended_at = $3, ended_by = $4 where id = $1"

CONFIRMED: Final = "confirmed"
IGNORED: Final = "ignored"
OPENED: Final = "opened"


@dataclass(frozen=True, slots=True)
class House:
    """The bank account of this installation, and the clock by which its postings are booked."""

    iban: str
    currency: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class Order:
    """Who decides, when and why; nobody: a variable symbol, or the command line."""

    at: datetime
    by: UUID | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """What an import did."""

    new: int
    known: int
    matched: int

    @property
    def open(self) -> int:
        """New ones that wait for a person."""
        return self.new - self.matched


async def lock_bank(connection: asyncpg.Connection) -> None:
    """Waits until nobody else changes what movements and payouts mean."""
    await connection.execute(LOCK)


async def import_statement(connection: asyncpg.Connection, statement: Statement, house: House, order: Order) -> Summary:
    """Adds the movements that are new and posts those that are matched; all of them or, where it raises, none.

    Raises:
        StatementError: of another bank account, or a movement is known differently.
    """
    if statement.iban not in {None, house.iban}:
        raise StatementError([(0, f"this is a statement of {statement.iban}, not of {house.iban}")])
    await lock_bank(connection)
    known = await _check_known(connection, statement, house)
    new = [movement for _, movement in statement.movements if movement.reference not in known]
    matched = 0
    for movement in new:
        row = await _add(connection, movement, house, order)
        matched += await _match(connection, row, house, order.at)
    return Summary(len(new), len(known), matched)


async def _check_known(connection: asyncpg.Connection, statement: Statement, house: House) -> set[str]:
    """References of movements that were imported before.

    Raises:
        StatementError: one says something else now.
    """
    lines = {movement.reference: (line, movement) for line, movement in statement.movements}
    errors = []
    rows = await connection.fetch(KNOWN, house.iban, list(lines))
    for row in rows:
        line, movement = lines[row["reference"]]
        if (movement.booked_on, movement.amount_minor, movement.currency) != tuple(row.values())[1:]:
            errors.append((line, f"{movement.reference} was imported before with another day, amount or currency"))
    if errors:
        raise StatementError(sorted(errors))
    return {row["reference"] for row in rows}


async def _add(connection: asyncpg.Connection, movement: Movement, house: House, order: Order) -> asyncpg.Record:
    return await connection.fetchrow(
        ADD,
        *(house.iban, movement.reference, movement.booked_on, movement.amount_minor, movement.currency),
        *(movement.variable_symbol, movement.counterparty, movement.counterparty_name, movement.message),
        *(order.by, order.at),
    )


async def _match(connection: asyncpg.Connection, row: Mapping[str, Any], house: House, at: datetime) -> bool:
    """Posts a new movement whose variable symbol says what it is."""
    number = read_symbol(row["variable_symbol"])
    if number is None:
        return False
    if row["amount_minor"] < 0:
        payout = await connection.fetchrow(NUMBERED_PAYOUT, number)
        return payout is not None and await _match_payout(connection, row, payout, house, Order(at))
    user_id = await connection.fetchval(PAYER, number)
    if user_id is None or row["currency"] != house.currency:
        return False
    account_id = await account_of(connection, user_id, DRIVER)
    await _post(connection, row, BankPosting(row["id"], 0, TOP_UP, account_id), TOP_UP, booked_on(house, at))
    await tell(connection, TOP_UP, account_id, (row["amount_minor"], row["currency"]), at)
    return True


async def _match_payout(
    connection: asyncpg.Connection, row: Mapping[str, Any], payout: Mapping[str, Any], house: House, order: Order
) -> bool:
    """A payout that left the bank: posted now, or only noted where an operator had confirmed it before."""
    if (payout["amount_minor"], payout["currency"]) != (-row["amount_minor"], row["currency"]):
        return False
    latest = await connection.fetchrow(LATEST, row["id"])
    number = 0 if latest is None else latest["revision"] + 1
    posting = BankPosting(row["id"], number, PAYOUT, payout["account_id"], payout["id"], order.note, order.by)
    if payout["status"] == "open":
        await _post(connection, row, posting, PAYOUT, booked_on(house, order.at))
        await connection.execute(END_PAYOUT, payout["id"], "paid", order.at, order.by)
        await tell(connection, PAYOUT, payout["account_id"], (payout["amount_minor"], payout["currency"]), order.at)
        return True
    if payout["status"] != "paid" or await connection.fetchval(HAS_MOVEMENT, payout["id"]):
        return False
    noted = BankPosting(row["id"], number, CONFIRMED, None, payout["id"], order.note, order.by)
    await _replace(connection, noted, [], booked_on(house, order.at))
    return True


def booked_on(house: House, at: datetime) -> date:
    """The day of posting; not that of the bank, which may lie in a month that is closed."""
    return at.astimezone(ZoneInfo(house.time_zone)).date()


async def tell(
    connection: asyncpg.Connection, kind: Notice, account_id: UUID, amount: tuple[int, str], at: datetime
) -> None:
    """Mails whose account it is that this amount (minor units, currency) came or went."""
    user_id = await connection.fetchval(HOLDER, account_id)
    said = f"{format_minor(*amount)} {amount[1]}"
    await post_notice(connection, kind, user_id, at, amount=said)


async def _post(
    connection: asyncpg.Connection, row: Mapping[str, Any], posting: BankPosting, kind: BankKind, day: date
) -> None:
    bank = str(await house_account(connection, BANK))
    due = post_bank(row["amount_minor"], row["currency"], str(posting.account_id), bank, kind)
    await _replace(connection, posting, [due], day)


async def _replace(connection: asyncpg.Connection, posting: BankPosting, due: Sequence[Transfer], day: date) -> None:
    """Makes `due` all that stands for the movement."""
    assert posting.movement_id is not None  # noqa: S101 - for the type checker
    posted = await posted_for_movement(connection, posting.movement_id)
    await add_bank_posting(connection, posting, correct(posted, due), day)


async def _open_movement(connection: asyncpg.Connection, movement_id: UUID) -> tuple[asyncpg.Record, int]:
    """The movement under its lock, and the number of the decision that follows.

    Raises:
        NotFound: there is none.
        Conflict: it paid a payout, which is final.
    """
    await lock_bank(connection)
    row = await connection.fetchrow(FIND, movement_id)
    if row is None:
        raise NotFound
    latest = await connection.fetchrow(LATEST, movement_id)
    if latest is not None and latest["decision"] in {PAYOUT, CONFIRMED}:
        raise Conflict(
            "This movement paid a payout, which is final. What the bank sends back is a movement of its own."
        )
    return row, 0 if latest is None else latest["revision"] + 1


async def assign_to_person(
    connection: asyncpg.Connection, movement_id: UUID, holder: tuple[UUID, str], house: House, order: Order
) -> None:
    """The movement belongs to this account: of a user, and its kind. What it meant before is taken back.

    Raises:
        NotFound, Conflict: see `_open_movement`.
    """
    row, number = await _open_movement(connection, movement_id)
    account_id = await account_of(connection, *holder)
    meaning: BankKind = TOP_UP if row["amount_minor"] > 0 and holder[1] == DRIVER else REFUND
    posting = BankPosting(row["id"], number, meaning, account_id, None, order.note, order.by)
    await _post(connection, row, posting, meaning, booked_on(house, order.at))
    if meaning == TOP_UP:
        await tell(connection, TOP_UP, account_id, (row["amount_minor"], row["currency"]), order.at)


async def assign_to_payout(
    connection: asyncpg.Connection, movement_id: UUID, payout_id: UUID, house: House, order: Order
) -> None:
    """The movement is the payment of this payout.

    Raises:
        NotFound, Conflict: see `_open_movement`.
        Invalid: there is no such payout, or its amount or state does not fit.
    """
    row, _ = await _open_movement(connection, movement_id)
    payout = await connection.fetchrow(NAMED_PAYOUT, payout_id)
    if payout is None or not await _match_payout(connection, row, payout, house, order):
        raise Invalid.field("body.payout_id", "not a payout of this amount that waits for its payment")


async def set_aside(
    connection: asyncpg.Connection, movement_id: UUID, decision: str, house: House, order: Order
) -> None:
    """The movement is none of ours (`IGNORED`), or waits for a person again (`OPENED`); what it meant is taken back.

    Raises:
        NotFound, Conflict: see `_open_movement`.
    """
    row, number = await _open_movement(connection, movement_id)
    posting = BankPosting(row["id"], number, decision, None, None, order.note, order.by)
    await _replace(connection, posting, [], booked_on(house, order.at))
