"""HTTP of log-ins: where the caller is logged in, and ending that."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api.errors import NotFound
from api.identity import recovery, sessions
from api.identity.caller import CurrentCaller
from api.paging import Page, Paging
from api.problems import problem_docs
from api.request import Now, Transaction

router = APIRouter(prefix="/api/v1/me/sessions", tags=["accounts"])

SESSION_EXAMPLE: dict[str, Any] = {
    "id": "5b0f7a52-6a0b-4a57-8a5e-0b9f2f1f8d33",
    "user_agent": "Mozilla/5.0 (Android 16)",
    "current": True,
    "last_used_at": "2026-05-04T09:00:00Z",
    "created_at": "2026-05-04T08:30:00Z",
}


class Session(BaseModel):
    """A log-in."""

    model_config = ConfigDict(json_schema_extra={"example": SESSION_EXAMPLE})

    id: UUID
    user_agent: str = Field(description="what the device said of itself")
    current: bool = Field(description="whether it is the one that asks")
    last_used_at: datetime = Field(description="when it took its newest tokens")
    created_at: datetime


class SessionPage(Page[Session]):
    """Log-ins, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [SESSION_EXAMPLE], "next_cursor": None}})


@router.get("", summary="List the own log-ins", responses=problem_docs())
async def list_sessions(caller: CurrentCaller, transaction: Transaction, paging: Paging) -> SessionPage:
    """Where the caller is logged in, newest first."""
    rows, cursor = await sessions.list_own(transaction, caller.user_id, paging)
    items = [Session(**{**row._mapping, "current": row.id == caller.session_id}) for row in rows]
    return SessionPage(items=items, next_cursor=cursor)


@router.delete("/{session_id}", status_code=204, summary="End a log-in", responses=problem_docs(NotFound))
async def end_session(session_id: UUID, caller: CurrentCaller, transaction: Transaction, now: Now) -> None:
    """Ends one of the caller's log-ins, with all its tokens."""
    await sessions.end(transaction, caller.user_id, session_id, now)


@router.delete("", status_code=204, summary="End all other log-ins", responses=problem_docs())
async def end_other_sessions(caller: CurrentCaller, transaction: Transaction, now: Now) -> None:
    """Ends every log-in of the caller but the one that asks."""
    await recovery.revoke_sessions(transaction, caller.user_id, now, but=caller.session_id)
