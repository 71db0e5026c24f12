"""HTTP of locations: where charge points stand, and which stand where."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, StringConstraints, model_validator

from api.charge_points.bodies import TimeZone
from api.errors import BadRequest, Conflict, InProgress, KeyReused, NotAllowed, NotFound
from api.identity.caller import CurrentCaller
from api.identity.once import Once
from api.paging import Page, Paging
from api.problems import problem_docs
from api.request import Body, FilledText, Name, Now, Transaction
from api.sharing import locations
from api.sharing.access import find_controlled

router = APIRouter(prefix="/api/v1", tags=["locations"])

HOURS_EXAMPLE: dict[str, Any] = {
    "twentyfourseven": False,
    "regular_hours": [{"weekday": 1, "period_begin": "08:00", "period_end": "20:00"}],
}
LOCATION_EXAMPLE: dict[str, Any] = {
    "id": "0d0c2f0e-6a57-4a4c-9b7a-54f5f0a3a5c1",
    "name": "Home",
    "address": "Nerudova 12",
    "postal_code": "118 00",
    "city": "Praha",
    "country": "CZE",
    "latitude": "50.0884000",
    "longitude": "14.4033000",
    "opening_times": HOURS_EXAMPLE,
    "time_zone": "Europe/Prague",
    "created_at": "2026-05-04T08:30:00Z",
}
NEW_EXAMPLE: dict[str, Any] = {name: LOCATION_EXAMPLE[name] for name in list(LOCATION_EXAMPLE)[1:-1]}

ClockTime = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Line = Annotated[FilledText, Field(max_length=200)]
PostalCode = Annotated[str, StringConstraints(max_length=10)]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Latitude = Annotated[Decimal, Field(ge=-90, le=90, max_digits=9, decimal_places=7)]
Longitude = Annotated[Decimal, Field(ge=-180, le=180, max_digits=10, decimal_places=7)]
Degrees = Annotated[Decimal, PlainSerializer(str, return_type=str)]

COUNTRY = "ISO 3166-1 alpha-3"
COORDINATE = "WGS 84, decimal degrees as text with at most seven decimals"
ZONE = "IANA zone; that of the charge points that stand here"


class RegularHours(Body):
    """Hours of one weekday."""

    weekday: int = Field(ge=1, le=7, description="1: Monday, 7: Sunday")
    period_begin: ClockTime
    period_end: ClockTime


class Hours(Body):
    """OCPI Hours: when people may come. For information: who may charge when is the grants' matter."""

    twentyfourseven: bool
    regular_hours: list[RegularHours] = Field(default_factory=list, max_length=50)

    @model_validator(mode="after")
    def _one_or_the_other(self) -> "Hours":
        if self.twentyfourseven == bool(self.regular_hours):
            raise ValueError("either twentyfourseven, or regular_hours")
        return self


class NewLocation(Body):
    """A place where charge points stand."""

    model_config = ConfigDict(json_schema_extra={"example": NEW_EXAMPLE})

    name: Name
    address: Line = Field(description="street and number")
    postal_code: PostalCode = ""
    city: Line
    country: Country = Field(description=COUNTRY)
    latitude: Latitude | None = Field(default=None, description=COORDINATE)
    longitude: Longitude | None = Field(default=None, description=COORDINATE)
    opening_times: Hours | None = None
    time_zone: TimeZone = Field(default="Europe/Prague", description=ZONE)

    @model_validator(mode="after")
    def _both_or_none(self) -> "NewLocation":
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError("latitude and longitude go together")
        return self


class LocationChange(Body):
    """What of the location is to change; the rest stays."""

    model_config = ConfigDict(json_schema_extra={"example": {"name": "Cottage"}})

    name: Name = Field(default_factory=str)
    address: Line = Field(default_factory=str)
    postal_code: PostalCode = Field(default_factory=str)
    city: Line = Field(default_factory=str)
    country: Country = Field(default_factory=str, description=COUNTRY)
    latitude: Latitude | None = Field(default=None, description=COORDINATE)
    longitude: Longitude | None = Field(default=None, description=COORDINATE)
    opening_times: Hours | None = None
    time_zone: TimeZone = Field(default_factory=str, description=ZONE)


class Location(BaseModel):
    """A place where charge points stand."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": LOCATION_EXAMPLE})

    id: UUID
    name: str
    address: str
    postal_code: str
    city: str
    country: str
    latitude: Degrees | None
    longitude: Degrees | None
    opening_times: dict[str, Any] | None
    time_zone: str
    created_at: datetime


class LocationPage(Page[Location]):
    """Locations, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [LOCATION_EXAMPLE], "next_cursor": None}})


class Placement(Body):
    """Where a charge point stands."""

    model_config = ConfigDict(json_schema_extra={"example": {"location_id": LOCATION_EXAMPLE["id"]}})

    location_id: UUID | None = Field(description="null: at none")


@router.post(
    "/locations",
    status_code=201,
    summary="Make a location",
    responses=problem_docs(BadRequest, InProgress, KeyReused),
)
async def create_location(
    *, body: NewLocation, caller: CurrentCaller, transaction: Transaction, once: Once, now: Now
) -> Location:
    """A place of the caller's; charge points are put there one by one."""
    if (earlier := await once.earlier(Location)) is not None:
        return earlier
    created = Location.model_validate(await locations.create(transaction, caller.user_id, body.model_dump(), now))
    return await once.remember(created)


@router.get("/locations", summary="List locations", responses=problem_docs())
async def list_locations(*, caller: CurrentCaller, transaction: Transaction, paging: Paging) -> LocationPage:
    """The caller's locations, newest first."""
    rows, cursor = await locations.list_controlled(transaction, caller, paging)
    return LocationPage(items=[Location.model_validate(row) for row in rows], next_cursor=cursor)


@router.get("/locations/{location_id}", summary="Read a location", responses=problem_docs(NotFound))
async def read_location(*, location_id: UUID, caller: CurrentCaller, transaction: Transaction) -> Location:
    """One location. For its owner."""
    return Location.model_validate(await locations.find(transaction, caller, location_id))


@router.patch("/locations/{location_id}", summary="Change a location", responses=problem_docs(BadRequest, NotFound))
async def edit_location(
    *, location_id: UUID, body: LocationChange, caller: CurrentCaller, transaction: Transaction
) -> Location:
    """Changes what is given. Another time zone is from now on that of the charge points which stand here."""
    changes = body.model_dump(exclude_unset=True)
    return Location.model_validate(await locations.edit(transaction, caller, location_id, changes))


@router.delete(
    "/locations/{location_id}", status_code=204, summary="Delete a location", responses=problem_docs(NotFound, Conflict)
)
async def delete_location(*, location_id: UUID, caller: CurrentCaller, transaction: Transaction, now: Now) -> None:
    """Where no charge point stands any more. Its grants are revoked."""
    await locations.remove(transaction, caller, location_id, now)


@router.put(
    "/charge-points/{charge_point_id}/location",
    status_code=204,
    summary="Say where a charge point stands",
    responses=problem_docs(BadRequest, NotAllowed, NotFound),
)
async def place_charge_point(
    *, charge_point_id: UUID, body: Placement, caller: CurrentCaller, transaction: Transaction, now: Now
) -> None:
    """It takes the location's time zone, and the grants for the location hold for it too. For its owner."""
    charge_point = await find_controlled(transaction, caller, charge_point_id, now)
    await locations.place(transaction, caller, charge_point, body.location_id)
