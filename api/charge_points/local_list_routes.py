"""HTTP of the local authorization list: what the charge point holds, what it should hold, and sending it."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.charge_points import commands, local_list_projection
from api.charge_points.command_routes import SENDING, Command, WaitSeconds
from api.charge_points.sending import CurrentSender
from api.errors import NotAllowed, NotFound
from api.identity.caller import CurrentCaller
from api.problems import problem_docs
from api.request import Body, Now, Transaction
from api.sharing.access import find_controlled, find_visible

router = APIRouter(prefix="/api/v1/charge-points/{charge_point_id}/local-list", tags=["local list"])

ENTRY_EXAMPLE: dict[str, Any] = {"idTag": "04A2B3C4D5E6F7", "idTagInfo": {"status": "Accepted"}}
LIST_EXAMPLE: dict[str, Any] = {
    "version": 3,
    "sent_at": "2026-05-04T09:00:00Z",
    "entries": [ENTRY_EXAMPLE],
    "reported_version": 3,
    "reported_at": "2026-05-04T09:30:00Z",
    "wanted": [ENTRY_EXAMPLE],
    "drift": "none",
}


class LocalList(BaseModel):
    """The local authorization list of a charge point."""

    model_config = ConfigDict(json_schema_extra={"example": LIST_EXAMPLE})

    version: int = Field(description="of the list that it accepted last; 0: none yet")
    sent_at: datetime | None
    entries: list[dict[str, Any]] = Field(description="what it accepted, as OCPP defines it")
    reported_version: int | None = Field(description="what it said itself; -1: it has no local list; null: not asked")
    reported_at: datetime | None
    wanted: list[dict[str, Any]] = Field(description="who may charge there now, by owner and grants")
    drift: Literal["none", "entries", "version", "unsupported"] = Field(
        description="`entries`: who may charge has changed since; `version`: the charge point holds another list"
    )


class ListUpdate(Body):
    """How to bring the list up to date."""

    model_config = ConfigDict(json_schema_extra={"example": {"update_type": "full"}})

    update_type: Literal["full", "differential"] = Field(
        default="full", description="`differential` sends only what has changed since the last accepted list"
    )
    wait_s: WaitSeconds = 30


class ListCheck(Body):
    """How long to wait."""

    model_config = ConfigDict(json_schema_extra={"example": {"wait_s": 30}})

    wait_s: WaitSeconds = 30


@router.get("", summary="Read the local list", responses=problem_docs(NotAllowed, NotFound))
async def read_local_list(
    *, charge_point_id: UUID, caller: CurrentCaller, transaction: Transaction, now: Now
) -> LocalList:
    """What the charge point accepted, what it reported, and what it should hold. For the owner."""
    charge_point = await find_controlled(transaction, caller, charge_point_id, now)
    known = await local_list_projection.find_known(transaction, charge_point_id)
    wanted = await local_list_projection.project(transaction, charge_point, now)
    return LocalList(**known._asdict(), wanted=wanted, drift=local_list_projection.drift(known, wanted))


@router.post("", status_code=201, summary="Send the local list", responses=SENDING)
async def send_local_list(charge_point_id: UUID, sender: CurrentSender, body: ListUpdate | None = None) -> Command:
    """Sends who may charge now, with the next version. For the owner."""
    request = body or ListUpdate()

    async def prepare(transaction: AsyncConnection) -> commands.Call:
        charge_point = await find_visible(transaction, sender.caller, charge_point_id, sender.now)
        payload = await local_list_projection.make_update(
            transaction, charge_point, sender.now, is_full=request.update_type == "full"
        )
        return await sender.allowed(transaction, charge_point, "SendLocalList", payload)

    return Command.model_validate(await sender.send(charge_point_id, prepare, request.wait_s))


@router.post("/check", status_code=201, summary="Ask for the version of the local list", responses=SENDING)
async def check_local_list(charge_point_id: UUID, sender: CurrentSender, body: ListCheck | None = None) -> Command:
    """Sends GetLocalListVersion; the answer shows in the list's `drift`. For the owner."""
    wait_s = (body or ListCheck()).wait_s
    return Command.model_validate(await sender.send_call(charge_point_id, "GetLocalListVersion", {}, wait_s))
