"""HTTP of the register continuity report of a wallbox, as JSON and CSV, for its owner and operators."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api.accounting.continuity import Kind
from api.errors import Conflict, NotAllowed, NotFound
from api.identity.caller import CurrentCaller
from api.paging import Page, Paging
from api.problems import problem_docs
from api.request import Instant, Now, Transaction
from api.settlement import continuity
from api.settlement.routes import CsvResponse
from api.sharing.access import find_controlled

router = APIRouter(prefix="/api/v1/charge-points/{charge_point_id}", tags=["books"])

PAIR_EXAMPLE: dict[str, Any] = {
    "connector_id": 1,
    "transaction_id": "b1a6b9b4-6d0e-4c3f-8b3f-1c7a5f0d9e21",
    "stopped_at": "2026-05-04T11:00:00Z",
    "meter_stop_wh": 1482300,
    "next_transaction_id": "0f3cf0b5-7f0c-4c26-9c2c-7b4a2a3a9d55",
    "next_started_at": "2026-05-05T17:30:00Z",
    "next_meter_start_wh": 1482800,
    "gap_wh": 500,
    "findings": [{"kind": "unbilled", "energy_wh": 500}],
}
CSV_EXAMPLE = (
    f"{','.join(continuity.COLUMNS)}\r\n"
    "1,b1a6b9b4-6d0e-4c3f-8b3f-1c7a5f0d9e21,2026-05-04T11:00:00+00:00,1482300,"
    "0f3cf0b5-7f0c-4c26-9c2c-7b4a2a3a9d55,2026-05-05T17:30:00+00:00,1482800,500,unbilled\r\n"
)
Since = Annotated[Instant | None, Query(alias="from", description="the later session did not start before")]
Until = Annotated[Instant | None, Query(alias="to", description="the later session started before")]


class ContinuityFinding(BaseModel):
    """What does not fit between two sessions."""

    model_config = ConfigDict(from_attributes=True)

    kind: Kind = Field(
        description="`unbilled`: energy flowed between them; `backwards`: the register went back; `overlap`: the later "
        "began before the end of the first; `not_stopped`: the first never ended"
    )
    energy_wh: int = Field(description="how much of it")


class ContinuityPair(BaseModel):
    """Two sessions that follow each other at a connector, with the registers that the wallbox sent."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": PAIR_EXAMPLE})

    connector_id: int
    transaction_id: UUID
    stopped_at: datetime | None
    meter_stop_wh: int | None
    next_transaction_id: UUID
    next_started_at: datetime
    next_meter_start_wh: int
    gap_wh: int | None = Field(description="what the register moved between them; null where the first never ended")
    findings: list[ContinuityFinding] = Field(description="empty where the two fit")


class ContinuityPage(Page[ContinuityPair]):
    """Pairs of sessions, oldest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [PAIR_EXAMPLE], "next_cursor": None}})


@router.get(
    "/register-continuity", summary="Read the register continuity report", responses=problem_docs(NotAllowed, NotFound)
)
async def list_register_continuity(
    *,
    charge_point_id: UUID,
    caller: CurrentCaller,
    transaction: Transaction,
    paging: Paging,
    now: Now,
    since: Since = None,
    until: Until = None,
) -> ContinuityPage:
    """Whether each session's register goes on where the last one at its connector left it. For the owner."""
    await find_controlled(transaction, caller, charge_point_id, now)
    pairs, cursor = await continuity.list_pairs(transaction, charge_point_id, since, until, paging)
    return ContinuityPage(items=[ContinuityPair.model_validate(pair) for pair in pairs], next_cursor=cursor)


@router.get(
    "/register-continuity.csv",
    summary="Read the register continuity report as CSV",
    response_class=CsvResponse,
    responses=problem_docs(NotAllowed, NotFound, Conflict) | {200: {"content": {"text/csv": {"example": CSV_EXAMPLE}}}},
)
async def read_register_continuity_csv(
    *,
    charge_point_id: UUID,
    caller: CurrentCaller,
    transaction: Transaction,
    now: Now,
    since: Since = None,
    until: Until = None,
) -> Response:
    """The same as a table, without pages. For the owner."""
    await find_controlled(transaction, caller, charge_point_id, now)
    pairs = await continuity.read_pairs(transaction, charge_point_id, since, until)
    headers = {"Content-Disposition": 'attachment; filename="register-continuity.csv"'}
    return CsvResponse(continuity.to_csv(pairs), headers=headers)
