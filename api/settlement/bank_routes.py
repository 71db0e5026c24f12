"""HTTP of the bank, for operators: import its statements, decide about movements that nobody could match."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from api.accounting.money import format_minor
from api.charge_points.onboarding import check_operator
from api.database import raw
from api.errors import BadRequest, Conflict, InProgress, Invalid, KeyReused, NotFound, TooLarge
from api.identity.caller import CurrentCaller
from api.identity.email import Email
from api.identity.once import Once
from api.identity.operations import find_by_email
from api.paging import Page, Paging
from api.problems import problem_docs
from api.request import Body, CurrentSettings, Note, Now, Transaction
from api.settlement import bank, payments
from api.settlement.bank_statement import StatementError, read_statement
from api.settlement.ledger import DRIVER, OWNER

router = APIRouter(prefix="/api/v1/operator", tags=["payments"])

MOVEMENT_ID = "8f1d3c55-70aa-4c7e-9b0b-2f0b7d3ce1aa"
MOVEMENT_EXAMPLE: dict[str, Any] = {
    "id": MOVEMENT_ID,
    "reference": "26714150488",
    "booked_on": "2026-05-04",
    "currency": "CZK",
    "amount_minor": 50000,
    "amount": "500.00",
    "variable_symbol": "1000000008",
    "counterparty": "2000145399/0800",
    "counterparty_name": "Petr Novák",
    "message": "nabíjení",
    "meaning": "top_up",
    "account_id": "c0a1f3de-5f57-4a4e-8f35-4e0d4e0c7b01",
    "payout_id": None,
    "imported_at": "2026-05-05T08:00:00Z",
}
IMPORT_EXAMPLE: dict[str, Any] = {"new": 12, "known": 3, "matched": 10, "open": 2}
CSV_EXAMPLE = (
    "id,date,amount,currency,variable_symbol,account,name,message\r\n"
    "26714150488,2026-05-04,500.00,CZK,1000000008,2000145399/0800,Petr Novák,nabíjení\r\n"
)
OnlyOpen = Annotated[bool | None, Query(alias="open", description="only those that wait for a person, or not")]
Meaning = Literal["top_up", "payout", "confirmed", "refund", "ignored"]
MEANINGS = (
    "`top_up` of a driver, `payout` to an owner, `confirmed`: a payout that was posted before, `refund` of either, "
    "`ignored`: none of ours; null: it waits for a person"
)


class Import(BaseModel):
    """What the import of a statement did."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": IMPORT_EXAMPLE})

    new: int
    known: int = Field(description="imported before; nothing was done")
    matched: int = Field(description="of the new ones, posted by their variable symbol")
    open: int = Field(description="of the new ones, those that wait for a person")


class Movement(BaseModel):
    """A line of a bank statement, and what it means."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": MOVEMENT_EXAMPLE})

    id: UUID
    reference: str = Field(description="the bank's own id")
    booked_on: date = Field(description="by the bank")
    currency: str
    amount_minor: int = Field(description="in minor units; negative left the account")
    amount: str = Field(description="the same as decimal text")
    variable_symbol: str | None
    counterparty: str
    counterparty_name: str
    message: str
    meaning: Meaning | None = Field(description=MEANINGS)
    account_id: UUID | None = Field(description="of the ledger")
    payout_id: UUID | None
    imported_at: datetime


class MovementPage(Page[Movement]):
    """Movements, the last imported first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [MOVEMENT_EXAMPLE], "next_cursor": None}})


class Decision(Body):
    """What a movement means; what it meant before is taken back."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"meaning": "person", "email": "petr@example.com", "note": "He forgot the variable symbol."}
        }
    )

    meaning: Literal["person", "payout", "ignore", "open"] = Field(
        description="it belongs to a `person` or a `payout`, is none of ours (`ignore`), or waits again (`open`)"
    )
    email: Email | None = Field(default=None, description="of the `person`")
    account: Literal["driver", "owner"] = Field(default=DRIVER, description="which account of the `person`")
    payout_id: UUID | None = Field(default=None, description="of the `payout`")
    note: Note


@router.post(
    "/bank-statements",
    status_code=201,
    summary="Import a bank statement",
    responses=problem_docs(BadRequest, NotFound, Conflict, TooLarge),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"text/csv": {"schema": {"type": "string", "format": "binary"}, "example": CSV_EXAMPLE}},
        }
    },
)
async def import_statement(
    *, request: Request, caller: CurrentCaller, transaction: Transaction, settings: CurrentSettings, now: Now
) -> Import:
    """The body is the file: our columns or those of Fio banka, UTF-8 or Windows-1250 (docs/payments.md).

    A movement is imported once by the bank's id, however often it is sent. Where a line is wrong nothing is imported,
    and `errors` names each such line.
    """
    check_operator(caller)
    house, order = payments.house_of(settings), bank.Order(now, caller.user_id)
    try:
        statement = read_statement(await request.body())
        summary = await bank.import_statement(await raw(transaction), statement, house, order)
    except StatementError as error:
        fields = [
            {"field": f"body.line {line}" if line else "body", "message": message, "code": "statement"}
            for line, message in error.errors
        ]
        raise Invalid("Nothing was imported: this statement cannot be read.", errors=fields) from error
    return Import.model_validate(summary)


@router.get("/bank-movements", summary="List bank movements", responses=problem_docs(NotFound))
async def list_movements(
    *,
    caller: CurrentCaller,
    transaction: Transaction,
    paging: Paging,
    is_open: Annotated[
        bool | None, Query(alias="open", description="only those that wait for a person, or not")
    ] = None,
) -> MovementPage:
    """What the bank's statements said, the last imported first. For operators."""
    check_operator(caller)
    rows, cursor = await payments.list_movements(transaction, is_open=is_open, paging=paging)
    return MovementPage(items=[_movement(row) for row in rows], next_cursor=cursor)


@router.get("/bank-movements/{movement_id}", summary="Read a bank movement", responses=problem_docs(NotFound))
async def read_movement(movement_id: UUID, caller: CurrentCaller, transaction: Transaction) -> Movement:
    """One movement. For operators."""
    check_operator(caller)
    return _movement(await payments.find_movement(transaction, movement_id))


@router.post(
    "/bank-movements/{movement_id}/decisions",
    status_code=201,
    summary="Decide what a bank movement means",
    responses=problem_docs(BadRequest, NotFound, Conflict, InProgress, KeyReused),
)
async def decide_movement(
    *,
    movement_id: UUID,
    body: Decision,
    caller: CurrentCaller,
    transaction: Transaction,
    settings: CurrentSettings,
    once: Once,
    now: Now,
) -> Movement:
    """For operators: who paid or was paid. It is recorded, and can be decided anew unless it paid a payout."""
    check_operator(caller)
    if (earlier := await once.earlier(Movement)) is not None:
        return earlier
    order = bank.Order(now, caller.user_id, body.note)
    await _decide(transaction, movement_id, body, payments.house_of(settings), order)
    return await once.remember(_movement(await payments.find_movement(transaction, movement_id)))


async def _decide(
    transaction: AsyncConnection, movement_id: UUID, body: Decision, house: bank.House, order: bank.Order
) -> None:
    connection = await raw(transaction)
    if body.meaning == "person":
        user = await find_by_email(transaction, body.email or "")
        if user is None:
            raise Invalid.field("body.email", "nobody has an account with it")
        holder = (user.id, OWNER if body.account == OWNER else DRIVER)
        await bank.assign_to_person(connection, movement_id, holder, house, order)
    elif body.meaning == "payout":
        if body.payout_id is None:
            raise Invalid.field("body.payout_id", "needed here")
        await bank.assign_to_payout(connection, movement_id, body.payout_id, house, order)
    else:
        decision = bank.IGNORED if body.meaning == "ignore" else bank.OPENED
        await bank.set_aside(connection, movement_id, decision, house, order)


def _movement(row: Row[Any]) -> Movement:
    return Movement.model_validate({**row._mapping, "amount": format_minor(row.amount_minor, row.currency)})
