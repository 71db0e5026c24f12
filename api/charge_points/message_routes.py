"""HTTP of the message log: what was said on the wire, and what was set aside. For owners."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from api.charge_points import message_history
from api.errors import NotAllowed, NotFound
from api.identity.caller import CurrentCaller
from api.paging import Page, Paging
from api.problems import problem_docs
from api.request import Instant, Now, StorableText, Transaction
from api.sharing.access import find_controlled

router = APIRouter(prefix="/api/v1/charge-points/{charge_point_id}", tags=["message log"])

MESSAGE_EXAMPLE: dict[str, Any] = {
    "at": "2026-05-04T09:00:00Z",
    "direction": "in",
    "message_type": "CALL",
    "message_id": "19223201",
    "action": "Heartbeat",
    "payload": {},
    "error_code": None,
    "error_description": None,
    "raw": '[2,"19223201","Heartbeat",{}]',
    "note": None,
}
UNPROCESSED_EXAMPLE: dict[str, Any] = {
    "id": 17,
    "received_at": "2026-05-04T09:00:00Z",
    "message_id": "19223202",
    "action": "MeterValues",
    "payload": None,
    "raw": '{"connectorId":1,"meterValue":[{"timestamp":"never"}]}',
    "error_code": None,
    "reason": "timestamp is not a date",
    "suggested_quirks": [],
    "transaction_id": None,
    "resolved_at": None,
}


class Message(BaseModel):
    """A frame on the wire."""

    model_config = ConfigDict(json_schema_extra={"example": MESSAGE_EXAMPLE})

    at: datetime
    direction: Literal["in", "out"] = Field(description="`in`: from the charge point")
    message_type: str | None = Field(description="`CALL`, `CALLRESULT` or `CALLERROR`; null where it is unreadable")
    message_id: str | None
    action: str | None
    payload: Any = Field(description="decoded; of a CALLERROR its details; null where the frame is not JSON")
    error_code: str | None = Field(description="of a CALLERROR")
    error_description: str | None = Field(description="of a CALLERROR")
    raw: str = Field(description="the frame as it was on the wire, secrets left out")
    note: str | None = Field(description="what a quirk repaired in it before it was processed")


class MessagePage(Page[Message]):
    """Messages, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [MESSAGE_EXAMPLE], "next_cursor": None}})


class UnprocessedMessage(BaseModel):
    """A message that was stored but could not be processed, or had to be refused."""

    model_config = ConfigDict(json_schema_extra={"example": UNPROCESSED_EXAMPLE})

    id: int
    received_at: datetime
    message_id: str
    action: str
    payload: Any = Field(description="decoded; null where it is not JSON")
    raw: str = Field(description="the payload as it was on the wire")
    error_code: str | None = Field(description="the CALLERROR that it was answered with; null: answered validly")
    reason: str
    suggested_quirks: list[str] = Field(description="with these quirks set it can be replayed")
    transaction_id: UUID | None
    resolved_at: datetime | None = Field(description="when it was replayed; null while it waits")


class UnprocessedPage(Page[UnprocessedMessage]):
    """Messages that were set aside, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [UNPROCESSED_EXAMPLE], "next_cursor": None}})


@router.get("/messages", summary="Read the message log", responses=problem_docs(NotAllowed, NotFound))
async def list_messages(
    *,
    charge_point_id: UUID,
    caller: CurrentCaller,
    transaction: Transaction,
    paging: Paging,
    now: Now,
    direction: Annotated[Literal["in", "out"] | None, Query(description="`in`: from the charge point")] = None,
    action: Annotated[StorableText | None, Query(max_length=100, description="for example BootNotification")] = None,
    since: Annotated[Instant | None, Query(alias="from", description="not before")] = None,
    until: Annotated[Instant | None, Query(alias="to", description="before")] = None,
) -> MessagePage:
    """Every frame between this charge point and Voltuj, newest first. For its owner."""
    await find_controlled(transaction, caller, charge_point_id, now)
    wanted = message_history.MessageFilter(direction, action, since, until)
    rows, cursor = await message_history.list_messages(transaction, charge_point_id, wanted, paging)
    return MessagePage(items=[_message(row) for row in rows], next_cursor=cursor)


@router.get("/unprocessed", summary="List messages set aside", responses=problem_docs(NotAllowed, NotFound))
async def list_unprocessed(
    *, charge_point_id: UUID, caller: CurrentCaller, transaction: Transaction, paging: Paging, now: Now
) -> UnprocessedPage:
    """Messages that are stored raw because they could not be processed, with the reason. For the owner."""
    await find_controlled(transaction, caller, charge_point_id, now)
    rows, cursor = await message_history.list_unprocessed(transaction, charge_point_id, paging)
    return UnprocessedPage(items=[_unprocessed(row) for row in rows], next_cursor=cursor)


async def read_unprocessed(
    transaction: AsyncConnection, charge_point_id: UUID, unprocessed_id: int
) -> UnprocessedMessage:
    """One message that was set aside.

    Raises:
        NotFound: this charge point has none of this id.
    """
    row = await message_history.find_unprocessed(transaction, charge_point_id, unprocessed_id)
    if row is None:
        raise NotFound
    return _unprocessed(row)


def _message(row: Row[Any]) -> Message:
    message_type = message_history.MESSAGE_TYPES.get(row.message_type)
    code, description = message_history.error_of(row.frame, message_type)
    return Message(
        at=row.at,
        direction=row.direction,
        message_type=message_type,
        message_id=row.message_id,
        action=row.action,
        payload=message_history.payload_of(row.frame, message_type),
        error_code=code,
        error_description=description,
        raw=message_history.as_text(row.frame),
        note=row.note,
    )


def _unprocessed(row: Row[Any]) -> UnprocessedMessage:
    fields = {name: row._mapping[name] for name in UnprocessedMessage.model_fields if name in row._mapping}
    raw = row.payload
    return UnprocessedMessage(
        **{**fields, "payload": message_history.decode_json(raw)}, raw=message_history.as_text(raw)
    )
