"""HTTP of paying out: an owner's bank account and payouts; operators make, confirm and cancel them."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlalchemy import Row

from api.accounting.iban import parse_iban
from api.accounting.money import format_minor
from api.charge_points.onboarding import check_operator
from api.database import raw
from api.errors import BadRequest, Conflict, InProgress, KeyReused, NotAllowed, NotFound
from api.identity.caller import Caller, CurrentCaller
from api.identity.once import Once
from api.paging import Page, Paging
from api.problems import problem_docs
from api.request import Body, CurrentSettings, Name, Now, Transaction
from api.settlement import payments, payouts
from api.settlement.payment_order import to_image, to_spayd, to_symbol
from api.settlement.payment_routes import IMAGE_DOCS, MEDIA_TYPES, MOST_MINOR, ImageFormat, ImageResponse

router = APIRouter(prefix="/api/v1", tags=["payments"])

PAYOUT_ID = "52c7f2a4-1f8f-4a9e-a6c5-0d5b0c9d1b77"
ACCOUNT_EXAMPLE: dict[str, Any] = {"iban": "CZ6508000000192000145399", "holder_name": "Jana Nováková"}
PAYOUT_EXAMPLE: dict[str, Any] = {
    "id": PAYOUT_ID,
    "user_id": "7f0c9a4e-3b77-4c0f-8f0e-6a2d3a1f9c11",
    "status": "open",
    "iban": ACCOUNT_EXAMPLE["iban"],
    "holder_name": ACCOUNT_EXAMPLE["holder_name"],
    "currency": "CZK",
    "amount_minor": 11959,
    "amount": "119.59",
    "variable_symbol": "5000000009",
    "payment_code": "SPD*1.0*ACC:CZ6508000000192000145399*AM:119.59*CC:CZK*RN:Jana Novakova*MSG:Voltuj 5000000009"
    "*X-VS:5000000009",
    "created_at": "2026-06-01T08:00:00Z",
    "ended_at": None,
}
Status = Literal["open", "paid", "cancelled"]
DECIDING = problem_docs(NotAllowed, NotFound, Conflict, InProgress, KeyReused)


class PayoutAccount(Body):
    """A bank account to be paid on."""

    model_config = ConfigDict(json_schema_extra={"example": ACCOUNT_EXAMPLE})

    iban: Annotated[str, AfterValidator(parse_iban)] = Field(max_length=50, description="its check digits are checked")
    holder_name: Name = Field(description="whose account it is")


class PayoutRun(Body):
    """Whom to pay."""

    model_config = ConfigDict(json_schema_extra={"example": {"currency": "CZK", "least_minor": 10000}})

    currency: str = Field(pattern=r"^[A-Z]{3}$")
    least_minor: int = Field(ge=1, le=MOST_MINOR, description="who has less on the account waits, in minor units")


class Payout(BaseModel):
    """Money on its way to an owner."""

    model_config = ConfigDict(json_schema_extra={"example": PAYOUT_EXAMPLE})

    id: UUID
    user_id: UUID = Field(description="the owner")
    status: Status = Field(description="`open`: not posted yet; `paid`: posted; `cancelled`: never will be")
    iban: str
    holder_name: str
    currency: str
    amount_minor: int
    amount: str = Field(description="the same as decimal text")
    variable_symbol: str = Field(description="by which the bank's statement shows that it was paid")
    payment_code: str = Field(description="SPAYD 1.0, what the QR code says")
    created_at: datetime
    ended_at: datetime | None


class PayoutPage(Page[Payout]):
    """Payouts, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [PAYOUT_EXAMPLE], "next_cursor": None}})


class PayoutList(BaseModel):
    """The payouts that a run made."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [PAYOUT_EXAMPLE]}})

    items: list[Payout]


@router.get("/payout-account", summary="Read the payout account", responses=problem_docs(NotFound))
async def read_payout_account(caller: CurrentCaller, transaction: Transaction) -> PayoutAccount:
    """To which bank account the caller is paid."""
    row = await payments.find_payout_account(transaction, caller.user_id)
    return PayoutAccount(iban=row.iban, holder_name=row.holder_name)


@router.put("/payout-account", summary="Set the payout account", responses=problem_docs(BadRequest))
async def set_payout_account(
    body: PayoutAccount, caller: CurrentCaller, transaction: Transaction, now: Now
) -> PayoutAccount:
    """Payouts made from now on go there; one that is open keeps the account that it was made with."""
    await payments.set_payout_account(transaction, caller.user_id, body.iban, body.holder_name, now)
    return body


@router.delete("/payout-account", status_code=204, summary="Remove the payout account", responses=problem_docs())
async def remove_payout_account(caller: CurrentCaller, transaction: Transaction) -> None:
    """No payouts are made any more; the balance stays."""
    await payments.remove_payout_account(transaction, caller.user_id)


@router.get("/payouts", summary="List payouts", responses=problem_docs())
async def list_payouts(
    *,
    caller: CurrentCaller,
    transaction: Transaction,
    paging: Paging,
    status: Annotated[Status | None, Query(description="only these")] = None,
) -> PayoutPage:
    """The caller's payouts, for operators everybody's, newest first."""
    rows, cursor = await payments.list_payouts(transaction, caller, status, paging)
    return PayoutPage(items=[_payout(row) for row in rows], next_cursor=cursor)


@router.get("/payouts/{payout_id}", summary="Read a payout", responses=problem_docs(NotFound))
async def read_payout(payout_id: UUID, caller: CurrentCaller, transaction: Transaction) -> Payout:
    """One payout; for its owner and operators."""
    return _payout(await payments.find_payout(transaction, caller, payout_id))


@router.get(
    "/payouts/{payout_id}/qr",
    summary="Read a payout as a QR code",
    response_class=ImageResponse,
    responses=problem_docs(NotFound) | IMAGE_DOCS,
)
async def read_payout_code(
    *, payout_id: UUID, caller: CurrentCaller, transaction: Transaction, image: ImageFormat = "svg"
) -> Response:
    """The payment as an image that Czech banks' apps scan (QR platba)."""
    order = payments.payout_order(await payments.find_payout(transaction, caller, payout_id))
    return Response(to_image(order, image), media_type=MEDIA_TYPES[image])


@router.post(
    "/operator/payout-runs",
    status_code=201,
    summary="Make payouts",
    responses=problem_docs(BadRequest, NotFound, Conflict, InProgress, KeyReused),
)
async def create_payout_run(
    *, body: PayoutRun, caller: CurrentCaller, transaction: Transaction, once: Once, now: Now
) -> PayoutList:
    """For operators: a payout of the whole balance for every owner who has enough, a payout account and none open."""
    check_operator(caller)
    if (earlier := await once.earlier(PayoutList)) is not None:
        return earlier
    connection = await raw(transaction)
    made = await payouts.run(connection, body.currency, body.least_minor, caller.user_id, now)
    return await once.remember(PayoutList(items=[_payout(row) for row in await payments.list_made(transaction, made)]))


@router.post("/payouts/{payout_id}/confirm", status_code=201, summary="Confirm a payout", responses=DECIDING)
async def confirm_payout(
    *,
    payout_id: UUID,
    caller: CurrentCaller,
    transaction: Transaction,
    settings: CurrentSettings,
    once: Once,
    now: Now,
) -> Payout:
    """For operators: it was paid, and is posted. A bank statement that shows it does the same, never a second time."""
    await _decided_by(caller, transaction, payout_id)
    if (earlier := await once.earlier(Payout)) is not None:
        return earlier
    house = payments.house_of(settings)
    await payouts.confirm(await raw(transaction), payout_id, house, caller.user_id, now)
    return await once.remember(_payout(await payments.find_payout(transaction, caller, payout_id)))


@router.post("/payouts/{payout_id}/cancel", status_code=201, summary="Cancel a payout", responses=DECIDING)
async def cancel_payout(
    *, payout_id: UUID, caller: CurrentCaller, transaction: Transaction, once: Once, now: Now
) -> Payout:
    """For operators: it is not paid, and the money stays on the owner's account."""
    await _decided_by(caller, transaction, payout_id)
    if (earlier := await once.earlier(Payout)) is not None:
        return earlier
    await payouts.cancel(await raw(transaction), payout_id, caller.user_id, now)
    return await once.remember(_payout(await payments.find_payout(transaction, caller, payout_id)))


async def _decided_by(caller: Caller, transaction: Transaction, payout_id: UUID) -> None:
    await payments.find_payout(transaction, caller, payout_id)
    if not caller.is_operator:
        raise NotAllowed("Only an operator may end a payout.")


def _payout(row: Row[Any]) -> Payout:
    return Payout(
        **{name: value for name, value in row._mapping.items() if name in Payout.model_fields},
        amount=format_minor(row.amount_minor, row.currency),
        variable_symbol=to_symbol(row.number),
        payment_code=to_spayd(payments.payout_order(row)),
    )
