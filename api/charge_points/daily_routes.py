"""HTTP of what owners do daily: restart, unlock, availability. Each is one CALL; its command says what became of it."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import ConfigDict, Field

from api.charge_points.command_routes import SENDING, Command, WaitSeconds
from api.charge_points.sending import CurrentSender
from api.request import Body, Flag

router = APIRouter(prefix="/api/v1/charge-points/{charge_point_id}", tags=["commands"])

Connector = Annotated[int, Field(ge=1, le=2**31 - 1)]
ConnectorOrAll = Annotated[int, Field(ge=0, le=2**31 - 1, description="0: the charge point as a whole")]


class RestartRequest(Body):
    """How to restart."""

    model_config = ConfigDict(json_schema_extra={"example": {"type": "Soft"}})

    type: Literal["Soft", "Hard"] = Field(default="Soft", description="Soft: sessions are stopped in order first")
    wait_s: WaitSeconds = 30


class UnlockRequest(Body):
    """Which cable to let go."""

    model_config = ConfigDict(json_schema_extra={"example": {"connector_id": 1}})

    connector_id: Connector = 1
    wait_s: WaitSeconds = 30


class AvailabilityRequest(Body):
    """What is to be taken out of service or brought back."""

    model_config = ConfigDict(json_schema_extra={"example": {"connector_id": 0, "operative": False}})

    connector_id: ConnectorOrAll = 0
    operative: Flag = Field(description="false: nobody can charge there")
    wait_s: WaitSeconds = 30


@router.post("/restart", status_code=201, summary="Restart a charge point", responses=SENDING)
async def restart_charge_point(
    charge_point_id: UUID, sender: CurrentSender, body: RestartRequest | None = None
) -> Command:
    """For the owner. It disconnects and comes back with a BootNotification."""
    request = body or RestartRequest()
    row = await sender.send_call(charge_point_id, "Reset", {"type": request.type}, request.wait_s)
    return Command.model_validate(row)


@router.post("/unlock", status_code=201, summary="Unlock a connector", responses=SENDING)
async def unlock_connector(charge_point_id: UUID, sender: CurrentSender, body: UnlockRequest | None = None) -> Command:
    """For the owner, and for a guest where the own session runs: lets go a cable that is stuck."""
    request = body or UnlockRequest()
    payload = {"connectorId": request.connector_id}
    return Command.model_validate(await sender.send_call(charge_point_id, "UnlockConnector", payload, request.wait_s))


@router.post("/availability", status_code=201, summary="Change availability", responses=SENDING)
async def change_availability(charge_point_id: UUID, sender: CurrentSender, body: AvailabilityRequest) -> Command:
    """For the owner. Where a session runs, the charge point answers Scheduled: it changes after the session."""
    payload = {"connectorId": body.connector_id, "type": "Operative" if body.operative else "Inoperative"}
    return Command.model_validate(await sender.send_call(charge_point_id, "ChangeAvailability", payload, body.wait_s))
