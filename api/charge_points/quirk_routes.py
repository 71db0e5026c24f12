"""HTTP of quirks: what a charge point may depart from in OCPP 1.6, and what is suggested from what it sent."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from api.charge_points import gateways
from api.charge_points.profiles import suggested_by_profile
from api.errors import BadRequest, NotAllowed, NotFound
from api.identity.caller import CurrentCaller
from api.problems import problem_docs
from api.request import Body, CurrentBus, CurrentDatabase, Now, Transaction
from api.schema import charge_points, quirk_sightings
from api.sharing.access import find_controlled
from wire.messages import ChargePointChanged
from wire.quirks import QUIRKS

router = APIRouter(prefix="/api/v1/charge-points/{charge_point_id}/quirks", tags=["quirks"])

QUIRK_EXAMPLE: dict[str, Any] = {
    "name": "timestamp_without_zone",
    "concerns": "frames",
    "seen": "Times come without a zone, such as 2026-05-04T09:00:00.",
    "tolerated": "They are taken as UTC.",
    "active": False,
    "suggested": True,
    "count": 14,
    "last_seen_at": "2026-05-04T09:00:00Z",
    "profile": None,
}
QUIRKS_EXAMPLE: dict[str, Any] = {"active": [], "suggested": ["timestamp_without_zone"], "all": [QUIRK_EXAMPLE]}


class QuirkState(BaseModel):
    """A quirk, as it stands at one charge point."""

    model_config = ConfigDict(json_schema_extra={"example": QUIRK_EXAMPLE})

    name: str
    concerns: Literal["frames", "connection", "sessions"]
    seen: str = Field(description="how such a charge point departs from OCPP 1.6")
    tolerated: str = Field(description="what happens once the quirk is set")
    active: bool
    suggested: bool = Field(description="not set, and it would help: it was seen, or the profile of the model says so")
    count: int = Field(description="messages that were refused or held and that it would have let through")
    last_seen_at: datetime | None
    profile: str | None = Field(description="what is known of this vendor and model")


class QuirkList(BaseModel):
    """The quirks of a charge point."""

    model_config = ConfigDict(json_schema_extra={"example": QUIRKS_EXAMPLE})

    active: list[str]
    suggested: list[str]
    all: list[QuirkState]


def _check_quirk(name: str) -> str:
    if name not in QUIRKS:
        raise ValueError("no such quirk")
    return name


class QuirkChoice(Body):
    """The quirks that shall count from now on; the rest is strict."""

    model_config = ConfigDict(json_schema_extra={"example": {"quirks": ["timestamp_without_zone"]}})

    quirks: list[Annotated[str, AfterValidator(_check_quirk)]] = Field(max_length=len(QUIRKS))


@router.get("", summary="Read the quirks", responses=problem_docs(NotAllowed, NotFound))
async def read_quirks(*, charge_point_id: UUID, caller: CurrentCaller, transaction: Transaction, now: Now) -> QuirkList:
    """Every quirk with its description, which are set, and which would help this charge point. For its owner."""
    row = await find_controlled(transaction, caller, charge_point_id, now)
    return await _describe(transaction, row, row.quirks)


@router.put("", summary="Set the quirks", responses=problem_docs(BadRequest, NotAllowed, NotFound))
async def set_quirks(
    *,
    charge_point_id: UUID,
    body: QuirkChoice,
    caller: CurrentCaller,
    database: CurrentDatabase,
    bus: CurrentBus,
    now: Now,
) -> QuirkList:
    """They count at once, also for a charge point that is connected. Messages set aside can then be replayed."""
    quirks = sorted(set(body.quirks))
    async with database.transaction() as transaction:
        row = await find_controlled(transaction, caller, charge_point_id, now)
        this = charge_points.c.id == charge_point_id
        await transaction.execute(update(charge_points).where(this).values(quirks=quirks))
        described = await _describe(transaction, row, quirks)
    await gateways.push(bus, ChargePointChanged(str(charge_point_id), quirks=quirks))
    return described


async def _describe(connection: AsyncConnection, row: Row[Any], active: list[str]) -> QuirkList:
    query = select(quirk_sightings).where(quirk_sightings.c.charge_point_id == row.id)
    sightings = {each["quirk"]: each for each in (await connection.execute(query)).mappings()}
    profile = suggested_by_profile(row.boot.get("chargePointVendor"), row.boot.get("chargePointModel"))
    states = [
        QuirkState(
            name=name,
            concerns=quirk.concerns,
            seen=quirk.seen,
            tolerated=quirk.tolerated,
            active=name in active,
            suggested=name not in active and (name in sightings or name in profile),
            count=sightings[name]["count"] if name in sightings else 0,
            last_seen_at=sightings[name]["last_seen_at"] if name in sightings else None,
            profile=profile.get(name),
        )
        for name, quirk in QUIRKS.items()
    ]
    suggested = [state.name for state in states if state.suggested]
    return QuirkList(active=sorted(active), suggested=suggested, all=states)
