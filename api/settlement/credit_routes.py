"""HTTP of what drivers have to charge with: balance, credit limit and what starts keep; limits set by operators."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlalchemy import insert, select

from api.accounting.money import MINOR_DIGITS, format_minor
from api.charge_points.onboarding import check_operator
from api.credit.holds import Credit, lock_driver, read_credit
from api.database import raw
from api.errors import BadRequest, NotFound
from api.identity.caller import CurrentCaller
from api.problems import problem_docs
from api.request import Body, CurrentSettings, Note, Now, Transaction
from api.schema import credit_limits, users

router = APIRouter(prefix="/api/v1", tags=["payments"])

CREDIT_EXAMPLE: dict[str, Any] = {
    "currency": "CZK",
    "balance_minor": 62000,
    "limit_minor": 0,
    "held_minor": 50000,
    "available_minor": 12000,
    "available": "120.00",
}
LIMIT_EXAMPLE: dict[str, Any] = {
    "currency": "CZK",
    "limit_minor": 100000,
    "note": "Pays by invoice.",
    "set_by": "7f0c9a4e-3b77-4c0f-8f0e-6a2d3a1f9c11",
    "set_at": "2026-05-04T08:00:00Z",
}
HIGHEST_LIMIT = 100_000_000


def _known(currency: str) -> str:
    if currency not in MINOR_DIGITS:
        raise ValueError(f"must be one of {', '.join(MINOR_DIGITS)}")
    return currency


class CreditLine(BaseModel):
    """What a driver has to charge with in one currency; amounts in minor units."""

    model_config = ConfigDict(json_schema_extra={"example": CREDIT_EXAMPLE})

    currency: str
    balance_minor: int = Field(description="of the account as driver; negative is owed")
    limit_minor: int = Field(description="how far below zero the driver may charge")
    held_minor: int = Field(description="kept for sessions that are not settled yet")
    available_minor: int = Field(description="balance and limit less what is kept")
    available: str = Field(description="the same as decimal text")


class CreditList(BaseModel):
    """What a driver has to charge with."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [CREDIT_EXAMPLE]}})

    items: list[CreditLine] = Field(description="by currency; always the one in which people top up")


class NewLimit(Body):
    """How far below zero a driver may charge."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"currency": "CZK", "limit_minor": 100000, "note": "Pays by invoice."}}
    )

    currency: Annotated[str, AfterValidator(_known)] = Field(max_length=3)
    limit_minor: int = Field(ge=0, le=HIGHEST_LIMIT, description="in minor units")
    note: Note


class Limit(BaseModel):
    """Who set which limit, when and why."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": LIMIT_EXAMPLE})

    currency: str
    limit_minor: int
    note: str
    set_by: UUID
    set_at: datetime


class LimitList(BaseModel):
    """All limits that were ever set for a driver, newest first: the first of a currency holds."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [LIMIT_EXAMPLE]}})

    items: list[Limit]


@router.get("/credit", summary="Read what is available", responses=problem_docs())
async def read_own_credit(caller: CurrentCaller, transaction: Transaction, settings: CurrentSettings) -> CreditList:
    """What the caller can charge with as a guest. A start keeps a part of it until its session is settled."""
    found = await read_credit(await raw(transaction), caller.user_id, settings.credit_limit_minor)
    found.setdefault(settings.bank_currency, Credit(0, settings.credit_limit_minor, 0))
    return CreditList(items=[_line(currency, found[currency]) for currency in sorted(found)])


@router.get(
    "/operator/users/{user_id}/credit-limit", summary="List a driver's credit limits", responses=problem_docs(NotFound)
)
async def list_credit_limits(user_id: UUID, caller: CurrentCaller, transaction: Transaction) -> LimitList:
    """Every limit that an operator ever set for this driver, newest first. For operators."""
    check_operator(caller)
    query = select(credit_limits).where(credit_limits.c.user_id == user_id).order_by(credit_limits.c.id.desc())
    return LimitList(items=[Limit.model_validate(row) for row in await transaction.execute(query)])


@router.put(
    "/operator/users/{user_id}/credit-limit",
    summary="Set a driver's credit limit",
    responses=problem_docs(BadRequest, NotFound),
)
async def set_credit_limit(
    user_id: UUID, body: NewLimit, caller: CurrentCaller, transaction: Transaction, now: Now
) -> Limit:
    """For operators; it is recorded who set it and why. A session that runs goes on."""
    check_operator(caller)
    if (await transaction.execute(select(users.c.id).where(users.c.id == user_id))).first() is None:
        raise NotFound
    await lock_driver(await raw(transaction), user_id)
    values = {**body.model_dump(), "user_id": user_id, "set_by": caller.user_id, "set_at": now}
    row = await transaction.execute(insert(credit_limits).values(values).returning(credit_limits))
    return Limit.model_validate(row.one())


def _line(currency: str, credit: Credit) -> CreditLine:
    return CreditLine(
        currency=currency,
        balance_minor=credit.balance_minor,
        limit_minor=credit.limit_minor,
        held_minor=credit.held_minor,
        available_minor=credit.available_minor,
        available=format_minor(credit.available_minor, currency),
    )
