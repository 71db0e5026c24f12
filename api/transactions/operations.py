"""Transactions as owners and drivers read them: queries only, scoped to the caller. Nothing here commits."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Column, ColumnElement, Row, Select, func, literal_column, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from api.database import find_one
from api.identity.caller import Caller
from api.paging import PageRequest, merged, read_page
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


def _select(columns: Iterable[Column[Any]] = transactions.c) -> Select[Any]:
    joined = transactions.join(charge_points, charge_points.c.id == transactions.c.charge_point_id)
    return select(*columns, charge_points.c.name.label("charge_point_name")).select_from(joined)


def _is_visible(caller: Caller) -> ColumnElement[bool]:
    """Who owned the charge point at the start sees the session, also after a hand-over; drivers what they charged."""
    if caller.is_operator:
        return true()
    return or_(transactions.c.owner_id == caller.user_id, transactions.c.driver_id == caller.user_id)


async def list_visible(
    connection: AsyncConnection, caller: Caller, wanted: TransactionFilter, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """The transactions that a caller sees, by their start, newest first."""
    table = transactions
    key = [table.c.started_at, table.c.id]
    if caller.is_operator:
        return await read_page(connection, _select(LISTED).where(*_conditions(wanted)), key, paging)
    mine = select(table.c.id).where(*_conditions(wanted))
    owned, driven = table.c.owner_id == caller.user_id, table.c.driver_id == caller.user_id
    page = merged([mine.where(owned), mine.where(driven, ~owned)], key, paging)
    return await read_page(connection, _select(LISTED).join(page, page.c.id == table.c.id), key, paging)


def _conditions(wanted: TransactionFilter) -> list[ColumnElement[bool]]:
    table = transactions
    found: list[ColumnElement[bool]] = []
    if wanted.charge_point_id is not None:
        found.append(table.c.charge_point_id == wanted.charge_point_id)
    if wanted.status is not None:
        found.append(table.c.status == wanted.status)
    if wanted.held is not None:
        held = func.cardinality(table.c.held_reasons) > literal_column("0")
        found.append(held if wanted.held else ~held)
    if wanted.since is not None:
        found.append(table.c.started_at >= wanted.since)
    if wanted.until is not None:
        found.append(table.c.started_at < wanted.until)
    return found


async def find(connection: AsyncConnection, caller: Caller, public_id: UUID) -> Row[Any]:
    """One transaction.

    Raises:
        NotFound: the caller does not see it.
    """
    query = _select().where(_is_visible(caller), transactions.c.public_id == public_id)
    return await find_one(connection, query)


async def list_meter_values(
    connection: AsyncConnection, transaction: Row[Any], paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """The meter values of a transaction, oldest first."""
    table = meter_values
    query = select(table).where(
        table.c.transaction_id == transaction.id, table.c.charge_point_id == transaction.charge_point_id
    )
    key = [table.c.sampled_at, table.c.connector_id, table.c.digest]
    return await read_page(connection, query, key, paging, ascending=True)
