"""HTTP of running sessions: what one shows now. Who may see it is `api.transactions`'s to say."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api.accounting.money import format_minor
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
    "currency": "CZK",
    "cost_minor": 5979,
    "cost": "59.79",
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
    currency: str | None = Field(description="null where the session has no price")
    cost_minor: int | None = Field(description="so far, in minor units, with VAT; the total once it has been rated")
    cost: str | None = Field(description="the same as decimal text")
    read_at: datetime | None = Field(description="when the charge point read its meter last")


@router.get("/{transaction_id}/live", summary="Read a running session", responses=problem_docs(NotFound))
async def read_live_transaction(
    *, transaction_id: UUID, caller: CurrentCaller, transaction: Transaction, now: Now
) -> LiveTransaction:
    """Energy, power, duration and cost now, for its driver and the owner; `transaction.updated` tells the same.

    The cost is as of the last reading; `cost-so-far` has its lines.
    """
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
        currency=row.currency,
        cost_minor=live.cost_minor,
        cost=None if live.cost_minor is None or row.currency is None else format_minor(live.cost_minor, row.currency),
        read_at=live.read_at,
    )
