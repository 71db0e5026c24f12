"""Transactions as owners and drivers read them: queries only, scoped to the caller. Nothing here commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, func, literal_column, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from api.errors import NotFound
from api.identity.caller import Caller
from api.paging import PageRequest, read_page
from api.schema import charge_points, meter_values, transactions


@dataclass(frozen=True, slots=True)
class TransactionFilter:
    """Which transactions; None: any. Times are those of the start."""

    charge_point_id: UUID | None = None
    status: str | None = None
    held: bool | None = None
    since: datetime | None = None
    until: datetime | None = None


def _select(caller: Caller) -> Select[Any]:
    columns = (transactions, charge_points.c.name.label("charge_point_name"))
    joined = transactions.join(charge_points, charge_points.c.id == transactions.c.charge_point_id)
    return select(*columns).select_from(joined).where(_is_visible(caller))


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
    query = _select(caller)
    if wanted.charge_point_id is not None:
        query = query.where(table.c.charge_point_id == wanted.charge_point_id)
    if wanted.status is not None:
        query = query.where(table.c.status == wanted.status)
    if wanted.held is not None:
        held = func.cardinality(table.c.held_reasons) > literal_column("0")
        query = query.where(held if wanted.held else ~held)
    if wanted.since is not None:
        query = query.where(table.c.started_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(table.c.started_at < wanted.until)
    return await read_page(connection, query, [table.c.started_at, table.c.id], paging)


async def find(connection: AsyncConnection, caller: Caller, public_id: UUID) -> Row[Any]:
    """One transaction.

    Raises:
        NotFound: the caller does not see it.
    """
    query = _select(caller).where(transactions.c.public_id == public_id)
    row: Row[Any] | None = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound
    return row


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
