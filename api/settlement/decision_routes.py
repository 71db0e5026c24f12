"""HTTP of decisions about sessions: bill or waive what is held, corrections by an operator."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from api.errors import BadRequest, Conflict, InProgress, KeyReused, NotAllowed, NotFound
from api.identity.caller import CurrentCaller
from api.identity.once import Once
from api.problems import problem_docs
from api.request import Body, CurrentSettings, Instant, Note, Now, Transaction
from api.settlement import decisions

router = APIRouter(prefix="/api/v1/transactions/{transaction_id}", tags=["books"])

DECISION_EXAMPLE: dict[str, Any] = {
    "id": "4c1f7f64-2f0b-4f39-8f7f-0d5b0c9d1a11",
    "transaction_id": "b1a6b9b4-6d0e-4c3f-8b3f-1c7a5f0d9e21",
    "decision": "bill",
    "note": "The car really drew 22 kW; the wallbox was entered with 11 kW.",
    "held_reasons": ["energy_above_rated_power"],
    "meter_start_wh": None,
    "meter_stop_wh": None,
    "stopped_at": None,
    "decided_by": "7f0c9a4e-3b77-4c0f-8f0e-6a2d3a1f9c11",
    "decided_at": "2026-05-05T08:00:00Z",
}
HIGHEST_WH = 10**15
Register = Annotated[int | None, Field(ge=0, le=HIGHEST_WH)]


class NewDecision(Body):
    """What becomes of a held session."""

    model_config = ConfigDict(json_schema_extra={"example": {"decision": "bill", "note": "The car really drew 22 kW."}})

    decision: Literal["bill", "waive"] = Field(description="bill it by its rating, or let nobody pay anything")
    note: Note


class Correction(Body):
    """What an operator knows better than the wallbox; what is left out stays as the wallbox said."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"meter_stop_wh": 1482300, "note": "Read from the meter on the spot."}}
    )

    meter_start_wh: Register = Field(default=None, description="the register at the start")
    meter_stop_wh: Register = Field(default=None, description="the register at the end")
    stopped_at: Instant | None = Field(default=None, description="when it ended")
    note: Note


class Decision(BaseModel):
    """Who decided what about a session, when and why."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": DECISION_EXAMPLE})

    id: UUID
    transaction_id: UUID
    decision: Literal["bill", "waive", "correct"]
    note: str
    held_reasons: list[str] = Field(description="why the session was held then")
    meter_start_wh: int | None = Field(description="as corrected")
    meter_stop_wh: int | None = Field(description="as corrected")
    stopped_at: datetime | None = Field(description="as corrected")
    decided_by: UUID
    decided_at: datetime


class DecisionList(BaseModel):
    """All decisions about a session, oldest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [DECISION_EXAMPLE]}})

    items: list[Decision]


@router.get("/decisions", summary="List the decisions", responses=problem_docs(NotAllowed, NotFound))
async def list_decisions(transaction_id: UUID, caller: CurrentCaller, transaction: Transaction) -> DecisionList:
    """What was decided about a session, by whom and why, oldest first. For the owner and operators."""
    row = await decisions.find_decided_by(transaction, caller, transaction_id)
    rows = await decisions.list_decisions(transaction, row.id)
    return DecisionList(items=[_decision(each, transaction_id) for each in rows])


@router.post(
    "/decisions",
    status_code=201,
    summary="Decide about a held session",
    responses=problem_docs(BadRequest, NotAllowed, NotFound, Conflict, InProgress, KeyReused),
)
async def create_decision(
    *,
    transaction_id: UUID,
    body: NewDecision,
    caller: CurrentCaller,
    transaction: Transaction,
    settings: CurrentSettings,
    once: Once,
    now: Now,
) -> Decision:
    """Releases a held session: bills it by its rating, or waives it. For the owner and operators; it is recorded."""
    decided = await decisions.find_decided_by(transaction, caller, transaction_id)
    if (earlier := await once.earlier(Decision)) is not None:
        return earlier
    order = decisions.Order(body.decision, body.note, caller.user_id, now)
    row = await decisions.carry_out(transaction, decided, order, settings.platform_fee_bp)
    return await once.remember(_decision(row, transaction_id))


@router.post(
    "/corrections",
    status_code=201,
    summary="Correct a session",
    responses=problem_docs(BadRequest, NotAllowed, NotFound, Conflict, InProgress, KeyReused),
)
async def create_correction(
    *,
    transaction_id: UUID,
    body: Correction,
    caller: CurrentCaller,
    transaction: Transaction,
    settings: CurrentSettings,
    once: Once,
    now: Now,
) -> Decision:
    """For operators: prices a session anew. What was posted is taken back, what is due is posted; it is recorded."""
    decided = await decisions.find_decided_by(transaction, caller, transaction_id)
    if not caller.is_operator:
        raise NotAllowed("Only an operator may correct a session.")
    if (earlier := await once.earlier(Decision)) is not None:
        return earlier
    registers = decisions.Registers(body.meter_start_wh, body.meter_stop_wh, body.stopped_at)
    order = decisions.Order(decisions.CORRECT, body.note, caller.user_id, now, registers)
    row = await decisions.carry_out(transaction, decided, order, settings.platform_fee_bp)
    return await once.remember(_decision(row, transaction_id))


def _decision(row: Row[Any], transaction_id: UUID) -> Decision:
    return Decision.model_validate({**row._mapping, "transaction_id": transaction_id})
