"""Transactions as owners and drivers read them: queries only, scoped to the caller. Nothing here commits."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Column, Row, Select, func, literal_column, or_, select

from api.identity.caller import Caller
from api.paging import Listing, PageRequest, Window
from api.prepared import Connection, Prepared, slot
from api.schema import charge_points, meter_values, transactions


@dataclass(frozen=True, slots=True)
class TransactionFilter:
    """Which transactions; None: any. Times are those of the start."""

    charge_point_id: UUID | None = None
    status: str | None = None
    held: bool | None = None
    since: datetime | None = None
    until: datetime | None = None


LISTED: Final = tuple(
    transactions.c[name]
    for name in (
        *("id", "public_id", "charge_point_id", "connector_id", "ocpp_transaction_id", "id_tag", "id_tag_status"),
        *("driver_id", "status", "started_at", "stopped_at", "stop_reason", "meter_start_wh", "meter_stop_wh"),
        *("energy_wh", "currency", "total_minor", "held_reasons"),
    )
)
"""What a list shows; some of the others are large."""
OWNED: Final = transactions.c.owner_id == slot("user_id", UUID)
DRIVEN: Final = transactions.c.driver_id == slot("user_id", UUID)
"""Who owned the charge point at the start sees the session, also after a hand-over; drivers what they charged."""
HELD: Final = {
    True: func.cardinality(transactions.c.held_reasons) > literal_column("0"),
    False: func.cardinality(transactions.c.held_reasons) <= literal_column("0"),
}
CONDITIONS: Final = {
    "charge_point_id": transactions.c.charge_point_id == slot("charge_point_id", UUID),
    "status": transactions.c.status == slot("status", str),
    "since": transactions.c.started_at >= slot("since", datetime),
    "until": transactions.c.started_at < slot("until", datetime),
}


def _select(columns: Iterable[Column[Any]] = transactions.c) -> Select[Any]:
    joined = transactions.join(charge_points, charge_points.c.id == transactions.c.charge_point_id)
    return select(*columns, charge_points.c.name.label("charge_point_name")).select_from(joined)


async def list_visible(
    connection: Connection, caller: Caller, wanted: TransactionFilter, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """The transactions that a caller sees, by their start, newest first."""
    values = {name: getattr(wanted, name) for name in TransactionFilter.__slots__}
    given = tuple(name for name, value in values.items() if value is not None)
    listing = _listing(caller.is_operator, given, wanted.held)
    return await listing.page(connection, paging, {**values, "user_id": caller.user_id})


@cache
def _listing(operator: bool, given: tuple[str, ...], held: bool | None) -> Listing:
    """For each set of filters; who asks, and the values, are slots."""
    table = transactions
    conditions = [CONDITIONS[name] for name in given if name != "held"] + ([] if held is None else [HELD[held]])

    def build(window: Window) -> Select[Any]:
        if operator:
            return _select(LISTED).where(*conditions)
        mine = select(table.c.started_at, table.c.id).where(*conditions)
        page = window.of_all([mine.where(OWNED), mine.where(DRIVEN, ~OWNED)])
        return _select(LISTED).join(page, page.c.id == table.c.id)

    return Listing(build, [table.c.started_at, table.c.id])


async def find(connection: Connection, caller: Caller, public_id: UUID) -> Row[Any]:
    """One transaction.

    Raises:
        NotFound: the caller does not see it.
    """
    return await _one(caller.is_operator).one(connection, {"user_id": caller.user_id, "public_id": public_id})


@cache
def _one(operator: bool) -> Prepared:
    query = _select().where(transactions.c.public_id == slot("public_id", UUID))
    return Prepared(query if operator else query.where(or_(OWNED, DRIVEN)))


async def list_meter_values(
    connection: Connection, transaction: Row[Any], paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """The meter values of a transaction, oldest first."""
    values = {"transaction_id": transaction.id, "charge_point_id": transaction.charge_point_id}
    return await _meter_values().page(connection, paging, values)


@cache
def _meter_values() -> Listing:
    table = meter_values
    query = select(table).where(
        table.c.transaction_id == slot("transaction_id", int),
        table.c.charge_point_id == slot("charge_point_id", UUID),
    )
    return Listing(lambda _: query, [table.c.sampled_at, table.c.connector_id, table.c.digest], ascending=True)
