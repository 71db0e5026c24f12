"""HTTP of smart charging: the profiles that a charge point holds, and whether it does what they say."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from api.charge_points.command_routes import COMMAND_EXAMPLE, SENDING, Command, WaitSeconds
from api.charge_points.composite_schedule import NotComparable, Profile, agrees, expected_periods
from api.charge_points.daily_routes import ConnectorOrAll
from api.charge_points.sending import CurrentSender
from api.charge_points.timestamps import parse_timestamp
from api.errors import NotAllowed, NotFound
from api.identity.caller import CurrentCaller
from api.problems import problem_docs
from api.request import Body, Now, Transaction
from api.schema import charging_profiles, transactions
from api.sharing.access import find_controlled

router = APIRouter(prefix="/api/v1/charge-points/{charge_point_id}", tags=["smart charging"])

LONGEST_S = 7 * 24 * 3600
PROFILE_EXAMPLE: dict[str, Any] = {
    "charging_profile_id": 7,
    "connector_id": 1,
    "stack_level": 0,
    "purpose": "TxDefaultProfile",
    "profile": {
        "chargingProfileId": 7,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": {
            "chargingRateUnit": "A",
            "startSchedule": "2026-05-04T00:00:00Z",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}],
        },
    },
    "set_at": "2026-05-04T09:00:00Z",
}
REPORTED_EXAMPLE: dict[str, Any] = {
    "status": "Accepted",
    "connectorId": 1,
    "chargingSchedule": {
        "chargingRateUnit": "A",
        "duration": 3600,
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}],
    },
}
COMPARISON_EXAMPLE: dict[str, Any] = {
    "command": COMMAND_EXAMPLE
    | {
        "action": "GetCompositeSchedule",
        "payload": {"connectorId": 1, "duration": 3600, "chargingRateUnit": "A"},
        "response": REPORTED_EXAMPLE,
    },
    "expected": [{"start_s": 0, "limit": 16.0}],
    "agrees": True,
    "reason": None,
}


class ChargingProfile(BaseModel):
    """A profile that the charge point accepted."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": PROFILE_EXAMPLE})

    charging_profile_id: int
    connector_id: int
    stack_level: int
    purpose: str
    profile: dict[str, Any] = Field(description="as OCPP 1.6 defines it")
    set_at: datetime


class ChargingProfileList(BaseModel):
    """The profiles that the charge point holds."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [PROFILE_EXAMPLE]}})

    items: list[ChargingProfile]


class CompositeRequest(Body):
    """Of which connector, and for how long."""

    model_config = ConfigDict(json_schema_extra={"example": {"connector_id": 1, "duration_s": 3600, "unit": "A"}})

    connector_id: ConnectorOrAll = 1
    duration_s: Annotated[int, Field(ge=1, le=LONGEST_S)] = 3600
    unit: Literal["A", "W"] = "A"
    wait_s: WaitSeconds = 30


class Period(BaseModel):
    """From when on which limit holds."""

    start_s: int = Field(description="from now on")
    limit: float | None = Field(description="null: our profiles set none")


class Comparison(BaseModel):
    """What the charge point says it will do, beside what our profiles ask for."""

    model_config = ConfigDict(json_schema_extra={"example": COMPARISON_EXAMPLE})

    command: Command
    expected: list[Period] | None = Field(description="null where it cannot be told")
    agrees: bool | None = Field(description="null where it cannot be told")
    reason: str | None = Field(description="why it cannot be told")


@router.get("/charging-profiles", summary="List charging profiles", responses=problem_docs(NotAllowed, NotFound))
async def list_charging_profiles(
    *, charge_point_id: UUID, caller: CurrentCaller, transaction: Transaction, now: Now
) -> ChargingProfileList:
    """What the charge point accepted and was not told to clear. For the owner."""
    await find_controlled(transaction, caller, charge_point_id, now)
    query = select(charging_profiles).where(charging_profiles.c.charge_point_id == charge_point_id)
    rows = await transaction.execute(query.order_by(charging_profiles.c.connector_id, charging_profiles.c.stack_level))
    return ChargingProfileList(items=[ChargingProfile.model_validate(row) for row in rows])


@router.post("/composite-schedule", status_code=201, summary="Compare with the composite schedule", responses=SENDING)
async def compare_composite_schedule(
    charge_point_id: UUID, sender: CurrentSender, body: CompositeRequest | None = None
) -> Comparison:
    """Sends GetCompositeSchedule and holds the answer against the profiles that the charge point accepted."""
    request = body or CompositeRequest()
    payload = {
        "connectorId": request.connector_id,
        "duration": request.duration_s,
        "chargingRateUnit": request.unit,
    }
    row = await sender.send_call(charge_point_id, "GetCompositeSchedule", payload, request.wait_s)
    command = Command.model_validate(row)
    reported = (command.response or {}).get("chargingSchedule")
    async with sender.database.transaction() as transaction:
        return await _compare(transaction, request, command, reported)


async def _compare(
    transaction: AsyncConnection, request: CompositeRequest, command: Command, reported: dict[str, Any] | None
) -> Comparison:
    rows = await transaction.execute(
        select(charging_profiles).where(charging_profiles.c.charge_point_id == command.charge_point_id)
    )
    begin = (command.response or {}).get("scheduleStart")
    try:
        expected = expected_periods(
            [Profile(row.connector_id, row.profile) for row in rows],
            request.connector_id,
            request.unit,
            start=parse_timestamp(begin) if begin else command.created_at,
            duration_s=request.duration_s,
            session_began_at=await _session_began_at(transaction, command.charge_point_id, request.connector_id),
        )
    except NotComparable as reason:
        return Comparison(command=command, expected=None, agrees=None, reason=str(reason))
    periods = [Period(start_s=start, limit=limit) for start, limit in expected]
    if reported is None:
        return Comparison(command=command, expected=periods, agrees=None, reason="The charge point told no schedule.")
    if reported["chargingRateUnit"] != request.unit:
        return Comparison(command=command, expected=periods, agrees=None, reason="It answered in another unit.")
    is_same = agrees(expected, reported["chargingSchedulePeriod"])
    return Comparison(command=command, expected=periods, agrees=is_same, reason=None)


async def _session_began_at(transaction: AsyncConnection, charge_point_id: UUID, connector_id: int) -> datetime | None:
    running = select(transactions.c.started_at).where(
        transactions.c.charge_point_id == charge_point_id,
        transactions.c.connector_id == connector_id,
        transactions.c.status == "active",
    )
    found = await transaction.execute(running.order_by(transactions.c.id.desc()).limit(1))
    return found.scalar_one_or_none()
