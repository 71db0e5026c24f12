"""HTTP of learning windows: hold a card to the wallbox, and it is yours."""

from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from api.errors import BadRequest, Conflict, InProgress, KeyReused, NotAllowed, NotFound
from api.identity import learning
from api.identity.caller import CurrentCaller
from api.identity.id_tag_routes import Label
from api.identity.once import Once
from api.problems import problem_docs
from api.request import Body, Now, Transaction
from api.sharing.access import OPERATOR, find_visible

router = APIRouter(prefix="/api/v1/charge-points/{charge_point_id}/learning-windows", tags=["id tags"])

WINDOW_EXAMPLE: dict[str, Any] = {
    "id": "aa0b7a52-6a0b-4a57-8a5e-0b9f2f1f8d44",
    "charge_point_id": "3f0f0a52-5a4d-4a8e-9c53-6d7f4f5a2b10",
    "status": "learned",
    "label": "Key ring",
    "id_tag_id": "c1f7d0a2-6a0b-4a57-8a5e-0b9f2f1f8d10",
    "tag": "04A2B3C4D5E6F7",
    "expires_at": "2026-05-04T08:32:00Z",
    "created_at": "2026-05-04T08:30:00Z",
}


class NewLearningWindow(Body):
    """For how long, and what to call the card."""

    model_config = ConfigDict(json_schema_extra={"example": {"label": "Key ring"}})

    label: Label = Field(default="", description="a name for people")
    duration_s: int = Field(default=120, ge=10, le=600, description="how long the charge point listens, in seconds")


class LearningWindow(BaseModel):
    """A while in which the next unknown card at a charge point becomes the caller's."""

    model_config = ConfigDict(json_schema_extra={"example": WINDOW_EXAMPLE})

    id: UUID
    charge_point_id: UUID
    status: Literal["open", "learned", "closed"] = Field(description="`closed`: over, and nothing was learned")
    label: str
    id_tag_id: UUID | None
    tag: str | None = Field(description="what the card says")
    expires_at: datetime
    created_at: datetime


def _window(row: Row[Any], now: datetime) -> LearningWindow:
    is_open = row.closed_at is None and row.expires_at > now
    status = "learned" if row.id_tag_id is not None else "open" if is_open else "closed"
    return LearningWindow.model_validate({**row._mapping, "status": status})


@router.post(
    "",
    status_code=201,
    summary="Learn a card",
    responses=problem_docs(BadRequest, NotAllowed, NotFound, Conflict, InProgress, KeyReused),
)
async def open_learning_window(
    *,
    charge_point_id: UUID,
    body: NewLearningWindow,
    caller: CurrentCaller,
    transaction: Transaction,
    once: Once,
    now: Now,
) -> LearningWindow:
    """Opens a window: the next unknown card that is held to this charge point becomes the caller's, and may charge as
    the caller may. One window at a time; the caller's earlier one is closed. Read it again to see what was learned."""
    charge_point = await find_visible(transaction, caller, charge_point_id, now)
    if charge_point.role == OPERATOR:
        raise NotAllowed("Only who may charge at this charge point has cards learned there.")
    if (earlier := await once.earlier(LearningWindow)) is not None:
        return earlier
    lasts = timedelta(seconds=body.duration_s)
    row = await learning.open_window(
        transaction, charge_point_id, caller.user_id, label=body.label, lasts=lasts, now=now
    )
    return await once.remember(_window(row, now))


@router.get("/{window_id}", summary="Read a learning window", responses=problem_docs(NotFound))
async def read_learning_window(
    charge_point_id: UUID, window_id: UUID, caller: CurrentCaller, transaction: Transaction, now: Now
) -> LearningWindow:
    """Whether it is still open, and which card was learned."""
    return _window(await learning.find_own(transaction, charge_point_id, caller.user_id, window_id), now)


@router.delete("/{window_id}", status_code=204, summary="Close a learning window", responses=problem_docs(NotFound))
async def close_learning_window(
    charge_point_id: UUID, window_id: UUID, caller: CurrentCaller, transaction: Transaction, now: Now
) -> None:
    """Learns nothing more; a card that was learned stays."""
    await learning.close_window(transaction, charge_point_id, caller.user_id, window_id, now)
