"""HTTP of running sessions: what one shows now. Who may see it is `api.transactions`'s to say."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api.errors import NotFound
from api.events.live_sessions import read_live_session
from api.identity.caller import CurrentCaller
from api.problems import problem_docs
from api.request import Now, Transaction
from api.transactions import operations

router = APIRouter(prefix="/api/v1/transactions", tags=["transactions"])

EXAMPLE: dict[str, Any] = {
    "transaction_id": "b1a6b9b4-6d0e-4c3f-8b3f-1c7a5f0d9e21",
    "charge_point_id": "3f0f0a52-5a4d-4a8e-9c53-6d7f4f5a2b10",
    "connector_id": 1,
    "status": "active",
    "started_at": "2026-05-04T09:00:00Z",
    "duration_s": 3600,
    "energy_wh": 10870,
    "power_w": 10870,
    "read_at": "2026-05-04T09:59:30Z",
}


class LiveTransaction(BaseModel):
    """What a session shows now."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    transaction_id: UUID
    charge_point_id: UUID
    connector_id: int
    status: Literal["active", "stopped", "abandoned"]
    started_at: datetime
    duration_s: int = Field(description="since its start; until its end where it has ended")
    energy_wh: int | None = Field(description="since its start; null until the meter was read")
    power_w: int | None = Field(description="null where it is not known, and once it has ended")
    read_at: datetime | None = Field(description="when the charge point read its meter last")


@router.get("/{transaction_id}/live", summary="Read a running session", responses=problem_docs(NotFound))
async def read_live_transaction(
    *, transaction_id: UUID, caller: CurrentCaller, transaction: Transaction, now: Now
) -> LiveTransaction:
    """Energy, power and duration at this moment, for its driver and the owner; `transaction.updated` tells the same."""
    row = await operations.find(transaction, caller, transaction_id)
    live = await read_live_session(transaction, row, now)
    return LiveTransaction(
        transaction_id=row.public_id,
        charge_point_id=row.charge_point_id,
        connector_id=row.connector_id,
        status=row.status,
        started_at=row.started_at,
        duration_s=live.duration_s,
        energy_wh=live.energy_wh,
        power_w=live.power_w,
        read_at=live.read_at,
    )
