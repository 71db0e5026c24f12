"""HTTP of sharing: with whom an owner shares a charge point."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.errors import BadRequest, InProgress, KeyReused, NotAllowed, NotFound
from api.idempotency import Idempotency, earlier_answer, remember_answer
from api.identity.caller import CurrentCaller
from api.identity.email import Email
from api.paging import Page, Paging
from api.problems import problem_docs
from api.request import Body, Now, Transaction
from api.sharing import operations
from api.sharing.access import find_controlled

router = APIRouter(prefix="/api/v1/charge-points/{charge_point_id}", tags=["sharing"])

GRANT_EXAMPLE: dict[str, Any] = {
    "id": "9d0b1a52-8f0e-4f0e-a1f4-2d1b6d9e7c33",
    "charge_point_id": "3f0f0a52-5a4d-4a8e-9c53-6d7f4f5a2b10",
    "email": "petr@example.com",
    "display_name": "Petr",
    "valid_from": "2026-05-04T08:30:00Z",
    "valid_until": None,
    "revoked_at": None,
    "created_at": "2026-05-04T08:30:00Z",
}


class NewGrant(Body):
    """With whom to share, and for how long."""

    model_config = ConfigDict(json_schema_extra={"example": {"email": "petr@example.com"}})

    email: Email = Field(description="the e-mail of the person's account")
    valid_from: AwareDatetime | None = Field(default=None, description="from now on where it is left out")
    valid_until: AwareDatetime | None = Field(default=None, description="until it is revoked where it is left out")


class Grant(BaseModel):
    """The right of a person to charge at a charge point."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": GRANT_EXAMPLE})

    id: UUID
    charge_point_id: UUID
    email: str
    display_name: str
    valid_from: datetime
    valid_until: datetime | None
    revoked_at: datetime | None
    created_at: datetime


class GrantPage(Page[Grant]):
    """Grants, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [GRANT_EXAMPLE], "next_cursor": None}})


@router.get("/grants", summary="List the grants", responses=problem_docs(NotAllowed, NotFound))
async def list_grants(
    *, charge_point_id: UUID, caller: CurrentCaller, transaction: Transaction, paging: Paging, now: Now
) -> GrantPage:
    """With whom this charge point is or was shared, newest first. For its owner."""
    await find_controlled(transaction, caller, charge_point_id, now)
    rows, cursor = await operations.list_grants(transaction, charge_point_id, paging)
    return GrantPage(items=[Grant.model_validate(row) for row in rows], next_cursor=cursor)


@router.post(
    "/grants",
    status_code=201,
    summary="Share a charge point",
    responses=problem_docs(BadRequest, NotAllowed, NotFound, InProgress, KeyReused),
)
async def create_grant(
    *,
    charge_point_id: UUID,
    body: NewGrant,
    caller: CurrentCaller,
    transaction: Transaction,
    idempotency: Idempotency,
    now: Now,
) -> Grant:
    """Lets a person charge here, at the price of the charge point. The person needs an account."""
    charge_point = await find_controlled(transaction, caller, charge_point_id, now)
    if (earlier := await earlier_answer(transaction, idempotency, caller.user_id, now)) is not None:
        return Grant.model_validate(earlier)
    valid_from = body.valid_from or now
    row = await operations.create_grant(
        transaction, charge_point, email=body.email, valid_from=valid_from, valid_until=body.valid_until, now=now
    )
    created = Grant.model_validate(row)
    await remember_answer(transaction, idempotency, caller.user_id, now, created.model_dump(mode="json"))
    return created


@router.delete(
    "/grants/{grant_id}", status_code=204, summary="Revoke a grant", responses=problem_docs(NotAllowed, NotFound)
)
async def revoke_grant(
    *, charge_point_id: UUID, grant_id: UUID, caller: CurrentCaller, transaction: Transaction, now: Now
) -> None:
    """Ends the right to start sessions at once; a running session goes on."""
    await find_controlled(transaction, caller, charge_point_id, now)
    await operations.revoke_grant(transaction, charge_point_id, grant_id, now)
