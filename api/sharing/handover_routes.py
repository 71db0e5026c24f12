"""HTTP of the hand-over of a charge point: offering it, and accepting or declining an offer."""

from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from api.charge_points import gateways
from api.charge_points.bodies import CREDENTIALS_EXAMPLE, Credentials, charge_point_url
from api.errors import BadRequest, Conflict, InProgress, KeyReused, NotAllowed, NotFound
from api.idempotency import Idempotency, IdempotentRequest, earlier_answer, remember_answer
from api.identity.caller import Caller, CurrentCaller
from api.identity.email import Email
from api.identity.once import Once
from api.paging import Page, Paging
from api.problems import problem_docs
from api.request import Body, CurrentBus, CurrentDatabase, CurrentSettings, Now, Transaction
from api.schema import charge_points
from api.sharing import handover, invitations
from api.sharing.access import find_controlled
from api.sharing.post import CurrentPost

router = APIRouter(prefix="/api/v1", tags=["sharing"])

ACCEPTED_NOTE: Final = (
    "Write the key down now: it is shown once. The wallbox is let in again when it has this key. Then send it your "
    "local list, set a price, and share it anew."
)
NOT_SHOWN_AGAIN: Final = (
    "The key was shown in the first answer to this request and is not kept. Make a new one if it is lost."
)
HANDOVER_EXAMPLE: dict[str, Any] = {
    "id": "1c2d3e4f-5a6b-4c7d-8e9f-0a1b2c3d4e5f",
    "charge_point_id": "3f0f0a52-5a4d-4a8e-9c53-6d7f4f5a2b10",
    "charge_point_name": "Garage",
    "offered_by_name": "Jana",
    "email": "petr@example.com",
    "status": "offered",
    "expires_at": "2026-05-11T08:30:00Z",
    "ended_at": None,
    "created_at": "2026-05-04T08:30:00Z",
}


class NewHandover(Body):
    """To whom the charge point is offered."""

    model_config = ConfigDict(json_schema_extra={"example": {"email": "petr@example.com"}})

    email: Email = Field(description="of an account, or of one that is still to be made")


class Handover(BaseModel):
    """An offer of a charge point to a new owner."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": HANDOVER_EXAMPLE})

    id: UUID
    charge_point_id: UUID
    charge_point_name: str
    offered_by_name: str
    email: str
    status: Literal["offered", "accepted", "declined", "withdrawn"]
    expires_at: datetime
    ended_at: datetime | None
    created_at: datetime


class HandoverPage(Page[Handover]):
    """Offers, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [HANDOVER_EXAMPLE], "next_cursor": None}})


class AcceptedHandover(Credentials):
    """What the new owner types into the wallbox."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": CREDENTIALS_EXAMPLE
            | {"note": ACCEPTED_NOTE, "charge_point_id": HANDOVER_EXAMPLE["charge_point_id"]}
        }
    )

    charge_point_id: UUID


@router.post(
    "/charge-points/{charge_point_id}/handover",
    status_code=201,
    summary="Offer a charge point to a new owner",
    responses=problem_docs(BadRequest, NotAllowed, NotFound, Conflict, InProgress, KeyReused),
)
async def offer_charge_point(
    *,
    charge_point_id: UUID,
    body: NewHandover,
    caller: CurrentCaller,
    transaction: Transaction,
    once: Once,
    post: CurrentPost,
    now: Now,
) -> Handover:
    """For the owner. The offer stands for a week, and nothing changes until it is accepted. A mail tells of it."""
    charge_point = await find_controlled(transaction, caller, charge_point_id, now)
    if (earlier := await once.earlier(Handover)) is not None:
        return earlier
    row = await handover.offer(transaction, charge_point, charge_point.owner_id, body.email, now)
    await invitations.tell_of_offer(transaction, post, row, now)
    return await once.remember(Handover.model_validate(row))


@router.delete(
    "/charge-points/{charge_point_id}/handover",
    status_code=204,
    summary="Withdraw the offer of a charge point",
    responses=problem_docs(NotAllowed, NotFound),
)
async def withdraw_offer(*, charge_point_id: UUID, caller: CurrentCaller, transaction: Transaction, now: Now) -> None:
    """For the owner: it cannot be accepted any more."""
    await find_controlled(transaction, caller, charge_point_id, now)
    await handover.withdraw(transaction, charge_point_id, now)


@router.get("/handovers", summary="List offers of charge points", responses=problem_docs())
async def list_handovers(*, caller: CurrentCaller, transaction: Transaction, paging: Paging) -> HandoverPage:
    """What the caller offered and was offered, ended ones too, newest first."""
    rows, cursor = await handover.list_mine(transaction, caller, paging)
    return HandoverPage(items=[Handover.model_validate(row) for row in rows], next_cursor=cursor)


@router.post(
    "/handovers/{handover_id}/accept",
    status_code=201,
    summary="Accept a charge point",
    responses=problem_docs(BadRequest, NotFound, Conflict, InProgress, KeyReused),
)
async def accept_handover(
    *,
    handover_id: UUID,
    caller: CurrentCaller,
    database: CurrentDatabase,
    bus: CurrentBus,
    settings: CurrentSettings,
    idempotency: Idempotency,
    now: Now,
) -> AcceptedHandover:
    """Makes the caller the owner. Grants end, price and key are new, the wallbox is disconnected; not while a session
    runs. Sessions that were, and their money, stay with the old owner."""
    async with database.transaction() as transaction:
        charge_point_id, key = await _accept_once(transaction, caller, handover_id, idempotency, now)
        query = select(charge_points.c.identity).where(charge_points.c.id == charge_point_id)
        identity = (await transaction.execute(query)).scalar_one()
    if key is not None:
        await gateways.close_connection(bus, charge_point_id)
    url = charge_point_url(settings.public_ocpp_url, identity)
    note = ACCEPTED_NOTE if key else NOT_SHOWN_AGAIN
    return AcceptedHandover(charge_point_id=charge_point_id, identity=identity, url=url, key=key, note=note)


async def _accept_once(
    transaction: AsyncConnection, caller: Caller, handover_id: UUID, idempotency: IdempotentRequest, now: datetime
) -> tuple[UUID, str | None]:
    if (earlier := await earlier_answer(transaction, idempotency, caller.user_id, now)) is not None:
        return UUID(earlier["charge_point_id"]), None
    charge_point_id, key = await handover.accept(transaction, caller, handover_id, now)
    kept = {"charge_point_id": str(charge_point_id)}
    await remember_answer(transaction, idempotency, caller.user_id, now, kept)
    return charge_point_id, key


@router.post(
    "/handovers/{handover_id}/decline",
    status_code=204,
    summary="Decline a charge point",
    responses=problem_docs(NotFound, Conflict),
)
async def decline_handover(*, handover_id: UUID, caller: CurrentCaller, transaction: Transaction, now: Now) -> None:
    """The charge point stays with its owner."""
    await handover.decline(transaction, caller, handover_id, now)
