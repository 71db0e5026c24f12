"""The register continuity report of a wallbox: its sessions in pairs, as the audit finds them. Nothing here commits.

What fits and what does not is decided by `api.accounting.continuity`; registers are those that the wallbox sent.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Subquery, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from api.accounting.continuity import Gap, MeteredSession, audit_continuity
from api.errors import Conflict
from api.paging import PageRequest, read_page
from api.schema import transactions

MOST_ROWS: Final = 20_000
"""Of a CSV, which is made in memory."""
COLUMNS: Final = (
    "connector_id", "transaction_id", "stopped_at", "meter_stop_wh", "next_transaction_id", "next_started_at",
    "next_meter_start_wh", "gap_wh", "findings",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pair:
    """Two sessions that follow each other at a connector; `gap_wh` is None where the first has no end."""

    connector_id: int
    transaction_id: UUID
    stopped_at: datetime | None
    meter_stop_wh: int | None
    next_transaction_id: UUID
    next_started_at: datetime
    next_meter_start_wh: int
    findings: Sequence[Gap]

    @property
    def gap_wh(self) -> int | None:
        """What the register moved between them; negative where it went back."""
        return None if self.meter_stop_wh is None else self.next_meter_start_wh - self.meter_stop_wh


def _sessions(charge_point_id: UUID) -> Subquery:
    """Each session with the one before it at its connector, in the order of the audit."""
    table = transactions

    def before(column: ColumnElement[Any]) -> ColumnElement[Any]:
        order = (table.c.started_at, table.c.meter_start_wh, table.c.public_id)
        return func.lag(column).over(partition_by=table.c.connector_id, order_by=order).label(f"before_{column.key}")

    names = ("public_id", "started_at", "meter_start_wh", "stopped_at", "meter_stop_wh")
    columns = [table.c.id, table.c.connector_id, *(table.c[name] for name in names)]
    query = select(*columns, *(before(table.c[name]) for name in names))
    return query.where(table.c.charge_point_id == charge_point_id).subquery()


async def list_pairs(
    connection: AsyncConnection,
    charge_point_id: UUID,
    since: datetime | None,
    until: datetime | None,
    paging: PageRequest,
) -> tuple[list[Pair], str | None]:
    """The pairs whose later session began from `since` and before `until`, oldest first."""
    table = _sessions(charge_point_id)
    query = select(table).where(table.c.before_public_id.is_not(None))
    if since is not None:
        query = query.where(table.c.started_at >= since)
    if until is not None:
        query = query.where(table.c.started_at < until)
    rows, cursor = await read_page(connection, query, [table.c.started_at, table.c.id], paging, ascending=True)
    return [_pair(row, charge_point_id) for row in rows], cursor


async def read_pairs(
    connection: AsyncConnection, charge_point_id: UUID, since: datetime | None, until: datetime | None
) -> list[Pair]:
    """All of them.

    Raises:
        Conflict: more than a file may have.
    """
    pairs, cursor = await list_pairs(connection, charge_point_id, since, until, PageRequest(MOST_ROWS))
    if cursor is not None:
        raise Conflict(f"These are more than {MOST_ROWS} sessions: ask for a shorter time.")
    return pairs


def _pair(row: Row[Any], charge_point_id: UUID) -> Pair:
    place = (str(charge_point_id), row.connector_id)
    first = MeteredSession(str(row.before_public_id), *place, row.before_started_at, row.before_meter_start_wh,
                           row.before_stopped_at, row.before_meter_stop_wh)  # fmt: skip
    following = MeteredSession(str(row.public_id), *place, row.started_at, row.meter_start_wh, row.stopped_at,
                               row.meter_stop_wh)  # fmt: skip
    return Pair(
        connector_id=row.connector_id,
        transaction_id=row.before_public_id,
        stopped_at=row.before_stopped_at,
        meter_stop_wh=row.before_meter_stop_wh,
        next_transaction_id=row.public_id,
        next_started_at=row.started_at,
        next_meter_start_wh=row.meter_start_wh,
        findings=audit_continuity((first, following)),
    )


def to_csv(pairs: Iterable[Pair]) -> str:
    """RFC 4180 with a head; times are ISO 8601, findings are their kinds with a space between."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for pair in pairs:
        fields = {name: getattr(pair, name) for name in COLUMNS}
        fields["findings"] = " ".join(gap.kind for gap in pair.findings)
        writer.writerow(value.isoformat() if isinstance(value, datetime) else value for value in fields.values())
    return text.getvalue()
