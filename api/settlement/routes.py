"""HTTP of the books: accounts with their balances, transfers, monthly statements."""

from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.accounting.money import format_minor
from api.database import raw
from api.documents.answers import PDF_DOCS, PdfResponse, json_response, pdf_response
from api.documents.workshop import CurrentWorkshop
from api.errors import Conflict, NotFound
from api.identity.caller import CurrentCaller
from api.identity.reader import ReaderLanguage
from api.paging import Page, PageRequest, Paging, paging_of
from api.problems import problem_docs
from api.request import CurrentDatabase, Day, Now, Transaction
from api.settlement import entries, operations, statement_pdf
from api.settlement.statement import Entry, Totals, to_csv, with_balances

router = APIRouter(prefix="/api/v1/accounts", tags=["books"])

ACCOUNT_ID = "c0a1f3de-5f57-4a4e-8f35-4e0d4e0c7b01"
BALANCE_EXAMPLE: dict[str, Any] = {"currency": "CZK", "balance_minor": 11959, "balance": "119.59"}
ACCOUNT_EXAMPLE: dict[str, Any] = {"id": ACCOUNT_ID, "kind": "owner", "balances": [BALANCE_EXAMPLE]}
TRANSFER_EXAMPLE: dict[str, Any] = {
    "id": "0f3cf0b5-7f0c-4c26-9c2c-7b4a2a3a9d55",
    "booked_on": "2026-05-04",
    "kind": "charge",
    "is_reversal": False,
    "transaction_id": "b1a6b9b4-6d0e-4c3f-8b3f-1c7a5f0d9e21",
    "charge_point_name": "Garage",
    "currency": "CZK",
    "amount_minor": 12265,
    "amount": "122.65",
}
SECTION_EXAMPLE: dict[str, Any] = {
    "currency": "CZK",
    "opening_minor": 0,
    "opening": "0.00",
    "credited_minor": 12265,
    "credited": "122.65",
    "debited_minor": 306,
    "debited": "3.06",
    "closing_minor": 11959,
    "closing": "119.59",
}
LINE_EXAMPLE = TRANSFER_EXAMPLE | {"balance_minor": 12265, "balance": "122.65"}
STATEMENT_EXAMPLE: dict[str, Any] = {
    "account_id": ACCOUNT_ID,
    "month": "2026-05",
    "sections": [SECTION_EXAMPLE],
    "items": [
        LINE_EXAMPLE,
        LINE_EXAMPLE
        | {"id": "5d0d7c9e-8f4e-4f0c-9a57-5b1a3bb0a2c4", "kind": "platform_fee", "amount_minor": -306,
           "amount": "-3.06", "balance_minor": 11959, "balance": "119.59"},
    ],
    "next_cursor": None,
}  # fmt: skip
CSV_EXAMPLE = (
    "booked_on,kind,reversal,transaction,charge_point,currency,amount,balance\r\n"
    ",opening,,,,CZK,,0.00\r\n"
    "2026-05-04,charge,no,b1a6b9b4-6d0e-4c3f-8b3f-1c7a5f0d9e21,Garage,CZK,122.65,122.65\r\n"
    ",closing,,,,CZK,,122.65\r\n"
)
Kind = Literal["driver", "owner", "platform", "bank"]
TransferKind = Literal["charge", "vat", "platform_fee", "top_up", "payout", "refund", "no_show_fee"]
Month = Annotated[
    str | None,
    Query(
        pattern=r"^20\d{2}-(0[1-9]|1[0-2])$",
        description="such as 2026-05; without it the current one (UTC)",
        examples=["2026-05"],
    ),
]
StatementPaging = Annotated[PageRequest, Depends(paging_of(entries.DEFAULT_LINES, entries.MOST_A_PAGE))]
On = Annotated[Day | None, Query(description="balances at the end of this day; without it those of now")]


class Balance(BaseModel):
    """What stands on an account in one currency."""

    model_config = ConfigDict(json_schema_extra={"example": BALANCE_EXAMPLE})

    currency: str
    balance_minor: int = Field(description="in minor units; negative is owed")
    balance: str = Field(description="the same as decimal text")


class Account(BaseModel):
    """An account of the ledger."""

    model_config = ConfigDict(json_schema_extra={"example": ACCOUNT_EXAMPLE})

    id: UUID
    kind: Kind = Field(description="what a person pays as a driver, or gets as an owner; platform and bank: the house")
    balances: list[Balance] = Field(description="by currency; empty before the first transfer")


class AccountList(BaseModel):
    """Accounts."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [ACCOUNT_EXAMPLE]}})

    items: list[Account]


class Transfer(BaseModel):
    """A transfer as this account sees it."""

    model_config = ConfigDict(json_schema_extra={"example": TRANSFER_EXAMPLE})

    id: UUID
    booked_on: date = Field(description="the day of posting where the charge point stands, or by the house's clock")
    kind: TransferKind
    is_reversal: bool = Field(description="whether it takes an earlier transfer back")
    transaction_id: UUID | None = Field(description="null: from or to the bank, or a no-show fee")
    charge_point_name: str = Field(description="empty: from or to the bank")
    currency: str
    amount_minor: int = Field(description="in minor units; positive came in, negative went out")
    amount: str = Field(description="the same as decimal text")


class TransferPage(Page[Transfer]):
    """Transfers, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [TRANSFER_EXAMPLE], "next_cursor": None}})


class StatementLine(Transfer):
    """A transfer with the balance after it."""

    model_config = ConfigDict(json_schema_extra={"example": LINE_EXAMPLE})

    balance_minor: int
    balance: str


class StatementSection(BaseModel):
    """The whole month in one currency; amounts in minor units and as decimal text."""

    model_config = ConfigDict(json_schema_extra={"example": SECTION_EXAMPLE})

    currency: str
    opening_minor: int
    opening: str
    credited_minor: int
    credited: str
    debited_minor: int
    debited: str
    closing_minor: int
    closing: str


class Statement(Page[StatementLine]):
    """A month of an account: its figures by currency, and its lines or a page of them, oldest first."""

    model_config = ConfigDict(json_schema_extra={"example": STATEMENT_EXAMPLE})

    account_id: UUID
    month: str
    sections: list[StatementSection] = Field(
        description="one for each currency that the account ever had; of all lines, whichever page this is"
    )


class CsvResponse(Response):
    """A table as RFC 4180 has it."""

    media_type = "text/csv"


@router.get("", summary="List the accounts of the ledger", responses=problem_docs())
async def list_accounts(caller: CurrentCaller, transaction: Transaction, on: On = None) -> AccountList:
    """The caller's accounts as driver and as owner with their balances; for operators also those of the house."""
    rows = await operations.list_accounts(transaction, caller)
    return AccountList(items=[await _account(transaction, row.id, row.kind, on) for row in rows])


@router.get("/{account_id}", summary="Read an account of the ledger", responses=problem_docs(NotFound))
async def read_account(account_id: UUID, caller: CurrentCaller, transaction: Transaction, on: On = None) -> Account:
    """One account with its balances by currency, now or at the end of a day."""
    found = await operations.find_account(await raw(transaction), caller, account_id)
    return await _account(transaction, found["id"], found["kind"], on)


@router.get(
    "/{account_id}/transfers",
    summary="List the transfers of an account",
    response_model=TransferPage,
    responses=problem_docs(NotFound),
)
async def list_transfers(
    account_id: UUID, caller: CurrentCaller, database: CurrentDatabase, paging: Paging
) -> Response:
    """What came in and went out, newest first."""
    async with database.reading() as connection:
        await operations.find_account(connection, caller, account_id)
        found, cursor = await entries.read_newest(connection, account_id, paging)
    return json_response({"items": [_fields(entry) for entry in found], "next_cursor": cursor})


@router.get(
    "/{account_id}/statement",
    summary="Read a monthly statement",
    response_model=Statement,
    responses=problem_docs(NotFound),
)
async def read_statement(
    *,
    account_id: UUID,
    caller: CurrentCaller,
    database: CurrentDatabase,
    now: Now,
    paging: StatementPaging,
    month: Month = None,
) -> Response:
    """A month by days of booking: the balance before it, each transfer with the balance after it, and what came out.

    The figures in `sections` are those of the whole month; of its transfers `limit` come at once, the others by
    `cursor`. The CSV and the PDF have them all.
    """
    begins, ends = _bounds(month, now)
    async with database.reading() as connection:
        await operations.find_account(connection, caller, account_id)
        found = await entries.read_month(connection, account_id, begins, ends, paging)
    lines = with_balances(found.totals, found.entries)
    return json_response({
        "account_id": account_id,
        "month": f"{begins:%Y-%m}",
        "sections": [_section(each) for each in found.totals],
        "items": [_line(entry, minor) for entry, minor in lines],
        "next_cursor": found.next_cursor,
    })  # fmt: skip


@router.get(
    "/{account_id}/statement.csv",
    summary="Read a monthly statement as CSV",
    response_class=CsvResponse,
    responses=problem_docs(NotFound, Conflict) | {200: {"content": {"text/csv": {"example": CSV_EXAMPLE}}}},
)
async def read_statement_csv(
    *, account_id: UUID, caller: CurrentCaller, database: CurrentDatabase, now: Now, month: Month = None
) -> Response:
    """The same as a table for spreadsheets, UTF-8. Texts that would be formulas begin with an apostrophe."""
    begins, ends = _bounds(month, now)
    async with database.long_reading() as connection:
        await operations.find_account(connection, caller, account_id)
        sections = await operations.read_statement(connection, account_id, begins, ends)
    name = f"statement-{begins:%Y-%m}.csv"
    return CsvResponse(to_csv(sections), headers={"Content-Disposition": f'attachment; filename="{name}"'})


@router.get(
    "/{account_id}/statement.pdf",
    summary="Read a monthly statement as PDF",
    response_class=PdfResponse,
    responses=problem_docs(NotFound, Conflict) | PDF_DOCS,
)
async def read_statement_pdf(
    *,
    account_id: UUID,
    caller: CurrentCaller,
    database: CurrentDatabase,
    language: ReaderLanguage,
    workshop: CurrentWorkshop,
    now: Now,
    month: Month = None,
) -> Response:
    """The same to print, in Czech or English. A month of more than 2000 transfers is to be read as CSV."""
    begins, ends = _bounds(month, now)
    async with database.long_reading() as connection:
        account = await operations.find_account(connection, caller, account_id)
        holder = await operations.read_holder(connection, account)
        sections = await operations.read_statement(connection, account_id, begins, ends, entries.MOST_PRINTED)
    head = statement_pdf.Head(account_id, account["kind"], holder, begins)
    content = await workshop.make(partial(statement_pdf.render_statement, head, sections, language))
    return pdf_response(content, f"statement-{begins:%Y-%m}.pdf")


def _bounds(month: str | None, now: datetime) -> tuple[date, date]:
    """The first day of the month and of the next."""
    begins = date.fromisoformat(f"{month or now.astimezone(UTC).strftime('%Y-%m')}-01")
    return begins, (begins + timedelta(days=31)).replace(day=1)


async def _account(connection: AsyncConnection, account_id: UUID, kind: Kind, on: date | None) -> Account:
    before = None if on is None or on == date.max else on + timedelta(days=1)
    balances = await operations.read_balances(connection, account_id, before)
    return Account(
        id=account_id,
        kind=kind,
        balances=[
            Balance(currency=currency, balance_minor=minor, balance=format_minor(minor, currency))
            for currency, minor in balances.items()
        ],
    )


def _fields(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "booked_on": entry.booked_on,
        "kind": entry.kind,
        "is_reversal": entry.is_reversal,
        "transaction_id": entry.transaction_id,
        "charge_point_name": entry.charge_point_name,
        "currency": entry.currency,
        "amount_minor": entry.amount_minor,
        "amount": format_minor(entry.amount_minor, entry.currency),
    }


def _line(entry: Entry, balance_minor: int) -> dict[str, Any]:
    fields = _fields(entry)
    fields["balance_minor"] = balance_minor
    fields["balance"] = format_minor(balance_minor, entry.currency)
    return fields


def _amount(name: str, minor: int, currency: str) -> dict[str, Any]:
    return {f"{name}_minor": minor, name: format_minor(minor, currency)}


def _section(totals: Totals) -> dict[str, Any]:
    currency = totals.currency
    return {
        "currency": currency,
        **_amount("opening", totals.opening_minor, currency),
        **_amount("credited", totals.credited_minor, currency),
        **_amount("debited", totals.debited_minor, currency),
        **_amount("closing", totals.closing_minor, currency),
    }
