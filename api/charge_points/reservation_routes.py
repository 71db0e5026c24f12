"""HTTP of reservations: making one, cancelling it, and how each ended."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from api.charge_points import commands
from api.charge_points.command_routes import SENDING, Command, WaitSeconds
from api.charge_points.daily_routes import ConnectorOrAll
from api.charge_points.sending import CurrentSender
from api.charge_points.timestamps import format_timestamp
from api.database import find_one
from api.errors import Conflict, NotAllowed, NotFound
from api.identity.caller import CurrentCaller
from api.identity.id_tag_routes import TagText
from api.paging import Page, Paging, read_page
from api.problems import problem_docs
from api.request import Body, Instant, Now, Transaction
from api.schema import id_tags, reservations, transactions
from api.sharing.access import find_controlled, find_visible

router = APIRouter(prefix="/api/v1/charge-points/{charge_point_id}/reservations", tags=["reservations"])

RESERVATION_EXAMPLE: dict[str, Any] = {
    "reservation_id": 12,
    "connector_id": 1,
    "id_tag": "04A2B3C4D5E6F7",
    "parent_id_tag": None,
    "expires_at": "2026-05-04T10:00:00Z",
    "status": "accepted",
    "command_id": "f6b1f9d3-0b5e-4d43-9b6c-2a8f9d0c7e54",
    "transaction_id": None,
    "created_at": "2026-05-04T09:00:00Z",
    "ended_at": None,
}


class NewReservation(Body):
    """What to keep for whom."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"connector_id": 1, "id_tag": "04A2B3C4D5E6F7", "expires_at": "2026-05-04T10:00:00Z"}
        }
    )

    connector_id: ConnectorOrAll = Field(default=0, description="0: one of its connectors, whichever is free last")
    id_tag: TagText = Field(description="for whom; tags with the same parent may use it too")
    expires_at: Instant
    wait_s: WaitSeconds = 30


class Cancellation(Body):
    """How long to wait."""

    model_config = ConfigDict(json_schema_extra={"example": {"wait_s": 30}})

    wait_s: WaitSeconds = 30


class Reservation(BaseModel):
    """A reservation and what became of it."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": RESERVATION_EXAMPLE})

    reservation_id: int
    connector_id: int
    id_tag: str
    parent_id_tag: str | None
    expires_at: datetime
    status: str = Field(
        description="`requested`, `accepted`; refused as `faulted`, `occupied`, `rejected` or `unavailable`; `failed` "
        "where it never arrived; ended as `used`, `cancelled`, `expired`, `faulted` or `unavailable`"
    )
    command_id: UUID
    transaction_id: UUID | None = Field(description="the transaction that used it")
    created_at: datetime
    ended_at: datetime | None


class ReservationPage(Page[Reservation]):
    """Reservations, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [RESERVATION_EXAMPLE], "next_cursor": None}})


@router.post("", status_code=201, summary="Reserve a connector", responses=SENDING)
async def reserve_connector(charge_point_id: UUID, body: NewReservation, sender: CurrentSender) -> Command:
    """For the owner. The command's payload has the id of the reservation."""

    async def prepare(transaction: AsyncConnection) -> commands.Call:
        charge_point = await find_visible(transaction, sender.caller, charge_point_id, sender.now)
        tag = body.id_tag.upper()
        parent = select(id_tags.c.parent_tag).where(id_tags.c.tag == tag)
        parent_tag = (await transaction.execute(parent)).scalar_one_or_none()
        payload = {
            "connectorId": body.connector_id,
            "expiryDate": format_timestamp(body.expires_at),
            "idTag": tag,
            **({"parentIdTag": parent_tag} if parent_tag else {}),
            "reservationId": await _next_id(transaction, charge_point_id),
        }
        commands.check_call("ReserveNow", payload, sender.now)
        return await sender.allowed(transaction, charge_point, "ReserveNow", payload)

    return Command.model_validate(await sender.send(charge_point_id, prepare, body.wait_s))


async def _next_id(transaction: AsyncConnection, charge_point_id: UUID) -> int:
    lock = func.pg_advisory_xact_lock(func.hashtextextended(f"reservations:{charge_point_id}", 0))
    await transaction.execute(select(lock))
    highest = select(func.max(reservations.c.reservation_id)).where(reservations.c.charge_point_id == charge_point_id)
    return int((await transaction.execute(highest)).scalar_one() or 0) + 1


@router.get("", summary="List reservations", responses=problem_docs(NotAllowed, NotFound))
async def list_reservations(
    *, charge_point_id: UUID, caller: CurrentCaller, transaction: Transaction, paging: Paging, now: Now
) -> ReservationPage:
    """Reservations and how they ended, newest first. For the owner."""
    await find_controlled(transaction, caller, charge_point_id, now)
    columns = [column for column in reservations.c if column.name != "transaction_id"]
    query = (
        select(*columns, transactions.c.public_id.label("transaction_id"))
        .select_from(reservations.outerjoin(transactions, transactions.c.id == reservations.c.transaction_id))
        .where(reservations.c.charge_point_id == charge_point_id)
    )
    key = [reservations.c.created_at, reservations.c.reservation_id]
    rows, cursor = await read_page(transaction, query, key, paging)
    return ReservationPage(items=[Reservation.model_validate(row) for row in rows], next_cursor=cursor)


@router.post("/{reservation_id}/cancel", status_code=201, summary="Cancel a reservation", responses=SENDING)
async def cancel_reservation(
    charge_point_id: UUID, reservation_id: int, sender: CurrentSender, body: Cancellation | None = None
) -> Command:
    """For the owner: asks the charge point to let it go."""

    async def prepare(transaction: AsyncConnection) -> commands.Call:
        charge_point = await find_visible(transaction, sender.caller, charge_point_id, sender.now)
        call = await sender.allowed(transaction, charge_point, "CancelReservation", {"reservationId": reservation_id})
        if not 0 <= reservation_id < 2**31:
            raise NotFound
        this = (reservations.c.charge_point_id == charge_point_id, reservations.c.reservation_id == reservation_id)
        row = await find_one(transaction, select(reservations.c.status).where(*this))
        if row.status not in {"requested", "accepted"}:
            raise Conflict(f"This reservation is over: it is {row.status}.")
        return call

    return Command.model_validate(await sender.send(charge_point_id, prepare, (body or Cancellation()).wait_s))
