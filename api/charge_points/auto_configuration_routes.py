"""HTTP of the automatic configuration: what Voltuj set at a wallbox by itself, and what the wallbox answered."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from api.errors import NotAllowed, NotFound
from api.identity.caller import CurrentCaller
from api.problems import problem_docs
from api.request import Now, Transaction
from api.schema import auto_configurations
from api.sharing.access import find_controlled

router = APIRouter(prefix="/api/v1/charge-points/{charge_point_id}/auto-configuration", tags=["charge points"])

ITEM_EXAMPLE: dict[str, Any] = {"key": "MeterValueSampleInterval", "value": "60", "status": "Accepted"}
RUN_EXAMPLE: dict[str, Any] = {
    "firmware_version": "1.4.2",
    "status": "done",
    "items": [ITEM_EXAMPLE],
    "started_at": "2026-05-04T08:31:20Z",
    "finished_at": "2026-05-04T08:31:40Z",
}


class ConfiguredKey(BaseModel):
    """One configuration key."""

    model_config = ConfigDict(json_schema_extra={"example": ITEM_EXAMPLE})

    key: str
    value: str = Field(description="the value that was tried last")
    status: str = Field(
        description="`Accepted`, `RebootRequired`, `Rejected` or `NotSupported` by the wallbox; `pending`; or why "
        "there is no answer: `call_error`, `timeout`, `offline`, `unknown`"
    )


class AutoConfigurationRun(BaseModel):
    """The automatic configuration of one firmware."""

    model_config = ConfigDict(json_schema_extra={"example": RUN_EXAMPLE})

    firmware_version: str
    status: Literal["running", "done"]
    items: list[ConfiguredKey]
    started_at: datetime
    finished_at: datetime | None


class AutoConfiguration(BaseModel):
    """The switch and its runs."""

    model_config = ConfigDict(json_schema_extra={"example": {"enabled": True, "runs": [RUN_EXAMPLE]}})

    enabled: bool = Field(description="`auto_configuration` of the charge point")
    runs: list[AutoConfigurationRun] = Field(description="one a firmware, newest first")


@router.get("", summary="Read the automatic configuration", responses=problem_docs(NotAllowed, NotFound))
async def read_auto_configuration(
    *, charge_point_id: UUID, caller: CurrentCaller, transaction: Transaction, now: Now
) -> AutoConfiguration:
    """What was set by itself after the wallbox was accepted, and what it answered. For its owner."""
    charge_point = await find_controlled(transaction, caller, charge_point_id, now)
    table = auto_configurations
    query = select(table).where(table.c.charge_point_id == charge_point_id).order_by(table.c.started_at.desc())
    rows = (await transaction.execute(query)).mappings()
    runs = [AutoConfigurationRun.model_validate(dict(row)) for row in rows]
    return AutoConfiguration(enabled=charge_point.auto_configuration, runs=runs)
