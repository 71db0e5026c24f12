"""HTTP of charging from a sticker: what somebody logged in may expect at the connector of a code, and the start there.

The code only names the connector; who may charge, the price and the money are decided where every start is decided.
"""

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from api.charge_points import commands, gateways
from api.charge_points.command_routes import STARTING, Command, WaitSeconds, own_tag
from api.charge_points.command_rules import REMOTE_START
from api.charge_points.connector_codes import find_by_code
from api.charge_points.sending import CurrentSender
from api.credit.holds import available, hold_for, too_low
from api.database import raw
from api.documents.sticker import write_code
from api.errors import NotFound
from api.identity import id_tags
from api.identity.caller import Caller, CurrentCaller
from api.identity.id_tag_routes import TagText
from api.problems import problem_docs
from api.request import Body, CurrentBus, CurrentSettings, Now, Transaction
from api.schema import charge_points
from api.settings import Settings
from api.sharing.access import is_visible
from api.sharing.authorization import authorize
from api.sharing.decision import Decision
from api.tariffs.bodies import PRICE_EXAMPLE, Price, describe_price
from api.tariffs.in_force import Version, price_for, tariff_in_force

router = APIRouter(prefix="/api/v1/c", tags=["charge points"])

CREDIT_TOO_LOW: Final = "credit_too_low"
"""Beside the codes of a decision: they may charge, and have less money than a start keeps."""
HOLD_EXAMPLE: dict[str, Any] = {
    "currency": "CZK",
    "amount_minor": 50000,
    "available_minor": 12000,
    "missing_minor": 38000,
    "top_up": "/api/v1/top-up?amount_minor=38000",
}
OFFER_EXAMPLE: dict[str, Any] = {
    "code": "7K3M-9QXA-2B4C",
    "name": "Garage",
    "connector_id": 1,
    "status": "Available",
    "online": True,
    "charge_point_id": "3f0f0a52-5a4d-4a8e-9c53-6d7f4f5a2b10",
    "may_charge": False,
    "reason_code": "credit_too_low",
    "reason": "Charging here needs 500.00 CZK; 120.00 CZK are available, 380.00 CZK are missing. "
    "Top up by bank transfer: GET /api/v1/top-up shows how.",
    "price": PRICE_EXAMPLE,
    "hold": HOLD_EXAMPLE,
}
Code = Annotated[str, Path(description="as on the sticker; case and dashes do not matter")]


class Hold(BaseModel):
    """What a start keeps of the caller's money until the session is settled; amounts in minor units."""

    model_config = ConfigDict(json_schema_extra={"example": HOLD_EXAMPLE})

    currency: str
    amount_minor: int
    available_minor: int
    missing_minor: int = Field(description="0 where there is enough")
    top_up: str | None = Field(description="where to learn how to pay what is missing; null where there is enough")


class Offer(BaseModel):
    """What the caller may expect at a connector."""

    model_config = ConfigDict(json_schema_extra={"example": OFFER_EXAMPLE})

    code: str
    name: str = Field(description="as the owner calls the wallbox")
    connector_id: int
    status: str | None = Field(description="OCPP ChargePointStatus; null before the first one")
    online: bool | None = Field(description="whether it is connected now; null where that is not known")
    charge_point_id: UUID | None = Field(description="null where it is not shared with the caller")
    may_charge: bool
    reason_code: str = Field(description=f"stable: those of `may-charge`, and {CREDIT_TOO_LOW}")
    reason: str = Field(description="why not, as a sentence; empty where one may")
    price: Price | None = Field(description="of a session that starts now; null where it is not shared with the caller")
    hold: Hold | None = Field(description="null where a start keeps nothing")


class ScannedStart(Body):
    """By which price to start."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"tariff_version_id": "0d2f6a0e-9a52-4a3b-8f35-5b8d5c0c7b11"}}
    )

    tariff_version_id: UUID | None = Field(
        description="of the price that was shown (null: that there is none): where another holds, the start is refused "
        "with the new one"
    )
    id_tag: TagText | None = Field(default=None, description="one of the caller's; the app's where it is left out")
    wait_s: WaitSeconds = 30


@router.get("/{code}", summary="Read what a sticker offers the caller", responses=problem_docs(NotFound))
async def read_offer(
    *, code: Code, caller: CurrentCaller, transaction: Transaction, bus: CurrentBus, settings: CurrentSettings, now: Now
) -> Offer:
    """Whether the caller may charge at the connector of a code now and why not, at what price, and what is kept for it.

    Give `tariff_version_id` of the price to `POST .../start`.
    """
    place = await find_by_code(transaction, code)
    charge_point = await _shared_with(transaction, caller, place.charge_point_id, now)
    driver = await raw(transaction)
    tag = await id_tags.find_own(transaction, caller.user_id, None)
    decision = await authorize(driver, place.charge_point_id, tag or "", now, starting_on=place.connector_id)
    version = None
    if decision.accepted:
        version = await tariff_in_force(driver, place.charge_point_id, decision.grant_id, now)
    elif charge_point is not None:
        version = await price_for(transaction, place.charge_point_id, caller.user_id, now)
    hold = None
    if decision.accepted and version is not None and decision.grant_id is not None:
        hold = await _hold(transaction, caller, version, settings)
    return Offer(
        code=write_code(place.code),
        name=place.name,
        connector_id=place.connector_id,
        status=place.status,
        online=(await gateways.online(bus, [place.charge_point_id]))[place.charge_point_id],
        charge_point_id=None if charge_point is None else charge_point.id,
        price=None if charge_point is None else describe_price(version),
        hold=hold,
        **_verdict(decision, hold),
    )


@router.post("/{code}/start", status_code=201, summary="Start a session from a sticker", responses=STARTING)
async def start_from_sticker(code: Code, body: ScannedStart, sender: CurrentSender) -> Command:
    """Asks the charge point to start at the connector of a code, by the caller's own id tag and at the price shown.

    What is said of `POST /charge-points/{id}/start` holds here too. A code is no right to charge: who has none is
    refused with the reason.
    """
    async with sender.database.transaction() as transaction:
        charge_point_id = (await find_by_code(transaction, code)).charge_point_id

    async def prepare(transaction: AsyncConnection) -> commands.Call:
        place = await find_by_code(transaction, code)
        this = select(charge_points).where(charge_points.c.id == place.charge_point_id)
        charge_point = (await transaction.execute(this)).one()
        tag = await own_tag(transaction, sender.caller, body.id_tag)
        payload = {"connectorId": place.connector_id, "idTag": tag}
        return commands.Call(charge_point, REMOTE_START, payload, shown=commands.Shown(body.tariff_version_id))

    return Command.model_validate(await sender.send(charge_point_id, prepare, body.wait_s))


async def _shared_with(
    transaction: AsyncConnection, caller: Caller, charge_point_id: UUID, now: datetime
) -> Row[Any] | None:
    query = select(charge_points.c.id).where(charge_points.c.id == charge_point_id, is_visible(caller, now))
    row: Row[Any] | None = (await transaction.execute(query)).one_or_none()
    return row


async def _hold(transaction: AsyncConnection, caller: Caller, version: Version, settings: Settings) -> Hold | None:
    amount_minor, currency = hold_for(version.tariff, settings.hold_minor), version.currency
    if amount_minor == 0:
        return None
    has_minor = await available(await raw(transaction), caller.user_id, currency, settings.credit_limit_minor)
    missing_minor = max(0, amount_minor - has_minor)
    return Hold(
        currency=currency,
        amount_minor=amount_minor,
        available_minor=has_minor,
        missing_minor=missing_minor,
        top_up=f"/api/v1/top-up?amount_minor={missing_minor}" if missing_minor else None,
    )


def _verdict(decision: Decision, hold: Hold | None) -> dict[str, Any]:
    if decision.accepted and hold is not None and hold.missing_minor:
        refusal = too_low(hold.amount_minor, hold.available_minor, hold.currency)
        return {"may_charge": False, "reason_code": CREDIT_TOO_LOW, "reason": refusal.detail}
    return {"may_charge": decision.accepted, "reason_code": decision.code, "reason": decision.reason}
