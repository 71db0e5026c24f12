"""HTTP of exports: transfers, transactions and settlements that the caller may see, as CSV or JSON."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Query, Response

from api.errors import Conflict, Invalid
from api.identity.caller import CurrentCaller
from api.problems import problem_docs
from api.request import Day, Transaction
from api.settlement import exports
from api.settlement.routes import CsvResponse
from api.settlement.tables import to_csv

router = APIRouter(prefix="/api/v1/exports", tags=["books"])

Format = Annotated[Literal["csv", "json"], Query(alias="format", description="a table for spreadsheets, or a list")]
LONGEST_DAYS = 366 * 2


async def _days(
    begins: Annotated[Day, Query(alias="from", description="the first day", examples=["2026-05-01"])],
    ends: Annotated[Day, Query(alias="until", description="the day after the last", examples=["2026-06-01"])],
) -> tuple[date, date]:
    if not 0 < (ends - begins).days <= LONGEST_DAYS:
        raise Invalid.field("query.until", f"must be later than `from`, by at most {LONGEST_DAYS} days")
    return begins, ends


Days = Annotated[tuple[date, date], Depends(_days)]


def _docs(columns: Sequence[str], example: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    table = to_csv(columns, exports.flat_lines([example]) if "lines" in example else [example])
    content = {"text/csv": {"example": table}, "application/json": {"example": {"items": [example]}}}
    return problem_docs(Conflict) | {200: {"content": content}}


TRANSFER_EXAMPLE = {
    "id": "0f3cf0b5-7f0c-4c26-9c2c-7b4a2a3a9d55", "booked_on": "2026-05-04", "kind": "charge", "is_reversal": False,
    "account_id": "c0a1f3de-5f57-4a4e-8f35-4e0d4e0c7b01", "account_kind": "owner",
    "transaction_id": "b1a6b9b4-6d0e-4c3f-8b3f-1c7a5f0d9e21", "currency": "CZK", "amount_minor": 12265,
    "amount": "122.65",
}  # fmt: skip
TRANSACTION_EXAMPLE = {
    "id": "b1a6b9b4-6d0e-4c3f-8b3f-1c7a5f0d9e21", "charge_point_id": "3f0f0a52-5a4d-4a8e-9c53-6d7f4f5a2b10",
    "charge_point_name": "Garage", "connector_id": 1, "role": "owner", "status": "stopped", "held_reasons": [],
    "started_at": "2026-05-04T09:00:00Z", "stopped_at": "2026-05-04T12:00:00Z", "meter_start_wh": 1460000,
    "meter_stop_wh": 1482300, "energy_wh": 22300, "currency": "CZK", "total_minor": 12265, "total": "122.65",
}  # fmt: skip
SETTLEMENT_EXAMPLE = {
    "id": "6a1f9a52-5a4d-4a8e-9c53-6d7f4f5a2b33", "transaction_id": "b1a6b9b4-6d0e-4c3f-8b3f-1c7a5f0d9e21",
    "revision": 0, "posted_on": "2026-05-04", "role": "owner", "currency": "CZK", "net_minor": 12265, "vat_minor": 0,
    "fee_bp": 250,
    "lines": [{"type": "ENERGY", "amount_minor": 12265, "vat_bp": None, "element": 0, "used": 22300, "volume": 22300,
               "price_e4": 55000, "base_minor": None}],
}  # fmt: skip


@router.get(
    "/transfers",
    summary="Export transfers",
    response_class=Response,
    responses=_docs(exports.TRANSFERS, TRANSFER_EXAMPLE),
)
async def export_transfers(
    *, caller: CurrentCaller, transaction: Transaction, days: Days, kind: Format = "csv"
) -> Response:
    """What was booked on the caller's accounts on these days; operators get both sides of every transfer."""
    rows = await exports.export_transfers(transaction, caller, *days)
    return _answer("transfers", exports.TRANSFERS, rows, kind)


@router.get(
    "/transactions",
    summary="Export transactions",
    response_class=Response,
    responses=_docs(exports.TRANSACTIONS, TRANSACTION_EXAMPLE),
)
async def export_transactions(
    *, caller: CurrentCaller, transaction: Transaction, days: Days, kind: Format = "csv"
) -> Response:
    """Sessions that began on these days (UTC), driven by the caller or at the caller's charge points."""
    rows = await exports.export_transactions(transaction, caller, *days)
    return _answer("transactions", exports.TRANSACTIONS, rows, kind)


@router.get(
    "/settlements",
    summary="Export settlements",
    response_class=Response,
    responses=_docs(exports.SETTLEMENT_LINES, SETTLEMENT_EXAMPLE),
)
async def export_settlements(
    *, caller: CurrentCaller, transaction: Transaction, days: Days, kind: Format = "csv"
) -> Response:
    """What sessions came to, posted on these days (UTC), with their lines; in the table a line is a row."""
    rows = await exports.export_settlements(transaction, caller, *days)
    return _answer("settlements", exports.SETTLEMENT_LINES, exports.flat_lines(rows) if kind == "csv" else rows, kind)


def _answer(name: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], kind: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}.{kind}"'}
    if kind == "csv":
        return CsvResponse(to_csv(columns, rows), headers=headers)
    return Response(orjson.dumps({"items": rows}, default=str), media_type="application/json", headers=headers)
