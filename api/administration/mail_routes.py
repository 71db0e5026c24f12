"""HTTP of the outbox of mails, for operators: what was sent, what waits, what failed. Never what a mail says."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from api.charge_points.onboarding import check_operator
from api.errors import NotFound
from api.identity.caller import CurrentCaller
from api.mail import outbox
from api.paging import Page, Paging
from api.problems import problem_docs
from api.request import Transaction

router = APIRouter(prefix="/api/v1/operator/mails", tags=["system"])

MAIL_EXAMPLE: dict[str, Any] = {
    "id": "0f8fad5b-d9cb-469f-a165-70867728950e",
    "user_id": "7f0c9a4e-3b77-4c0f-8f0e-6a2d3a1f9c11",
    "kind": "reset",
    "recipient": "jana@example.com",
    "subject": "Voltuj: nové heslo",
    "status": "queued",
    "attempts": 2,
    "next_attempt_at": "2026-05-04T08:33:00Z",
    "last_error": "SMTPConnectError: Connection refused",
    "finished_at": None,
    "created_at": "2026-05-04T08:30:00Z",
}


class Mail(BaseModel):
    """A mail without its text."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": MAIL_EXAMPLE})

    id: UUID
    user_id: UUID | None = Field(description="whose account it is about; null: none yet")
    kind: str
    recipient: str
    subject: str
    status: Literal["queued", "sent", "failed"]
    attempts: int
    next_attempt_at: datetime
    last_error: str | None
    finished_at: datetime | None = Field(description="when it was sent or given up")
    created_at: datetime


class MailPage(Page[Mail]):
    """Mails, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [MAIL_EXAMPLE], "next_cursor": None}})


@router.get("", summary="List mails", responses=problem_docs(NotFound))
async def list_mails(
    *,
    caller: CurrentCaller,
    transaction: Transaction,
    paging: Paging,
    status: Annotated[Literal["queued", "sent", "failed"] | None, Query(description="only these")] = None,
) -> MailPage:
    """Mails of the last 30 days, newest first, with what hinders those that wait. For operators."""
    check_operator(caller)
    rows, cursor = await outbox.list_mails(transaction, status, paging)
    return MailPage(items=[Mail.model_validate(row) for row in rows], next_cursor=cursor)
