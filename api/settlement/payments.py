"""What people pay and are paid, as rows: variable symbols, bank accounts of owners, payouts, movements. Queries only.

Scoped to the caller; what they mean for the ledger is decided in `bank` and `payouts`. Nothing here commits.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, delete, func, select, true
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from api.database import find_one
from api.errors import Conflict, NotFound
from api.identity.caller import Caller
from api.paging import PageRequest, read_page
from api.schema import bank_movements, bank_postings, ledger_accounts, payment_symbols, payout_accounts, payouts
from api.settings import Settings
from api.settlement.bank import OPENED, House
from api.settlement.payment_order import PaymentOrder, to_symbol

UNSET: Final = "This installation has no bank account: its operator sets BANK_ACCOUNT."


def house_of(settings: Settings) -> House:
    """The bank account of this installation.

    Raises:
        Conflict: it has none.
    """
    if not settings.bank_account:
        raise Conflict(UNSET)
    return House(settings.bank_account, settings.bank_currency, settings.books_time_zone)


async def symbol_of(connection: AsyncConnection, user_id: UUID, now: datetime) -> str:
    """A person's variable symbol, which never changes; made when it is first asked for."""
    table = payment_symbols
    await connection.execute(upsert(table).values(user_id=user_id, created_at=now).on_conflict_do_nothing())
    number = await connection.execute(select(table.c.number).where(table.c.user_id == user_id))
    return to_symbol(number.scalar_one())


def top_up_order(settings: Settings, symbol: str, amount_minor: int | None) -> PaymentOrder:
    """How a driver pays to the house.

    Raises:
        Conflict: the house has no bank account.
    """
    house = house_of(settings)
    return PaymentOrder(house.iban, settings.bank_account_holder, amount_minor, house.currency, symbol, "Voltuj")


def payout_order(row: Row[Any]) -> PaymentOrder:
    """How the house pays an owner."""
    symbol = to_symbol(row.number)
    return PaymentOrder(row.iban, row.holder_name, row.amount_minor, row.currency, symbol, f"Voltuj {symbol}")


async def find_payout_account(connection: AsyncConnection, user_id: UUID) -> Row[Any]:
    """Where a person is paid.

    Raises:
        NotFound: the person has not said it.
    """
    query = select(payout_accounts).where(payout_accounts.c.user_id == user_id)
    row: Row[Any] | None = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound("You have no payout account yet.")
    return row


async def set_payout_account(
    connection: AsyncConnection, user_id: UUID, iban: str, holder_name: str, now: datetime
) -> Row[Any]:
    """Payouts that are made from now on go there."""
    values = {"iban": iban, "holder_name": holder_name, "changed_at": now}
    statement = upsert(payout_accounts).values(user_id=user_id, **values)
    statement = statement.on_conflict_do_update(index_elements=["user_id"], set_=values)
    row: Row[Any] = (await connection.execute(statement.returning(payout_accounts))).one()
    return row


async def remove_payout_account(connection: AsyncConnection, user_id: UUID) -> None:
    """No more payouts are made; one that is open goes its way."""
    await connection.execute(delete(payout_accounts).where(payout_accounts.c.user_id == user_id))


def _payouts(caller: Caller) -> Select[Any]:
    visible: ColumnElement[bool] = true() if caller.is_operator else ledger_accounts.c.user_id == caller.user_id
    joined = payouts.join(ledger_accounts, ledger_accounts.c.id == payouts.c.account_id)
    return select(payouts, ledger_accounts.c.user_id).select_from(joined).where(visible)


async def list_payouts(
    connection: AsyncConnection, caller: Caller, status: str | None, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """The caller's payouts, for operators everybody's; newest first."""
    query = _payouts(caller)
    if status is not None:
        query = query.where(payouts.c.status == status)
    return await read_page(connection, query, [payouts.c.created_at, payouts.c.id], paging)


async def find_payout(connection: AsyncConnection, caller: Caller, payout_id: UUID) -> Row[Any]:
    """One payout.

    Raises:
        NotFound: the caller does not see it.
    """
    return await find_one(connection, _payouts(caller).where(payouts.c.id == payout_id))


async def list_made(connection: AsyncConnection, payout_ids: Sequence[UUID]) -> Sequence[Row[Any]]:
    """Payouts that exist, by their number."""
    joined = payouts.join(ledger_accounts, ledger_accounts.c.id == payouts.c.account_id)
    query = select(payouts, ledger_accounts.c.user_id).select_from(joined).where(payouts.c.id.in_(payout_ids))
    return (await connection.execute(query.order_by(payouts.c.number))).all()


def _movements() -> Select[Any]:
    """Movements with what they mean now: null where nobody and nothing has said it."""
    newest = (
        select(bank_postings.c.decision, bank_postings.c.account_id, bank_postings.c.payout_id)
        .where(bank_postings.c.movement_id == bank_movements.c.id)
        .order_by(bank_postings.c.revision.desc())
        .limit(1)
        .lateral("newest")
    )
    meaning = func.nullif(newest.c.decision, OPENED).label("meaning")
    joined = bank_movements.outerjoin(newest, true())
    return select(bank_movements, meaning, newest.c.account_id, newest.c.payout_id).select_from(joined)


async def list_movements(
    connection: AsyncConnection, *, is_open: bool | None, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """Movements, the last imported first; `is_open`: only those that wait for a person, or only the others."""
    query = _movements()
    if is_open is not None:
        decision = query.selected_columns["meaning"]
        query = query.where(decision.is_(None) if is_open else decision.is_not(None))
    return await read_page(connection, query, [bank_movements.c.imported_at, bank_movements.c.id], paging)


async def find_movement(connection: AsyncConnection, movement_id: UUID) -> Row[Any]:
    """One movement.

    Raises:
        NotFound: there is none.
    """
    return await find_one(connection, _movements().where(bank_movements.c.id == movement_id))


async def list_meanings(connection: AsyncConnection, movement_id: UUID) -> Sequence[Row[Any]]:
    """All that was ever decided about a movement, oldest first."""
    table = bank_postings
    return (
        await connection.execute(select(table).where(table.c.movement_id == movement_id).order_by(table.c.revision))
    ).all()
