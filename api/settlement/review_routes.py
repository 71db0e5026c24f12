"""HTTP of the review list: held sessions with their reasons in words and what usually helps."""

from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from api.accounting.money import format_minor
from api.documents.answers import json_response
from api.documents.languages import Words, words_of
from api.identity.caller import CurrentCaller
from api.identity.reader import ReaderLanguage
from api.paging import Page, Paging
from api.problems import problem_docs
from api.request import CurrentDatabase
from api.settlement import review

router = APIRouter(prefix="/api/v1/held-sessions", tags=["books"])

EXAMPLE: dict[str, Any] = {
    "transaction_id": "b1a6b9b4-6d0e-4c3f-8b3f-1c7a5f0d9e21",
    "charge_point_id": "3f0f0a52-5a4d-4a8e-9c53-6d7f4f5a2b10",
    "charge_point_name": "Garage",
    "connector_id": 1,
    "status": "stopped",
    "started_at": "2026-05-04T09:00:00Z",
    "stopped_at": "2026-05-04T11:00:00Z",
    "meter_start_wh": 1460000,
    "meter_stop_wh": 1482300,
    "energy_wh": 22300,
    "currency": "CZK",
    "total_minor": None,
    "total": None,
    "reasons": [
        {
            "reason": "energy_above_rated_power",
            "text": "More energy flowed than the rated power of the wallbox allows.",
        }
    ],
    "suggestion": "bill",
}


class HeldReason(BaseModel):
    """Why a session waits."""

    reason: str = Field(description="stable name")
    text: str = Field(description="in the reader's language")


class HeldSession(BaseModel):
    """A session that waits for a decision."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    transaction_id: UUID
    charge_point_id: UUID
    charge_point_name: str
    connector_id: int
    status: str
    started_at: datetime
    stopped_at: datetime | None
    meter_start_wh: int
    meter_stop_wh: int | None
    energy_wh: int | None
    currency: str | None
    total_minor: int | None = Field(description="in minor units, where it could be rated")
    total: str | None = Field(description="the same as decimal text")
    reasons: list[HeldReason]
    suggestion: review.Suggestion | None = Field(
        description="what usually helps: a decision `bill` or `waive`, a correction by an operator, or to replay the "
        "refused messages; null: a person must look. Nothing is done by itself"
    )


class HeldSessionPage(Page[HeldSession]):
    """Held sessions, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [EXAMPLE], "next_cursor": None}})


@router.get(
    "",
    summary="List the sessions that wait for a decision",
    response_model=HeldSessionPage,
    responses=problem_docs(),
)
async def list_held_sessions(
    *, caller: CurrentCaller, language: ReaderLanguage, database: CurrentDatabase, paging: Paging
) -> Response:
    """Held sessions at what was the caller's charge point then, for operators all, with reasons and a suggestion."""
    async with database.reading() as connection:
        rows, cursor = await review.list_held(connection, caller, paging)
    words = words_of(language)
    return json_response({"items": [_held(row, words) for row in rows], "next_cursor": cursor})


def _held(row: asyncpg.Record, words: Words) -> dict[str, Any]:
    """A `HeldSession`."""
    found = dict(row)
    del found["id"]
    reasons, currency, total_minor = found.pop("held_reasons"), found["currency"], found["total_minor"]
    return found | {
        "total": format_minor(total_minor, currency) if total_minor is not None and currency else None,
        "reasons": [{"reason": reason, "text": review.explain(reason, words)} for reason in reasons],
        "suggestion": review.suggest(reasons),
    }
