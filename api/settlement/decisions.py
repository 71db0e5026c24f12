"""What people decide about sessions: bill or waive one that is held, correct one. Nothing here commits.

Starts and Stops of the charge point wait meanwhile, and of two decisions about one session the second sees the first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from api import audit
from api.accounting.rating import rate, record_to_json
from api.accounting.samples import Sample
from api.accounting.tariff import tariff_from_document
from api.database import raw
from api.errors import Conflict, NotAllowed
from api.identity.caller import Caller
from api.schema import decisions
from api.settlement.settling import NotBillableError, Session, lock_named, settle
from api.transactions import operations
from api.transactions.start import lock_charge_point
from api.transactions.stop import MOST_SAMPLES, SAMPLES

BILL: Final = "bill"
WAIVE: Final = "waive"
CORRECT: Final = "correct"
Decision = Literal["bill", "waive", "correct"]
RECORD: Final = """
insert into decisions (transaction_id, decision, note, held_reasons, meter_start_wh, meter_stop_wh, stopped_at,
    decided_by, decided_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning id
"""
RELEASE: Final = """
update transactions set status = 'stopped', held_reasons = '{}', energy_wh = coalesce($2, energy_wh), total_minor = $3,
    charge_detail_record = $4::text::jsonb
where id = $1
"""


@dataclass(frozen=True, slots=True)
class Registers:
    """What an operator knows better than the wallbox; None: as the wallbox said."""

    meter_start_wh: int | None = None
    meter_stop_wh: int | None = None
    stopped_at: datetime | None = None


AS_MEASURED: Final = Registers()


@dataclass(frozen=True, slots=True)
class Order:
    """A decision that is to be carried out."""

    decision: Decision
    note: str
    by: UUID
    at: datetime
    registers: Registers = AS_MEASURED


async def find_decided_by(connection: AsyncConnection, caller: Caller, public_id: UUID) -> Row[Any]:
    """The transaction, for those who decide about it: the owner of its charge point and operators.

    Raises:
        NotFound: the caller does not see it.
        NotAllowed: the caller is its driver.
    """
    row = await operations.find(connection, caller, public_id)
    if not caller.is_operator and row.owner_id != caller.user_id:
        raise NotAllowed
    return row


async def list_decisions(connection: AsyncConnection, transaction_id: int) -> Sequence[Row[Any]]:
    """All decisions about a transaction, oldest first."""
    table = decisions
    query = select(table).where(table.c.transaction_id == transaction_id).order_by(table.c.decided_at, table.c.id)
    return (await connection.execute(query)).all()


async def carry_out(connection: AsyncConnection, decided: Row[Any], order: Order, fee_bp: int) -> Row[Any]:
    """Records the decision, makes it what stands in the ledger, and releases the session.

    Raises:
        Conflict: the session runs, is not held (bill, waive), or cannot be priced or posted so.
    """
    driver = await raw(connection)
    await lock_charge_point(driver, str(decided.charge_point_id))
    session = await lock_named(driver, decided.public_id)
    _check_open_to(session, order.decision)
    record = None if order.decision == WAIVE else await _price(driver, session, order)
    registers = order.registers
    decision_id = await driver.fetchval(
        RECORD,
        *(session.id, order.decision, order.note, session.held_reasons),
        *(registers.meter_start_wh, registers.meter_stop_wh, registers.stopped_at, order.by, order.at),
    )
    if session.currency is not None:
        try:
            await settle(driver, session, record, fee_bp=fee_bp, now=order.at, decision_id=decision_id)
        except NotBillableError as error:
            raise Conflict(f"This session cannot be billed: {error}.") from error
    await _release(driver, session, record)
    await audit.record(connection, order.by, f"transaction.{order.decision}", decided.public_id, order.at)
    return (await connection.execute(select(decisions).where(decisions.c.id == decision_id))).one()


def _check_open_to(session: Session, decision: Decision) -> None:
    if session.status == "active":
        raise Conflict("This session is still running.")
    if decision != CORRECT and not session.held_reasons:
        raise Conflict("This session is not held: there is nothing to decide.")
    if decision == CORRECT and session.tariff is None:
        raise Conflict("This session had no price.")


async def _price(connection: asyncpg.Connection, session: Session, order: Order) -> Mapping[str, Any] | None:
    """The record to bill: the one that stands, or a new one where there is none or the registers are corrected."""
    if session.tariff is None:
        return None
    if order.decision == BILL and session.charge_detail_record is not None:
        return session.charge_detail_record
    registers = order.registers
    meter_start_wh = session.meter_start_wh if registers.meter_start_wh is None else registers.meter_start_wh
    meter_stop_wh = session.meter_stop_wh if registers.meter_stop_wh is None else registers.meter_stop_wh
    stopped_at = registers.stopped_at or session.stopped_at
    if meter_stop_wh is None or stopped_at is None:
        raise Conflict("This session was never stopped: a correction says when, and at which register.")
    rows = await connection.fetch(SAMPLES, session.id, MOST_SAMPLES)
    try:
        record = rate(
            tariff_from_document(session.tariff),
            meter_start_wh=meter_start_wh,
            meter_stop_wh=meter_stop_wh,
            started_at=session.started_at,
            stopped_at=stopped_at,
            samples=[Sample(**row) for row in rows],
            time_zone=session.time_zone,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Conflict(f"This session cannot be priced: {error}. A correction can say what it should be.") from error
    return record_to_json(record)


async def _release(connection: asyncpg.Connection, session: Session, record: Mapping[str, Any] | None) -> None:
    """A Stop that comes later than this differs from what was decided, and holds the session again."""
    nothing = None if session.currency is None else 0
    await connection.execute(
        RELEASE,
        session.id,
        record["energy_wh"] if record is not None else None,
        record["total_minor"] if record is not None else nothing,
        orjson.dumps(record).decode() if record is not None else None,
    )
