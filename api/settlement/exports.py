"""Everything of the books that a caller may see, as plain rows: transfers, transactions, settlements. Queries only."""

from datetime import UTC, date, datetime, time
from typing import Any, Final

from sqlalchemy import Date, Select, case, cast, func, or_, select, text, true, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from api.accounting.money import MINOR_DIGITS, format_minor
from api.errors import Conflict
from api.identity.caller import Caller
from api.schema import charge_points, ledger_accounts, settlements, transactions, transfers

MOST_ROWS: Final = 50_000
"""Of one export, which is made in memory."""
PLAN_FOR_THESE_DAYS: Final = text("set local plan_cache_mode = force_custom_plan")
"""One plan kept for all would read whole tables for a day where years were asked for before."""
Rows = list[dict[str, Any]]

TRANSFERS: Final = (
    "id", "booked_on", "kind", "is_reversal", "account_id", "account_kind", "transaction_id", "currency",
    "amount_minor", "amount",
)  # fmt: skip
TRANSACTIONS: Final = (
    "id", "charge_point_id", "charge_point_name", "connector_id", "role", "status", "held_reasons", "started_at",
    "stopped_at", "meter_start_wh", "meter_stop_wh", "energy_wh", "currency", "total_minor", "total",
)  # fmt: skip
SETTLEMENTS: Final = (
    "id", "transaction_id", "revision", "posted_on", "role", "currency", "net_minor", "vat_minor", "fee_bp",
)  # fmt: skip
LINE: Final = ("type", "amount_minor", "vat_bp", "element", "used", "volume", "price_e4", "base_minor")
SETTLEMENT_LINES: Final = (*SETTLEMENTS, *(f"line_{name}" for name in LINE))


async def export_transfers(connection: AsyncConnection, caller: Caller, begins: date, ends: date) -> Rows:
    """Each side of a transfer that is on an account of the caller's; for operators both sides of all.

    Raises:
        Conflict: there are more than `MOST_ROWS`.
    """
    sides = union_all(*(_side(is_credit=is_credit) for is_credit in (True, False))).subquery()
    query = (
        select(sides, ledger_accounts.c.kind.label("account_kind"), transactions.c.public_id.label("transaction_id"))
        .join(ledger_accounts, ledger_accounts.c.id == sides.c.account_id)
        .outerjoin(settlements, settlements.c.id == sides.c.settlement_id)
        .outerjoin(transactions, transactions.c.id == settlements.c.transaction_id)
        .where(sides.c.booked_on >= begins, sides.c.booked_on < ends)
        .where(true() if caller.is_operator else ledger_accounts.c.user_id == caller.user_id)
        .order_by(sides.c.number, sides.c.amount_minor)
    )
    rows = await _read(connection, query)
    return [_only(TRANSFERS, row | {"amount": _text(row["amount_minor"], row["currency"])}) for row in rows]


def _side(*, is_credit: bool) -> Select[Any]:
    table = transfers.c
    account, sign = (table.credit_account_id, 1) if is_credit else (table.debit_account_id, -1)
    return select(
        table.id.label("number"),
        table.public_id.label("id"),
        table.settlement_id,
        table.booked_on,
        table.kind,
        table.is_reversal,
        table.currency,
        account.label("account_id"),
        (table.amount_minor * sign).label("amount_minor"),
    )


async def export_transactions(connection: AsyncConnection, caller: Caller, begins: date, ends: date) -> Rows:
    """Sessions that the caller drove, or that took place at a charge point of the caller's; by their start in UTC.

    Raises:
        Conflict: there are more than `MOST_ROWS`.
    """
    table = transactions.c
    role = case((table.owner_id == caller.user_id, "owner"), (table.driver_id == caller.user_id, "driver"),
                else_="operator")  # fmt: skip
    query = (
        select(transactions, charge_points.c.name.label("charge_point_name"), role.label("role"))
        .join(charge_points, charge_points.c.id == table.charge_point_id)
        .where(table.started_at >= _midnight(begins), table.started_at < _midnight(ends))
        .where(
            true() if caller.is_operator else or_(table.owner_id == caller.user_id, table.driver_id == caller.user_id)
        )
        .order_by(table.started_at, table.id)
    )
    return [
        _only(TRANSACTIONS, row | {"id": row["public_id"], "total": _text(row["total_minor"], row["currency"])})
        for row in await _read(connection, query)
    ]


async def export_settlements(connection: AsyncConnection, caller: Caller, begins: date, ends: date) -> Rows:
    """What sessions came to, each revision with its lines; the platform's fee is for the owner's eyes.

    Raises:
        Conflict: there are more than `MOST_ROWS`.
    """
    owner, driver = ledger_accounts.alias("owner"), ledger_accounts.alias("driver")
    posted_on = cast(func.timezone("UTC", settlements.c.posted_at), Date)
    role = case((owner.c.user_id == caller.user_id, "owner"), (driver.c.user_id == caller.user_id, "driver"),
                else_="operator")  # fmt: skip
    query = (
        select(
            settlements,
            transactions.c.public_id.label("transaction"),
            posted_on.label("posted_on"),
            role.label("role"),
            settlements.c.charge_detail_record["lines"].label("lines"),
        )
        .join(transactions, transactions.c.id == settlements.c.transaction_id)
        .join(owner, owner.c.id == settlements.c.owner_account_id)
        .outerjoin(driver, driver.c.id == settlements.c.driver_account_id)
        .where(settlements.c.posted_at >= _midnight(begins), settlements.c.posted_at < _midnight(ends))
        .where(
            true() if caller.is_operator else or_(owner.c.user_id == caller.user_id, driver.c.user_id == caller.user_id)
        )
        .order_by(settlements.c.posted_at, settlements.c.id)
    )
    return [
        _only(SETTLEMENTS, row | {"transaction_id": row["transaction"]} | _fee(row))
        | {"lines": [_only(LINE, line) for line in row["lines"] or []]}
        for row in await _read(connection, query)
    ]


def _midnight(day: date) -> datetime:
    """Of UTC; a bound by which an index is read."""
    return datetime.combine(day, time(), UTC)


def _fee(row: dict[str, Any]) -> dict[str, Any]:
    return {"fee_bp": None} if row["role"] == "driver" else {}


def flat_lines(rows: Rows) -> Rows:
    """Settlements as a table: a row for each line; a settlement without lines has one row."""
    return [
        row | {f"line_{name}": value for name, value in line.items()} for row in rows for line in row["lines"] or [{}]
    ]


async def _read(connection: AsyncConnection, query: Select[Any]) -> Rows:
    await connection.execute(PLAN_FOR_THESE_DAYS)
    found = (await connection.execute(query.limit(MOST_ROWS + 1))).all()
    if len(found) > MOST_ROWS:
        raise Conflict(f"These are more than {MOST_ROWS} rows: ask for fewer days.")
    return [dict(row._mapping) for row in found]


def _only(names: tuple[str, ...], row: dict[str, Any]) -> dict[str, Any]:
    return {name: row.get(name) for name in names}


def _text(minor: int | None, currency: str | None) -> str | None:
    return format_minor(minor, currency) if minor is not None and currency in MINOR_DIGITS else None
