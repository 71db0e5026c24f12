"""HTTP of bookings: a connector kept for whoever may charge there, now or later; what became of it; cancelling it."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from api.accounting.money import format_minor
from api.charge_points.command_routes import own_tag
from api.errors import (
    BadRequest,
    ChargingRefused,
    Conflict,
    ConnectorReserved,
    CreditTooLow,
    InProgress,
    KeyReused,
    NotAllowed,
    NotFound,
)
from api.identity.caller import Caller, CurrentCaller
from api.identity.id_tag_routes import TagText
from api.identity.once import Once
from api.paging import Page, Paging
from api.problems import problem_docs
from api.request import Body, CurrentSettings, Instant, Now, Transaction
from api.sharing import bookings
from api.sharing.access import find_controlled, find_visible

router = APIRouter(prefix="/api/v1", tags=["reservations"])

BOOKING_ID: Final = "5f2c1b0a-8d0e-4d1e-9a55-0b7e3c7d9a41"
BOOKING_EXAMPLE: dict[str, Any] = {
    "id": BOOKING_ID,
    "charge_point_id": "3f0f0a52-5a4d-4a8e-9c53-6d7f4f5a2b10",
    "connector_id": 1,
    "is_mine": True,
    "starts_at": "2026-05-04T20:00:00Z",
    "ends_at": "2026-05-04T22:00:00Z",
    "status": "standing",
    "free_cancellation_until": "2026-05-04T20:10:00Z",
    "currency": "CZK",
    "no_show_fee_minor": 5000,
    "no_show_fee": "50.00",
    "is_no_show": False,
    "is_told": False,
    "transaction_id": None,
    "created_at": "2026-05-04T09:00:00Z",
    "ended_at": None,
}
STATUSES: Final = (
    "`standing`; `used` by a session of its holder; `cancelled`; `expired` unused; `faulted` or `unavailable`: the "
    "connector failed; `withdrawn`: its holder may not charge there any more"
)


class NewBooking(Body):
    """Which connector, and for when."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"connector_id": 1, "starts_at": "2026-05-04T20:00:00Z", "ends_at": "2026-05-04T22:00:00Z"}
        }
    )

    connector_id: Annotated[int, Field(ge=1, le=2**31 - 1)]
    starts_at: Instant | None = Field(default=None, description="left out: now")
    ends_at: Instant = Field(description="until when it is kept at the longest; a session may go on after it")
    id_tag: TagText | None = Field(default=None, description="one of the caller's; the app's where it is left out")


class Booking(BaseModel):
    """A connector that is kept for somebody, and what became of it."""

    model_config = ConfigDict(json_schema_extra={"example": BOOKING_EXAMPLE})

    id: UUID
    charge_point_id: UUID
    connector_id: int
    is_mine: bool = Field(description="whether it is kept for the caller")
    starts_at: datetime
    ends_at: datetime
    status: str = Field(description=STATUSES)
    free_cancellation_until: datetime = Field(description="later, its holder owes the no-show fee for cancelling it")
    currency: str | None
    no_show_fee_minor: int = Field(description="by the tariff in force at `starts_at`, frozen; 0: there is none")
    no_show_fee: str | None = Field(description="the same as decimal text")
    is_no_show: bool = Field(description="whether the fee is due, or paid")
    is_told: bool = Field(description="whether the charge point was asked to keep it too (ReserveNow)")
    transaction_id: UUID | None = Field(description="the session that used it")
    created_at: datetime
    ended_at: datetime | None


class BookingPage(Page[Booking]):
    """Bookings, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [BOOKING_EXAMPLE], "next_cursor": None}})


def _describe(row: Row[Any], caller: Caller) -> Booking:
    fee = format_minor(row.no_show_fee_minor, row.currency) if row.currency else None
    return Booking.model_validate(
        {
            **row._mapping,
            "is_mine": row.user_id == caller.user_id,
            "free_cancellation_until": row.starts_at + bookings.IN_TIME,
            "no_show_fee": fee,
            "is_told": row.command_id is not None,
        }
    )


@router.post(
    "/charge-points/{charge_point_id}/bookings",
    status_code=201,
    summary="Reserve a connector for a while",
    responses=problem_docs(
        BadRequest, CreditTooLow, ChargingRefused, NotFound, Conflict, ConnectorReserved, InProgress, KeyReused
    ),
)
async def book_connector(
    *,
    charge_point_id: UUID,
    body: NewBooking,
    caller: CurrentCaller,
    transaction: Transaction,
    once: Once,
    settings: CurrentSettings,
    now: Now,
) -> Booking:
    """For owners and guests who may charge there through all of that time.

    Nobody else starts a session at the connector meanwhile, the owner's other guests and the owner included. When its
    time comes, the charge point is asked to keep it too, where it can. Not coming costs the tariff's no-show fee.
    """
    charge_point = await find_visible(transaction, caller, charge_point_id, now)
    if (earlier := await once.earlier(Booking)) is not None:
        return earlier
    tag = await own_tag(transaction, caller, body.id_tag)
    bounds = bookings.Bounds(
        timedelta(minutes=settings.booking_longest_minutes),
        timedelta(days=settings.booking_horizon_days),
        settings.credit_limit_minor,
    )
    slot = bookings.Slot(charge_point, body.connector_id, body.starts_at or now, body.ends_at, tag)
    bookings.check_times(slot.starts_at, slot.ends_at, bounds, now)
    booking_id = await bookings.book(transaction, caller.user_id, slot, bounds, now)
    return await once.remember(_describe(await bookings.find(transaction, caller, booking_id), caller))


@router.get(
    "/charge-points/{charge_point_id}/bookings",
    summary="List what is reserved at a charge point",
    responses=problem_docs(NotAllowed, NotFound),
)
async def list_bookings_of_charge_point(
    *, charge_point_id: UUID, caller: CurrentCaller, transaction: Transaction, paging: Paging, now: Now
) -> BookingPage:
    """For the owner: when its connectors are and were kept, newest first. For whom is not shown."""
    charge_point = await find_controlled(transaction, caller, charge_point_id, now)
    rows, cursor = await bookings.list_of_charge_point(transaction, charge_point, paging)
    return BookingPage(items=[_describe(row, caller) for row in rows], next_cursor=cursor)


@router.get("/bookings", summary="List own bookings", responses=problem_docs())
async def list_bookings(caller: CurrentCaller, transaction: Transaction, paging: Paging) -> BookingPage:
    """What the caller reserved, ended ones too, newest first."""
    rows, cursor = await bookings.list_own(transaction, caller, paging)
    return BookingPage(items=[_describe(row, caller) for row in rows], next_cursor=cursor)


@router.get("/bookings/{booking_id}", summary="Read a booking", responses=problem_docs(NotFound))
async def read_booking(booking_id: UUID, caller: CurrentCaller, transaction: Transaction) -> Booking:
    """For its holder, and for the owner of the charge point."""
    return _describe(await bookings.find(transaction, caller, booking_id), caller)


@router.post("/bookings/{booking_id}/cancel", summary="Cancel a booking", responses=problem_docs(NotFound, Conflict))
async def cancel_booking(booking_id: UUID, caller: CurrentCaller, transaction: Transaction, now: Now) -> Booking:
    """For its holder, and for the owner of the charge point, who never makes the holder pay by it.

    Its holder cancels for nothing until `free_cancellation_until`. A charge point that keeps it lets it go.
    """
    return _describe(await bookings.cancel(transaction, caller, booking_id, now), caller)
