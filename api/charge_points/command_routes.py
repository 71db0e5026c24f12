"""HTTP of commands: CALLs to a charge point, whose result says what became of them."""

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.charge_points import commands
from api.charge_points.command_rules import ACTIONS, REMOTE_START, names_the_key
from api.charge_points.key_change import read_key, tell_key
from api.charge_points.sending import CurrentSender
from api.errors import (
    BadRequest,
    ChargingRefused,
    Conflict,
    CreditTooLow,
    InProgress,
    Invalid,
    KeyReused,
    NotAllowed,
    NotFound,
    PriceChanged,
    RedisAway,
)
from api.identity import id_tags
from api.identity.caller import Caller, CurrentCaller
from api.identity.id_tag_routes import TagText
from api.paging import Page, Paging
from api.problems import problem_docs
from api.request import Body, Now, Transaction
from api.sharing.access import find_controlled, find_visible

router = APIRouter(prefix="/api/v1", tags=["commands"])

COMMAND_EXAMPLE: dict[str, Any] = {
    "id": "f6b1f9d3-0b5e-4d43-9b6c-2a8f9d0c7e54",
    "charge_point_id": "3f0f0a52-5a4d-4a8e-9c53-6d7f4f5a2b10",
    "action": "RemoteStartTransaction",
    "payload": {"connectorId": 1, "idTag": "7K3M9QXA2B4C5D6E"},
    "status": "accepted",
    "response": {"status": "Accepted"},
    "error_code": None,
    "error_description": None,
    "note": None,
    "transaction_id": None,
    "created_at": "2026-05-04T09:00:00Z",
    "sent_at": "2026-05-04T09:00:00.050000Z",
    "finished_at": "2026-05-04T09:00:00.400000Z",
}
STATUSES = (
    "`queued` and `sent` are open; it ends as `accepted` or `rejected` by the charge point, `call_error`, `offline` "
    "(it never left), `timeout` (no answer), or `unknown` (it may have reached the charge point)"
)

WaitSeconds = Annotated[int, Field(ge=0, le=60, description="how long to wait for the outcome; 0: do not wait")]
ConnectorId = Annotated[int, Field(ge=1, le=2**31 - 1, description="left out: the charge point chooses")]


class NewCommand(Body):
    """A CALL to send."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"action": "RemoteStopTransaction", "payload": {"transactionId": 731204477}, "wait_s": 30}
        }
    )

    action: str = Field(max_length=50, description=f"one of {', '.join(ACTIONS)}")
    payload: dict[str, Any] = Field(description="as OCPP 1.6 defines it")
    wait_s: WaitSeconds = 30


class StartRequest(Body):
    """Where and by which id tag to start; everything may be left out."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"connector_id": 1, "tariff_version_id": "0d2f6a0e-9a52-4a3b-8f35-5b8d5c0c7b11"}}
    )

    connector_id: ConnectorId | None = None
    id_tag: TagText | None = Field(default=None, description="one of the caller's; the app's where it is left out")
    tariff_version_id: UUID | None = Field(
        default=None,
        description="of the price that was shown (null: that there is none): where another holds, the start is refused "
        "with the new one; left out: whatever holds now",
    )
    wait_s: WaitSeconds = 30


class Command(BaseModel):
    """A command and what became of it."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": COMMAND_EXAMPLE})

    id: UUID
    charge_point_id: UUID
    action: str
    payload: dict[str, Any]
    status: str = Field(description=STATUSES)
    response: dict[str, Any] | None = Field(description="the CALLRESULT of the charge point")
    error_code: str | None = Field(description="of its CALLERROR")
    error_description: str | None
    note: str | None = Field(description="a sentence for people")
    transaction_id: UUID | None = Field(description="the transaction that it started or was to stop")
    created_at: datetime
    sent_at: datetime | None
    finished_at: datetime | None


class CommandPage(Page[Command]):
    """Commands, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [COMMAND_EXAMPLE], "next_cursor": None}})


ERRORS: Final = (
    BadRequest,
    CreditTooLow,
    NotAllowed,
    ChargingRefused,
    NotFound,
    Conflict,
    InProgress,
    KeyReused,
    RedisAway,
)
"""The errors of every route that sends a CALL."""
SENDING: Final = problem_docs(*ERRORS)
STARTING: Final = problem_docs(*ERRORS, PriceChanged)


@router.post("/charge-points/{charge_point_id}/commands", status_code=201, summary="Send a command", responses=SENDING)
async def send_command(charge_point_id: UUID, body: NewCommand, sender: CurrentSender) -> Command:
    """Every CALL of a central system, checked before it leaves.

    The command is made in any case; its `status` says what became of it, also that the charge point is offline.
    A ChangeConfiguration of AuthorizationKey, with a key that is brought along, is for operators: owners have
    `POST /charge-points/{id}/key`.
    """
    if sender.caller.is_operator and names_the_key(body.action, body.payload):
        key = read_key(body.payload)
        row = await sender.send(
            charge_point_id, lambda transaction: tell_key(transaction, sender, charge_point_id, key), body.wait_s
        )
    else:
        row = await sender.send_call(charge_point_id, body.action, body.payload, body.wait_s)
    return Command.model_validate(row)


@router.post("/charge-points/{charge_point_id}/start", status_code=201, summary="Start a session", responses=STARTING)
async def start_session(charge_point_id: UUID, sender: CurrentSender, body: StartRequest | None = None) -> Command:
    """For owners and guests: asks the charge point to start, by the caller's own id tag.

    The session is charged by the price that holds now, whatever becomes of it until charging begins. A guest's money
    must cover it (`GET /credit`): the start keeps a part of it until the session is settled. `accepted` means that the
    charge point will try (errata 3.32): the transaction appears when charging begins; where none does within the
    connection time-out, `note` says so.
    """
    request = body or StartRequest()
    was_shown = "tariff_version_id" in request.model_fields_set
    shown = commands.Shown(request.tariff_version_id) if was_shown else None

    async def prepare(transaction: AsyncConnection) -> commands.Call:
        charge_point = await find_visible(transaction, sender.caller, charge_point_id, sender.now)
        tag = await own_tag(transaction, sender.caller, request.id_tag)
        payload: dict[str, Any] = {"connectorId": request.connector_id} if request.connector_id else {}
        return commands.Call(charge_point, REMOTE_START, payload | {"idTag": tag}, shown=shown)

    return Command.model_validate(await sender.send(charge_point_id, prepare, request.wait_s))


async def own_tag(transaction: AsyncConnection, caller: Caller, id_tag: str | None) -> str:
    """The id tag by which the caller starts: the one that is named, else the app's.

    Raises:
        Invalid: it is not the caller's, or there is none for the app.
    """
    tag = await id_tags.find_own(transaction, caller.user_id, id_tag)
    if tag is None:
        raise Invalid.field("body.id_tag", "not one of your id tags, or you have none for the app")
    return tag


@router.get(
    "/charge-points/{charge_point_id}/commands",
    summary="List commands",
    responses=problem_docs(NotAllowed, NotFound),
)
async def list_commands(
    *, charge_point_id: UUID, caller: CurrentCaller, transaction: Transaction, paging: Paging, now: Now
) -> CommandPage:
    """What was sent to this charge point and what became of it, newest first. For its owner."""
    await find_controlled(transaction, caller, charge_point_id, now)
    rows, cursor = await commands.list_sent(transaction, charge_point_id, paging)
    return CommandPage(items=[Command.model_validate(row) for row in rows], next_cursor=cursor)


@router.get("/commands/{command_id}", summary="Read a command", responses=problem_docs(NotFound))
async def read_command(command_id: UUID, caller: CurrentCaller, transaction: Transaction) -> Command:
    """One command; for who sent it and for the owner of the charge point."""
    return Command.model_validate(await commands.find(transaction, caller, command_id))
