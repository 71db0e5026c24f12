"""HTTP of paying in: how a driver tops up, by numbers to type or a code to scan."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api.accounting.iban import czech_account
from api.accounting.money import format_minor
from api.errors import Conflict
from api.identity.caller import CurrentCaller
from api.problems import problem_docs
from api.request import CurrentSettings, Now, Transaction
from api.settlement.payment_order import ImageKind, to_image, to_spayd
from api.settlement.payments import symbol_of, top_up_order

router = APIRouter(prefix="/api/v1/top-up", tags=["payments"])

TOP_UP_EXAMPLE: dict[str, Any] = {
    "iban": "CZ6508000000192000145399",
    "account_number": "19-2000145399/0800",
    "recipient": "Voltuj",
    "currency": "CZK",
    "amount_minor": 50000,
    "amount": "500.00",
    "variable_symbol": "1000000008",
    "message": "Voltuj",
    "payment_code": "SPD*1.0*ACC:CZ6508000000192000145399*AM:500.00*CC:CZK*RN:Voltuj*MSG:Voltuj*X-VS:1000000008",
}
MOST_MINOR = 10_000_000
AmountMinor = Annotated[
    int | None,
    Query(ge=1, le=MOST_MINOR, description="in minor units; left out: the payer types it", examples=[50000]),
]
IMAGE_DOCS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "image/png": {"schema": {"type": "string", "format": "binary"}, "example": "the bytes of the image"},
            "image/svg+xml": {"schema": {"type": "string"}, "example": "<svg>...</svg>"},
        }
    }
}
MEDIA_TYPES: dict[ImageKind, str] = {"png": "image/png", "svg": "image/svg+xml"}
ImageFormat = Annotated[ImageKind, Query(description="of the image")]


class TopUp(BaseModel):
    """What to type into a bank transfer. The variable symbol is the caller's own, for ever."""

    model_config = ConfigDict(json_schema_extra={"example": TOP_UP_EXAMPLE})

    iban: str
    account_number: str | None = Field(description="the Czech form of the same account; null for other countries")
    recipient: str
    currency: str
    amount_minor: int | None
    amount: str | None = Field(description="the same as decimal text")
    variable_symbol: str
    message: str
    payment_code: str = Field(description="SPAYD 1.0, what the QR code says")


class ImageResponse(Response):
    """An image; which kind is the caller's choice."""

    media_type = "image/svg+xml"


@router.get("", summary="Read how to top up", responses=problem_docs(Conflict))
async def read_top_up(
    *,
    caller: CurrentCaller,
    transaction: Transaction,
    settings: CurrentSettings,
    now: Now,
    amount_minor: AmountMinor = None,
) -> TopUp:
    """How to pay in by bank transfer. It counts once the operator has imported the bank's statement."""
    order = top_up_order(settings, await symbol_of(transaction, caller.user_id, now), amount_minor)
    return TopUp(
        iban=order.iban,
        account_number=czech_account(order.iban),
        recipient=order.recipient,
        currency=order.currency,
        amount_minor=amount_minor,
        amount=None if amount_minor is None else format_minor(amount_minor, order.currency),
        variable_symbol=order.variable_symbol,
        message=order.message,
        payment_code=to_spayd(order),
    )


@router.get(
    "/qr",
    summary="Read how to top up as a QR code",
    response_class=ImageResponse,
    responses=problem_docs(Conflict) | IMAGE_DOCS,
)
async def read_top_up_code(
    *,
    caller: CurrentCaller,
    transaction: Transaction,
    settings: CurrentSettings,
    now: Now,
    amount_minor: AmountMinor = None,
    image: ImageFormat = "svg",
) -> Response:
    """The same as an image that Czech banks' apps scan (QR platba)."""
    order = top_up_order(settings, await symbol_of(transaction, caller.user_id, now), amount_minor)
    return Response(to_image(order, image), media_type=MEDIA_TYPES[image])
