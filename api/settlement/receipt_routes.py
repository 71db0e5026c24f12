"""HTTP of receipts: a settled session as JSON and as PDF, in Czech and English, for its driver and its owner alone."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api.accounting.money import format_minor
from api.documents.answers import PDF_DOCS, PdfResponse, pdf_response
from api.documents.figures import Figures
from api.documents.languages import Language, words_of
from api.documents.receipt import Kind, Receipt, number_text
from api.documents.receipt_pdf import correction_text, render_receipt, title_of, vat_status
from api.documents.tariff_words import TariffWords
from api.documents.workshop import CurrentWorkshop
from api.errors import Conflict, NotFound
from api.identity.caller import CurrentCaller
from api.identity.reader import ReaderLanguage
from api.problems import problem_docs
from api.request import CurrentDatabase, Transaction
from api.settlement import receipts

router = APIRouter(prefix="/api/v1/transactions/{transaction_id}", tags=["books"])

HIGHEST_REVISION = 10_000
Revision = Annotated[
    int | None, Query(ge=0, le=HIGHEST_REVISION, description="an earlier one; without it the newest", examples=[0])
]
LINE_EXAMPLE: dict[str, Any] = {
    "type": "ENERGY",
    "name": "Energy",
    "rule": "22.300 kWh × CZK 5.50 per kWh",
    "vat_bp": 2100,
    "amount_minor": 12265,
    "amount": "122.65",
}
VAT_LINE_EXAMPLE: dict[str, Any] = LINE_EXAMPLE | {
    "type": "VAT", "name": "VAT", "rule": "21% of CZK 122.65", "amount_minor": 2576, "amount": "25.76",
}  # fmt: skip
SUMMARY_EXAMPLE: dict[str, Any] = {
    "number": "000017",
    "revision": 0,
    "settlement_id": "8a8d3a6a-3d57-4f3f-9a39-5d3d1a2f8c10",
    "issued_at": "2026-05-04T11:00:01Z",
    "currency": "CZK",
    "total_minor": 14841,
    "total": "148.41",
}
EXAMPLE: dict[str, Any] = SUMMARY_EXAMPLE | {
    "kind": "receipt",
    "language": "en",
    "title": "Receipt – tax document",
    "correction": "",
    "corrects_number": None,
    "difference_minor": 14841,
    "seller": {"name": "Jana", "vat_status": "CZ12345678", "vat_id": "CZ12345678"},
    "driver_name": "Petr",
    "is_own": False,
    "transaction_id": "b1a6b9b4-6d0e-4c3f-8b3f-1c7a5f0d9e21",
    "charge_point_name": "Garage",
    "connector_id": 1,
    "time_zone": "Europe/Prague",
    "started_at": "2026-05-04T09:00:00Z",
    "stopped_at": "2026-05-04T11:00:00Z",
    "meter_start_wh": 1460000,
    "meter_stop_wh": 1482300,
    "energy_wh": 22300,
    "tariff": ["CZK 5.50 per kWh + 21% VAT"],
    "lines": [LINE_EXAMPLE, VAT_LINE_EXAMPLE],
    "vat": [{"rate_bp": 2100, "net_minor": 12265, "vat_minor": 2576}],
    "net_minor": 12265,
    "vat_minor": 2576,
}


class ReceiptSummary(BaseModel):
    """A receipt among those of its session."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": SUMMARY_EXAMPLE})

    number: str = Field(description="without gaps among the receipts of the owner; it never changes")
    revision: int = Field(description="0, and one more for each correction")
    settlement_id: UUID
    issued_at: datetime
    currency: str
    total_minor: int = Field(description="VAT included, in minor units")
    total: str = Field(description="the same as decimal text")


class ReceiptList(BaseModel):
    """All receipts of a session; the last one holds."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [SUMMARY_EXAMPLE]}})

    items: list[ReceiptSummary]


class ReceiptSeller(BaseModel):
    """The owner of the wallbox at that time, by today's name."""

    name: str
    vat_status: str = Field(description="in words, or the VAT id")
    vat_id: str | None


class ReceiptLine(BaseModel):
    """A line of the charge detail record."""

    type: str
    name: str
    rule: str = Field(description="how the amount was computed, before it was rounded half to even")
    vat_bp: int | None = Field(description="its rate of VAT in hundredths of a percent; null: none")
    amount_minor: int = Field(description="without VAT, or the VAT itself")
    amount: str


class ReceiptVat(BaseModel):
    """The sums of the lines at one rate of VAT."""

    model_config = ConfigDict(from_attributes=True)

    rate_bp: int | None
    net_minor: int
    vat_minor: int


class ReceiptBody(ReceiptSummary):
    """A receipt: figures for machines, and the words that stand on the PDF."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    kind: Kind
    language: Language
    title: str
    correction: str = Field(description="which receipt it corrects and by how much, in words; empty of a first one")
    corrects_number: str | None
    difference_minor: int = Field(description="to the receipt that it corrects; the total of a first one")
    seller: ReceiptSeller
    driver_name: str
    is_own: bool = Field(description="the owner charged on the own wallbox: nothing is to be paid")
    transaction_id: UUID
    charge_point_name: str
    connector_id: int
    time_zone: str
    started_at: datetime
    stopped_at: datetime | None
    meter_start_wh: int = Field(description="the register as it was billed")
    meter_stop_wh: int | None
    energy_wh: int | None
    tariff: list[str] = Field(description="as it was agreed at the start, in words")
    lines: list[ReceiptLine]
    vat: list[ReceiptVat]
    net_minor: int
    vat_minor: int


@router.get("/receipts", summary="List the receipts of a session", responses=problem_docs(NotFound, Conflict))
async def list_receipts(transaction_id: UUID, caller: CurrentCaller, transaction: Transaction) -> ReceiptList:
    """The first receipt and its corrections, oldest first. For the session's driver and owner, nobody else."""
    rows = await receipts.list_revisions(transaction, transaction_id, caller.user_id)
    items = [
        ReceiptSummary(
            number=number_text(row.number),
            revision=row.revision,
            settlement_id=row.id,
            issued_at=row.posted_at,
            currency=row.currency,
            total_minor=row.net_minor + row.vat_minor,
            total=format_minor(row.net_minor + row.vat_minor, row.currency),
        )
        for row in rows
    ]
    return ReceiptList(items=items)


@router.get("/receipt", summary="Read a receipt", responses=problem_docs(NotFound, Conflict))
async def read_receipt(
    *,
    transaction_id: UUID,
    caller: CurrentCaller,
    language: ReaderLanguage,
    transaction: Transaction,
    revision: Revision = None,
) -> ReceiptBody:
    """What a settled session comes to and why, from its sealed settlement. For its driver and owner, nobody else."""
    return _body(await receipts.read_receipt(transaction, transaction_id, caller.user_id, revision), language)


@router.get(
    "/receipt.pdf",
    summary="Read a receipt as PDF",
    response_class=PdfResponse,
    responses=problem_docs(NotFound, Conflict) | PDF_DOCS,
)
async def read_receipt_pdf(
    *,
    transaction_id: UUID,
    caller: CurrentCaller,
    database: CurrentDatabase,
    language: ReaderLanguage,
    workshop: CurrentWorkshop,
    revision: Revision = None,
) -> Response:
    """The same to print and to keep. It is the same file each time, as long as nobody in it changes their name."""
    async with database.transaction() as transaction:
        receipt = await receipts.read_receipt(transaction, transaction_id, caller.user_id, revision)
    content = await workshop.make(partial(render_receipt, receipt, language))
    return pdf_response(content, f"receipt-{number_text(receipt.number)}.pdf")


def _body(receipt: Receipt, language: Language) -> ReceiptBody:
    words, figures = words_of(language), Figures(language, receipt.time_zone)
    tariff = receipt.tariff
    names = set(ReceiptBody.model_fields) & set(Receipt.__slots__) - {"number", "seller", "lines", "tariff"}
    return ReceiptBody(
        **{name: getattr(receipt, name) for name in names},
        number=number_text(receipt.number),
        total_minor=receipt.total_minor,
        total=format_minor(receipt.total_minor, receipt.currency),
        kind=receipt.kind,
        language=language,
        title=title_of(receipt, words),
        correction=correction_text(receipt, words, figures),
        corrects_number=number_text(receipt.corrects.number) if receipt.corrects else None,
        difference_minor=receipt.difference_minor,
        seller=ReceiptSeller(
            name=receipt.seller.name, vat_status=vat_status(receipt, words), vat_id=receipt.seller.vat_id
        ),
        tariff=TariffWords(words, figures).describe(tariff) if tariff else [],
        lines=_lines(receipt, TariffWords(words, figures)),
        vat=[ReceiptVat.model_validate(part) for part in receipt.vat_parts],
    )


def _lines(receipt: Receipt, said: TariffWords) -> list[ReceiptLine]:
    if receipt.tariff is None:
        return []
    return [
        ReceiptLine(
            type=line["type"],
            name=said.name(line),
            rule=said.rule(line, receipt.tariff),
            vat_bp=line.get("vat_bp"),
            amount_minor=line["amount_minor"],
            amount=format_minor(line["amount_minor"], receipt.currency),
        )
        for line in receipt.lines
    ]
