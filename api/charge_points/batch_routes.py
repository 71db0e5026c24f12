"""HTTP of batches: one CALL for many charge points, and how far it got."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.charge_points import batches
from api.charge_points.command_routes import Command, CommandPage
from api.charge_points.command_rules import ACTIONS
from api.charge_points.command_state import OPEN
from api.charge_points.sending import CurrentSender
from api.errors import BadRequest, InProgress, KeyReused, NotFound, RedisAway
from api.idempotency import earlier_answer, remember_answer
from api.identity.caller import Caller, CurrentCaller
from api.paging import Paging
from api.problems import problem_docs
from api.request import Body, Transaction

router = APIRouter(prefix="/api/v1/commands", tags=["commands"])

MOST_CHARGE_POINTS = 1000
BATCH_EXAMPLE: dict[str, Any] = {
    "id": "4b0f5d2e-3a39-4a52-9f6e-0c9f3a1d7b11",
    "action": "Reset",
    "payload": {"type": "Soft"},
    "total": 3,
    "finished": 2,
    "by_status": {"accepted": 1, "offline": 1},
    "refused": [
        {
            "charge_point_id": "3f0f0a52-5a4d-4a8e-9c53-6d7f4f5a2b10",
            "reason": "The charge point is Rejected: nothing is sent to it.",
        }
    ],
    "created_at": "2026-05-04T09:00:00Z",
}


class NewBatch(Body):
    """A CALL for many charge points."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "action": "Reset",
                "payload": {"type": "Soft"},
                "charge_point_ids": ["3f0f0a52-5a4d-4a8e-9c53-6d7f4f5a2b10"],
            }
        }
    )

    action: str = Field(
        max_length=50, description=f"one of {', '.join(name for name, rule in ACTIONS.items() if rule.batch)}"
    )
    payload: dict[str, Any] = Field(description="as OCPP 1.6 defines it; the same for all")
    charge_point_ids: Annotated[list[UUID], Field(min_length=1, max_length=MOST_CHARGE_POINTS)]


class Refused(BaseModel):
    """A charge point to which nothing was sent."""

    charge_point_id: UUID
    reason: str


class Batch(BaseModel):
    """A batch and how far it got."""

    model_config = ConfigDict(json_schema_extra={"example": BATCH_EXAMPLE})

    id: UUID
    action: str
    payload: dict[str, Any]
    total: int = Field(description="charge points, those refused included")
    finished: int = Field(description="of them, those with nothing left to wait for")
    by_status: dict[str, int] = Field(description="number of commands by their status")
    refused: list[Refused] = Field(description="those to which nothing was sent, with the reason")
    created_at: datetime


@router.post(
    "/batch",
    status_code=201,
    summary="Send a command to many",
    responses=problem_docs(BadRequest, InProgress, KeyReused, RedisAway),
)
async def send_batch(body: NewBatch, sender: CurrentSender) -> Batch:
    """Makes one command a charge point and does not wait: read the batch for its progress.

    A charge point that the caller does not see, or to which the command may not go, is listed as refused.
    """
    batches.check_batch(body.action, body.payload, sender.now)
    lives = await sender.dispatcher.locate_many(body.charge_point_ids)
    user_id, command_ids = sender.caller.user_id, list[UUID]()
    async with sender.database.transaction() as transaction:
        earlier = await earlier_answer(transaction, sender.idempotency, user_id, sender.now)
        if earlier is None:
            batch_id, command_ids = await batches.create(
                transaction, sender.caller, **body.model_dump(), lives=lives, now=sender.now
            )
            await remember_answer(transaction, sender.idempotency, user_id, sender.now, {"id": str(batch_id)})
        else:
            batch_id = UUID(earlier["id"])
    await sender.dispatcher.deliver_many(command_ids, lives)
    async with sender.database.transaction() as transaction:
        return await _read(transaction, sender.caller, batch_id)


@router.get("/batches/{batch_id}", summary="Read the progress of a batch", responses=problem_docs(NotFound))
async def read_batch(batch_id: UUID, caller: CurrentCaller, transaction: Transaction) -> Batch:
    """How many of its commands have ended, and how. For who sent it."""
    return await _read(transaction, caller, batch_id)


@router.get("/batches/{batch_id}/commands", summary="List the commands of a batch", responses=problem_docs(NotFound))
async def list_batch_commands(
    batch_id: UUID, caller: CurrentCaller, transaction: Transaction, paging: Paging
) -> CommandPage:
    """Each command of a batch with what became of it. For who sent it."""
    await batches.find(transaction, caller, batch_id)
    rows, cursor = await batches.list_commands(transaction, batch_id, paging)
    return CommandPage(items=[Command.model_validate(row) for row in rows], next_cursor=cursor)


async def _read(transaction: AsyncConnection, caller: Caller, batch_id: UUID) -> Batch:
    row = await batches.find(transaction, caller, batch_id)
    by_status = await batches.progress(transaction, batch_id)
    made, refused = sum(by_status.values()), len(row.refused)
    unfinished = sum(by_status.get(status, 0) for status in OPEN)
    return Batch(
        id=row.id,
        action=row.action,
        payload=row.payload,
        total=made + refused,
        finished=made + refused - unfinished,
        by_status=by_status,
        refused=row.refused,
        created_at=row.created_at,
    )
