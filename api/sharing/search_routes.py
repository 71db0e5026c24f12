"""HTTP of search: connectors near a place that the caller may see, what each costs the caller, and if it is free."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from api.accounting.money import format_price_e4, parse_price_e4
from api.charge_points.bodies import ConnectorStandard
from api.documents.answers import json_response
from api.errors import Invalid
from api.identity.caller import CurrentCaller
from api.paging import Page, Paging
from api.problems import problem_docs
from api.request import CurrentDatabase, Instant, Now, made
from api.sharing import search

router = APIRouter(prefix="/api/v1/search", tags=["sharing"])

FURTHEST_KM: Final = 100
RESULT_EXAMPLE: dict[str, Any] = {
    "charge_point_id": "3f0f0a52-5a4d-4a8e-9c53-6d7f4f5a2b10",
    "name": "Courtyard",
    "connector_id": 1,
    "access": "public",
    "distance_m": 1240,
    "standard": "IEC_62196_T2",
    "format": "CABLE",
    "power_type": "AC_3_PHASE",
    "max_power_w": 22000,
    "status": "Available",
    "is_free_now": True,
    "price_per_kwh": "5.50",
    "currency": "CZK",
    "place_name": "Home",
    "address": "Nerudova 12",
    "postal_code": "118 00",
    "city": "Praha",
    "country": "CZE",
    "latitude": "50.0884000",
    "longitude": "14.4036000",
    "opening_times": None,
    "time_zone": "Europe/Prague",
}

PowerType = Literal["AC_1_PHASE", "AC_2_PHASE", "AC_2_PHASE_SPLIT", "AC_3_PHASE", "DC"]


class FoundConnector(BaseModel):
    """A connector near the place, where exactly, and on which terms."""

    model_config = ConfigDict(json_schema_extra={"example": RESULT_EXAMPLE})

    charge_point_id: UUID
    name: str
    connector_id: int
    access: Literal["own", "granted", "public"] = Field(description="why the caller sees it")
    distance_m: int = Field(description="along the great circle")
    standard: str
    format: str
    power_type: str
    max_power_w: int | None
    status: str | None = Field(description="as the charge point said it last; null: it never did")
    is_free_now: bool = Field(description="connected, Available, and neither used nor reserved")
    price_per_kwh: str | None = Field(
        description="for the caller, without VAT, the highest where it varies; null: no tariff. What a session costs: "
        " `GET /charge-points/{id}/price-preview`"
    )
    currency: str | None
    place_name: str
    address: str
    postal_code: str
    city: str
    country: str
    latitude: str
    longitude: str
    opening_times: dict[str, Any] | None
    time_zone: str


class FoundConnectorPage(Page[FoundConnector]):
    """Connectors, nearest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [RESULT_EXAMPLE], "next_cursor": None}})


@dataclass(frozen=True, slots=True)
class Where:
    """Around which place, and how far."""

    latitude: Annotated[
        float, Query(ge=-90, le=90, allow_inf_nan=False, description="WGS 84, decimal degrees", examples=[50.0884])
    ]
    longitude: Annotated[
        float, Query(ge=-180, le=180, allow_inf_nan=False, description="WGS 84, decimal degrees", examples=[14.4036])
    ]
    radius_km: Annotated[
        float, Query(gt=0, le=FURTHEST_KM, allow_inf_nan=False, description="how far away at most")
    ] = 10


@dataclass(frozen=True, slots=True)
class What:
    """What the connector must be."""

    standard: Annotated[ConnectorStandard | None, Query(description="OCPI ConnectorType")] = None
    power_type: Annotated[PowerType | None, Query(description="OCPI PowerType")] = None
    min_power_w: Annotated[int | None, Query(ge=1, le=10_000_000, description="it delivers at least so much")] = None
    max_price_per_kwh: Annotated[
        str | None, Query(max_length=20, description="decimal text without VAT, with `currency`")
    ] = None
    currency: Annotated[str | None, Query(pattern=r"^[A-Z]{3}$", description="ISO 4217, of that price")] = None


@dataclass(frozen=True, slots=True)
class When:
    """When it must be free."""

    free_now: Annotated[bool, Query(description="only what is free at this moment")] = False
    free_from: Annotated[Instant | None, Query(description="only what nobody has reserved from then")] = None
    free_until: Annotated[Instant | None, Query(description="until then")] = None


@router.get("/connectors", summary="Search for connectors", response_model=FoundConnectorPage, responses=problem_docs())
async def search_connectors(
    *,
    where: Annotated[Where, Depends(made(Where))],
    what: Annotated[What, Depends(made(What))],
    when: Annotated[When, Depends(made(When))],
    caller: CurrentCaller,
    database: CurrentDatabase,
    paging: Paging,
    now: Now,
) -> Response:
    """Connectors around a place, nearest first: of public wallboxes, of those granted to the caller, and the own.

    Only these, with their exact whereabouts: nothing is shown, not even roughly, of what the caller may not see, and
    never who owns it. A wallbox is found once it stands at a location with coordinates, by connectors with a spec.
    """
    area = search.Area(where.latitude, where.longitude, where.radius_km)
    wanted = _wanted(what, when, now)
    async with database.reading() as connection:
        rows, cursor = await search.find_connectors(connection, caller.user_id, area, wanted, paging, now=now)
    return json_response({"items": [_describe(row) for row in rows], "next_cursor": cursor})


def _wanted(what: What, when: When, now: datetime) -> search.Wanted:
    if (what.max_price_per_kwh is None) != (what.currency is None):
        raise Invalid.field("query.currency", "max_price_per_kwh and currency go together")
    if (when.free_from is None) != (when.free_until is None):
        raise Invalid.field("query.free_until", "free_from and free_until go together")
    begin, end = when.free_from, when.free_until
    if begin is not None and end is not None and end <= begin:
        raise Invalid.field("query.free_until", "must be later than free_from")
    if when.free_now:
        begin, end = now, end or now
    return search.Wanted(
        standard=what.standard,
        power_type=what.power_type,
        min_power_w=what.min_power_w,
        max_price_e4=None if what.max_price_per_kwh is None else _price_e4(what.max_price_per_kwh),
        currency=what.currency,
        free_from=begin,
        free_until=end,
    )


def _price_e4(text: str) -> int:
    try:
        return parse_price_e4(text)
    except ValueError as error:
        raise Invalid.field("query.max_price_per_kwh", str(error)) from error


def _describe(row: Row[Any]) -> dict[str, Any]:
    """A `FoundConnector`: of hundreds, models would take most of the time."""
    found = dict(row._mapping)
    price_e4 = found.pop("price_e4")
    price = format_price_e4(price_e4 or 0) if found["currency"] else None
    return found | {
        "latitude": str(found["latitude"]), "longitude": str(found["longitude"]), "price_per_kwh": price,
    }  # fmt: skip
