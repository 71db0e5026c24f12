"""HTTP of the dry run: may somebody charge at a connector now, or at a time, and if not, why not."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Final, get_args
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.database import raw
from api.errors import BadRequest, Invalid, NotAllowed, NotFound
from api.identity import id_tags
from api.identity.caller import Caller, CurrentCaller
from api.identity.email import Email
from api.identity.id_tag_routes import TagText
from api.problems import problem_docs
from api.request import Body, Instant, Now, Transaction
from api.sharing import operations
from api.sharing.access import GUEST, find_visible
from api.sharing.authorization import authorize
from api.sharing.decision import Code, Decision
from api.tariffs.bodies import Price, describe_price
from api.tariffs.in_force import tariff_in_force

router = APIRouter(prefix="/api/v1/charge-points/{charge_point_id}/connectors", tags=["sharing"])

FARTHEST: Final = timedelta(days=366)
ANSWER_EXAMPLE: dict[str, Any] = {
    "may_charge": True,
    "code": "accepted",
    "reason": "",
    "at": "2026-05-04T20:00:00Z",
    "until": "2026-05-05T04:00:00Z",
    "grant_id": "9d0b1a52-8f0e-4f0e-a1f4-2d1b6d9e7c33",
    "limits": {
        "max_energy_wh": 100000,
        "used_energy_wh": 42000,
        "max_amount_minor": None,
        "used_amount_minor": 0,
        "currency": None,
        "max_sessions": 1,
        "used_sessions": 0,
    },
    "price": {"tariff_version_id": None, "tariff_id": None, "tariff": None},
}

ConnectorId = Annotated[int, Path(ge=1, le=2**31 - 1)]


class Question(Body):
    """Who, and when; everything may be left out: the caller, now."""

    model_config = ConfigDict(json_schema_extra={"example": {"at": "2026-05-04T20:00:00Z"}})

    email: Email | None = Field(default=None, description="somebody else, whom the owner may ask about")
    id_tag: TagText | None = Field(default=None, description="one of that person's; the app's where it is left out")
    at: Instant | None = Field(default=None, description="at most a year from now; now where it is left out")


class Limits(BaseModel):
    """The limits of a grant, and what of them is used up."""

    model_config = ConfigDict(json_schema_extra={"example": ANSWER_EXAMPLE["limits"]})

    max_energy_wh: int | None
    used_energy_wh: int
    max_amount_minor: int | None
    used_amount_minor: int
    currency: str | None
    max_sessions: int | None
    used_sessions: int


class Answer(BaseModel):
    """Whether somebody may charge, and why not."""

    model_config = ConfigDict(json_schema_extra={"example": ANSWER_EXAMPLE})

    may_charge: bool
    code: str = Field(description=f"stable: {', '.join(get_args(Code))}")
    reason: str = Field(description="why not, as a sentence; empty where one may")
    at: datetime
    until: datetime | None = Field(description="when a yes ends: of the window, the grant or the id tag; null: open")
    grant_id: UUID | None = Field(description="the grant by which one may charge; null for the owner")
    limits: Limits | None = Field(description="of that grant")
    price: Price | None = Field(description="of a session that starts then; null where one may not charge")


@router.post(
    "/{connector_id}/may-charge",
    summary="Ask who may charge",
    responses=problem_docs(BadRequest, NotAllowed, NotFound),
)
async def may_charge(
    *,
    charge_point_id: UUID,
    connector_id: ConnectorId,
    caller: CurrentCaller,
    transaction: Transaction,
    now: Now,
    body: Question | None = None,
) -> Answer:
    """A start is asked for and not made: for oneself, or for somebody else where the caller is the owner."""
    question = body or Question()
    charge_point = await find_visible(transaction, caller, charge_point_id, now)
    if question.email is not None and charge_point.role == GUEST:
        raise NotAllowed("Only the owner of this charge point may ask about somebody else.")
    at = question.at or now
    if abs(at - now) > FARTHEST:
        raise Invalid.field("body.at", "must be within a year from now")
    tag = await _find_tag(transaction, caller, question)
    driver = await raw(transaction)
    decision = await authorize(driver, charge_point_id, tag, at, starting_on=connector_id)
    if not decision.accepted:
        return _describe(decision, at, None)
    return _describe(
        decision, at, describe_price(await tariff_in_force(driver, charge_point_id, decision.grant_id, at))
    )


async def _find_tag(transaction: AsyncConnection, caller: Caller, question: Question) -> str:
    user_id: UUID | None = caller.user_id
    if question.email is not None:
        user_id = await operations.find_person(transaction, question.email)
        if user_id is None:
            raise Invalid.field("body.email", "nobody with this e-mail has an account here")
    assert user_id is not None  # noqa: S101 - for the type checker
    tag = await id_tags.find_own(transaction, user_id, question.id_tag)
    if tag is None:
        raise Invalid.field("body.id_tag", "not an id tag of this person, or there is none for the app")
    return tag


def _describe(decision: Decision, at: datetime, price: Price | None) -> Answer:
    caps, used = decision.caps, decision.used
    limits = Limits(
        max_energy_wh=caps.energy_wh,
        used_energy_wh=used.energy_wh + used.running_energy_wh,
        max_amount_minor=caps.amount_minor,
        used_amount_minor=used.amount_minor,
        currency=caps.currency,
        max_sessions=caps.sessions,
        used_sessions=used.sessions,
    )
    return Answer(
        may_charge=decision.accepted,
        code=decision.code,
        reason=decision.reason,
        at=at,
        until=decision.expires_at if decision.accepted else None,
        grant_id=decision.grant_id,
        limits=limits if decision.grant_id is not None else None,
        price=price,
    )
