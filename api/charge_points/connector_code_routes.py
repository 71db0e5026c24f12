"""HTTP of connector codes: owners list, renew and print them; whoever scans one learns what stands before them."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from api.charge_points import connector_codes, gateways
from api.documents import sticker
from api.documents.answers import PDF_DOCS, PdfResponse, pdf_response
from api.documents.sticker import Sticker
from api.documents.workshop import CurrentWorkshop
from api.errors import BadRequest, InProgress, KeyReused, NotAllowed, NotFound
from api.identity.caller import CurrentCaller
from api.identity.once import Once
from api.identity.reader import ReaderLanguage
from api.problems import problem_docs
from api.request import CurrentBus, CurrentDatabase, CurrentSettings, Now, Transaction
from api.settings import Settings
from api.sharing.access import find_controlled

router = APIRouter(tags=["charge points"])

CODE_EXAMPLE: dict[str, Any] = {
    "connector_id": 1,
    "code": "7K3M-9QXA-2B4C",
    "url": "https://charging.example.org/c/7K3M9QXA2B4C",
    "created_at": "2026-05-04T08:30:00Z",
}
PLACE_EXAMPLE: dict[str, Any] = {
    "code": "7K3M-9QXA-2B4C",
    "name": "Garage",
    "connector_id": 1,
    "status": "Available",
    "online": True,
    "login_required": True,
}
HIGHEST_CONNECTOR = 2**31 - 1
MOST_CHARGE_POINTS = 50
ConnectorId = Annotated[int, Path(ge=1, le=HIGHEST_CONNECTOR)]
Form = Literal["png", "svg", "pdf"]
MEDIA_TYPES: Final[dict[Form, str]] = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}
DRAW: Final = {"png": sticker.to_png, "svg": sticker.to_svg, "pdf": sticker.to_pdf}


class ConnectorCode(BaseModel):
    """The code of a connector."""

    model_config = ConfigDict(json_schema_extra={"example": CODE_EXAMPLE})

    connector_id: int
    code: str = Field(description="as it stands on the sticker; case and dashes do not matter")
    url: str = Field(description="in the QR code")
    created_at: datetime


class ConnectorCodeList(BaseModel):
    """The codes of a charge point, by connector."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [CODE_EXAMPLE]}})

    items: list[ConnectorCode]


class ConnectorPlace(BaseModel):
    """What somebody before a connector may know without an account: nothing about its owner or the address."""

    model_config = ConfigDict(json_schema_extra={"example": PLACE_EXAMPLE})

    code: str
    name: str = Field(description="as the owner calls the wallbox")
    connector_id: int
    status: str | None = Field(description="OCPP ChargePointStatus; null before the first one")
    online: bool | None = Field(description="whether it is connected now; null where that is not known")
    login_required: bool = Field(description="whether one must log in to charge here")


class StickerResponse(Response):
    """An image, for the documentation."""

    media_type = "image/png"


@router.get(
    "/api/v1/charge-points/{charge_point_id}/connector-codes",
    summary="List connector codes",
    responses=problem_docs(NotAllowed, NotFound),
)
async def list_connector_codes(
    *, charge_point_id: UUID, caller: CurrentCaller, transaction: Transaction, settings: CurrentSettings, now: Now
) -> ConnectorCodeList:
    """The code of each connector; a new connector gets its first one when it is looked for. For the owner."""
    await find_controlled(transaction, caller, charge_point_id, now)
    rows = await connector_codes.current_codes(transaction, charge_point_id, now)
    return ConnectorCodeList(items=[_code(row, settings) for row in rows])


@router.post(
    "/api/v1/charge-points/{charge_point_id}/connectors/{connector_id}/code",
    status_code=201,
    summary="Renew a connector code",
    responses=problem_docs(BadRequest, NotAllowed, NotFound, InProgress, KeyReused),
)
async def renew_connector_code(
    *,
    charge_point_id: UUID,
    connector_id: ConnectorId,
    caller: CurrentCaller,
    transaction: Transaction,
    settings: CurrentSettings,
    once: Once,
    now: Now,
) -> ConnectorCode:
    """A new code for a sticker that was lost or copied; the old one leads nowhere from now on. For the owner."""
    await find_controlled(transaction, caller, charge_point_id, now)
    if (earlier := await once.earlier(ConnectorCode)) is not None:
        return earlier
    made = _code(await connector_codes.renew(transaction, charge_point_id, connector_id, now), settings)
    return await once.remember(made)


@router.get(
    "/api/v1/charge-points/{charge_point_id}/connectors/{connector_id}/sticker",
    summary="Print the sticker of a connector",
    response_class=StickerResponse,
    responses=problem_docs(NotAllowed, NotFound)
    | {200: {"content": {media_type: {"example": "..."} for media_type in MEDIA_TYPES.values()}}},
)
async def read_sticker(
    *,
    charge_point_id: UUID,
    connector_id: ConnectorId,
    caller: CurrentCaller,
    database: CurrentDatabase,
    settings: CurrentSettings,
    language: ReaderLanguage,
    workshop: CurrentWorkshop,
    now: Now,
    form: Annotated[Form, Query(alias="format", description="an image, a drawing, or a page of the same size")] = "png",
) -> Response:
    """60 x 80 mm: the QR code of the connector, its code to type, and the name of the wallbox. For the owner."""
    async with database.transaction() as transaction:
        charge_point = await find_controlled(transaction, caller, charge_point_id, now)
        rows = await connector_codes.current_codes(transaction, charge_point_id, now)
    found = [made for made in _stickers(charge_point, rows, settings) if made.connector_id == connector_id]
    if not found:
        raise NotFound
    content = await workshop.make(partial(DRAW[form], found[0], language))
    headers = {"Content-Disposition": f'inline; filename="sticker-{found[0].code}.{form}"'}
    return Response(content, media_type=MEDIA_TYPES[form], headers=headers)


@router.get(
    "/api/v1/stickers.pdf",
    summary="Print a sheet of stickers",
    response_class=PdfResponse,
    responses=problem_docs(NotAllowed, NotFound) | PDF_DOCS,
)
async def read_sticker_sheet(
    *,
    charge_point_id: Annotated[
        list[UUID],
        Query(min_length=1, max_length=MOST_CHARGE_POINTS, description="whose connectors; give it several times"),
    ],
    caller: CurrentCaller,
    database: CurrentDatabase,
    settings: CurrentSettings,
    language: ReaderLanguage,
    workshop: CurrentWorkshop,
    now: Now,
) -> Response:
    """Sheets of A4 with nine stickers each: all connectors of a wallbox, or of all at a place. For the owner."""
    made: dict[UUID, list[Sticker]] = {}
    async with database.transaction() as transaction:
        for each in sorted(set(charge_point_id)):  # one order of first codes: no deadlock
            charge_point = await find_controlled(transaction, caller, each, now)
            rows = await connector_codes.current_codes(transaction, each, now)
            made[each] = _stickers(charge_point, rows, settings)
    stickers = [one for each in dict.fromkeys(charge_point_id) for one in made[each]]
    return pdf_response(await workshop.make(partial(sticker.to_sheet, stickers, language)), "stickers.pdf")


@router.get(
    connector_codes.PATH + "/{code}",
    summary="What a sticker leads to",
    responses=problem_docs(NotFound, public=True),
)
async def read_connector_place(*, code: str, transaction: Transaction, bus: CurrentBus) -> ConnectorPlace:
    """For anybody who stands before a connector, without an account. A code that leads nowhere never says why."""
    row = await connector_codes.find_by_code(transaction, code)
    online = (await gateways.online(bus, [row.charge_point_id]))[row.charge_point_id]
    return ConnectorPlace(
        code=sticker.write_code(row.code),
        name=row.name,
        connector_id=row.connector_id,
        status=row.status,
        online=online,
        login_required=True,
    )


def _code(row: Row[Any], settings: Settings) -> ConnectorCode:
    return ConnectorCode(
        connector_id=row.connector_id,
        code=sticker.write_code(row.code),
        url=connector_codes.make_url(settings, row.code),
        created_at=row.created_at,
    )


def _stickers(charge_point: Row[Any], rows: Sequence[Row[Any]], settings: Settings) -> list[Sticker]:
    return [
        Sticker(connector_codes.make_url(settings, row.code), row.code, charge_point.name, row.connector_id)
        for row in rows
    ]
