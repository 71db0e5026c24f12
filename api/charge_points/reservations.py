"""The life of a reservation (OCPP 1.6 5.13): requested, accepted, and how it ended. Effects only; nothing is sent here.

It ends by the Start that uses it, CancelReservation, its expiry, or a connector that is Faulted or Unavailable.
"""

from datetime import datetime
from typing import Final

import asyncpg

from api.charge_points.ended import Ended

ANSWERED: Final = """
update reservations set status = $3, ended_at = case when $3 = 'accepted' then null else $4::timestamptz end
where charge_point_id = $1 and command_id = $2 and status = 'requested'
"""
CANCELLED: Final = """
update reservations set status = 'cancelled', ended_at = $3
where charge_point_id = $1 and reservation_id = $2 and status in ('requested', 'accepted')
"""
USED: Final = """
update reservations set status = 'used', ended_at = $4, transaction_id = $3
where charge_point_id = $1 and reservation_id = $2 and status in ('requested', 'accepted')
"""
UNUSABLE: Final = """
update reservations set status = $3, ended_at = $4
where charge_point_id = $1 and ($2 = 0 or connector_id = $2) and status = 'accepted'
"""
EXPIRED: Final = """
update reservations set status = 'expired', ended_at = expires_at
where status in ('requested', 'accepted') and expires_at <= $1
"""
ENDING: Final = {"Faulted": "faulted", "Unavailable": "unavailable"}
REFUSALS: Final = frozenset({"Faulted", "Occupied", "Rejected", "Unavailable"})


async def answered(connection: asyncpg.Connection, ended: Ended) -> None:
    """ReserveNow: whether it stands; where nobody knows, it stays requested until it expires."""
    status = str(ended.response.get("status", ""))
    if ended.accepted:
        became = "accepted"
    elif status in REFUSALS:
        became = status.lower()
    elif ended.may_have_arrived:
        return
    else:
        became = "failed"
    await connection.execute(ANSWERED, ended.charge_point_id, ended.id, became, ended.at)


async def cancelled(connection: asyncpg.Connection, ended: Ended) -> None:
    """CancelReservation: a rejection means that the charge point knows no such reservation, and changes nothing."""
    if ended.accepted:
        await connection.execute(CANCELLED, ended.charge_point_id, ended.payload["reservationId"], ended.at)


async def used(
    connection: asyncpg.Connection, charge_point_id: object, reservation_id: int | None, transaction: int, at: datetime
) -> None:
    """A Start names the reservation that it ends (4.8)."""
    if reservation_id is not None and 0 <= reservation_id < 2**31:
        await connection.execute(USED, charge_point_id, reservation_id, transaction, at)


async def connector_changed(
    connection: asyncpg.Connection, charge_point_id: str, connector_id: int, status: str, at: datetime
) -> None:
    """A connector that is Faulted or Unavailable keeps no reservation; connector 0 stands for all."""
    if status in ENDING:
        await connection.execute(UNUSABLE, charge_point_id, connector_id, ENDING[status], at)


async def expire(connection: asyncpg.Connection, now: datetime) -> None:
    """Ends those whose time is over."""
    await connection.execute(EXPIRED, now)
