"""HTTP of unknown identities that knock, for operators: see them, adopt them for an owner."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.charge_points import onboarding, operations
from api.charge_points.bodies import CreatedChargePoint, RatedPower, TimeZone, describe
from api.errors import BadRequest, Conflict, NotFound
from api.identity.caller import CurrentCaller
from api.paging import Page, Paging
from api.problems import problem_docs
from api.request import Body, CurrentSettings, Name, Now, Transaction

router = APIRouter(prefix="/api/v1/operator/knocks", tags=["system"])

KNOCK_EXAMPLE: dict[str, Any] = {
    "id": 12,
    "identity": "EVB-P1748",
    "remote_address": "203.0.113.9",
    "count": 37,
    "first_at": "2026-05-04T08:00:00Z",
    "last_at": "2026-05-04T09:00:00Z",
}
SHOWN_ONCE = "Write the key down now: it is shown once."
IMPORTED = "The wallbox keeps the key that it has."
KnockId = Annotated[int, Path(ge=1, le=2**63 - 1)]


class Knock(BaseModel):
    """An identity that knocked and is nobody's."""

    model_config = ConfigDict(json_schema_extra={"example": KNOCK_EXAMPLE})

    id: int
    identity: str
    remote_address: str = Field(description="from where it knocked last")
    count: int
    first_at: datetime
    last_at: datetime


class KnockPage(Page[Knock]):
    """Knocks, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [KNOCK_EXAMPLE], "next_cursor": None}})


class Adoption(Body):
    """For whom a wallbox that knocks is brought in."""

    model_config = ConfigDict(json_schema_extra={"example": {"owner_email": "jana@example.org", "name": "Garage"}})

    owner_email: str = Field(max_length=254, description="of somebody who has registered")
    name: Name = Field(description="a name for people")
    time_zone: TimeZone = Field(default="Europe/Prague", description="IANA zone in which tariffs count days")
    rated_power_w: RatedPower | None = Field(default=None, description="most that the wallbox can deliver, in W")
    key: Annotated[str, StringConstraints(min_length=16, max_length=40)] | None = Field(
        default=None, description="the key that the wallbox has already, at least 16 characters; left out: a new one"
    )


@router.get("", summary="List unknown identities that knock", responses=problem_docs(NotFound))
async def list_knocks(*, caller: CurrentCaller, transaction: Transaction, paging: Paging) -> KnockPage:
    """Wallboxes that try to connect and are nobody's, the last one first. For operators."""
    onboarding.check_operator(caller)
    rows, cursor = await onboarding.list_knocks(transaction, paging)
    return KnockPage(items=[Knock.model_validate(dict(row._mapping)) for row in rows], next_cursor=cursor)


@router.post(
    "/{knock_id}/adopt",
    status_code=201,
    summary="Adopt a knocking wallbox",
    responses=problem_docs(BadRequest, NotFound, Conflict),
)
async def adopt_knock(
    *,
    knock_id: KnockId,
    body: Adoption,
    caller: CurrentCaller,
    transaction: Transaction,
    settings: CurrentSettings,
    now: Now,
) -> CreatedChargePoint:
    """Brings it in for its owner. The answer has the key to type in, unless the wallbox keeps its own."""
    onboarding.check_operator(caller)
    identity = await onboarding.take_knock(transaction, knock_id)
    owner_id = await onboarding.find_owner(transaction, body.owner_email)
    fields = body.model_dump(include={"name", "time_zone", "rated_power_w", "key"})
    charge_point_id, key = await operations.create(transaction, owner_id, identity=identity, **fields, now=now)
    row = await operations.find(transaction, caller, charge_point_id, now)
    shown = describe(row, online=False, public_ocpp_url=settings.public_ocpp_url).model_dump()
    return CreatedChargePoint(**shown, key=None if body.key else key, note=IMPORTED if body.key else SHOWN_ONCE)


@router.delete("/{knock_id}", status_code=204, summary="Forget a knock", responses=problem_docs(NotFound))
async def forget_knock(*, knock_id: KnockId, caller: CurrentCaller, transaction: Transaction) -> None:
    """It comes back when it knocks again. For operators."""
    onboarding.check_operator(caller)
    await onboarding.take_knock(transaction, knock_id)
