"""HTTP of security: events that charge points report, and the security profile of each."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select, update

from api.charge_points import gateways
from api.charge_points.command_routes import SENDING, Command, WaitSeconds
from api.charge_points.sending import CurrentSender
from api.errors import BadRequest, NotAllowed, NotFound
from api.identity.caller import CurrentCaller
from api.paging import Page, Paging, read_page
from api.problems import problem_docs
from api.request import Body, CurrentBus, CurrentDatabase, Now, Transaction
from api.schema import charge_points, security_events
from api.sharing.access import find_controlled

router = APIRouter(prefix="/api/v1/charge-points/{charge_point_id}", tags=["security"])

EVENT_EXAMPLE: dict[str, Any] = {
    "type": "TamperDetectionActivated",
    "at": "2026-05-04T09:00:00Z",
    "tech_info": "cover open",
    "is_critical": True,
    "received_at": "2026-05-04T09:00:00.120000Z",
}
PROFILE_EXAMPLE: dict[str, Any] = {"security_profile": 1}
MEANING = "0: open, 1: key, 2: key over TLS, 3: client certificate over TLS"


class SecurityEvent(BaseModel):
    """What the charge point noticed."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": EVENT_EXAMPLE})

    type: str
    at: datetime
    tech_info: str
    is_critical: bool = Field(description="somebody should look at it")
    received_at: datetime


class SecurityEventPage(Page[SecurityEvent]):
    """Security events, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [EVENT_EXAMPLE], "next_cursor": None}})


class SecurityProfile(BaseModel):
    """What a charge point needs to connect."""

    model_config = ConfigDict(json_schema_extra={"example": PROFILE_EXAMPLE})

    security_profile: int = Field(description=MEANING)


class SetProfile(Body):
    """Which profile is to be asked for at the next handshake."""

    model_config = ConfigDict(json_schema_extra={"example": PROFILE_EXAMPLE})

    security_profile: Annotated[int, Field(ge=0, le=3, description=MEANING)]


class RaiseProfile(Body):
    """To which profile the charge point is to rise."""

    model_config = ConfigDict(json_schema_extra={"example": {"security_profile": 2}})

    security_profile: Annotated[int, Field(ge=1, le=3, description=MEANING)]
    wait_s: WaitSeconds = 30


@router.get("/security-events", summary="List security events", responses=problem_docs(NotAllowed, NotFound))
async def list_security_events(
    *,
    charge_point_id: UUID,
    caller: CurrentCaller,
    transaction: Transaction,
    paging: Paging,
    now: Now,
    critical: Annotated[bool | None, Query(description="only critical ones, or only the others")] = None,
) -> SecurityEventPage:
    """What the charge point reported, newest first. For the owner."""
    await find_controlled(transaction, caller, charge_point_id, now)
    query = select(security_events).where(security_events.c.charge_point_id == charge_point_id)
    if critical is not None:
        query = query.where(security_events.c.is_critical.is_(critical))
    key = [security_events.c.received_at, security_events.c.id]
    rows, cursor = await read_page(transaction, query, key, paging)
    return SecurityEventPage(items=[SecurityEvent.model_validate(row) for row in rows], next_cursor=cursor)


@router.get("/security-profile", summary="Read the security profile", responses=problem_docs(NotAllowed, NotFound))
async def read_security_profile(
    *, charge_point_id: UUID, caller: CurrentCaller, transaction: Transaction, now: Now
) -> SecurityProfile:
    """What the charge point needs to connect. For the owner."""
    row = await find_controlled(transaction, caller, charge_point_id, now)
    return SecurityProfile(security_profile=row.security_profile)


@router.post("/security-profile", status_code=201, summary="Raise the security profile", responses=SENDING)
async def raise_security_profile(charge_point_id: UUID, body: RaiseProfile, sender: CurrentSender) -> Command:
    """For the owner: tells the charge point to rise. Once it has come with the new profile, a lower one is refused."""
    payload = {"key": "SecurityProfile", "value": str(body.security_profile)}
    return Command.model_validate(await sender.send_call(charge_point_id, "ChangeConfiguration", payload, body.wait_s))


@router.put(
    "/security-profile",
    summary="Set the security profile",
    responses=problem_docs(BadRequest, NotAllowed, NotFound),
)
async def set_security_profile(
    *,
    charge_point_id: UUID,
    body: SetProfile,
    caller: CurrentCaller,
    database: CurrentDatabase,
    bus: CurrentBus,
    now: Now,
) -> SecurityProfile:
    """For operators: what is asked for at the next handshake, without telling the charge point; also 0, or lower."""
    async with database.transaction() as transaction:
        await find_controlled(transaction, caller, charge_point_id, now)
        if not caller.is_operator:
            raise NotAllowed("Only an operator may set the security profile; an owner may raise it.")
        this = charge_points.c.id == charge_point_id
        values = {"security_profile": body.security_profile, "next_security_profile": None}
        await transaction.execute(update(charge_points).where(this).values(**values))
    await gateways.close_connection(bus, charge_point_id)
    return SecurityProfile(security_profile=body.security_profile)
