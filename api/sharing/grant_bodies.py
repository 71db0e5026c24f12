"""Bodies of the routes of grants, with their examples. No rules beyond the shape of a field."""

from datetime import datetime, time
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from api.charge_points.bodies import Currency
from api.identity.email import Email
from api.paging import Page
from api.request import Body, Flag, Instant
from api.sharing.windows import Window

WINDOW_EXAMPLE: dict[str, Any] = {
    "start_time": "18:00",
    "end_time": "06:00",
    "day_of_week": ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY"],
}
GRANT_EXAMPLE: dict[str, Any] = {
    "id": "9d0b1a52-8f0e-4f0e-a1f4-2d1b6d9e7c33",
    "series_id": "5b0f6a0e-1f1d-4b57-8a52-3a6f1c7c9d11",
    "charge_point_id": "3f0f0a52-5a4d-4a8e-9c53-6d7f4f5a2b10",
    "connector_id": None,
    "location_id": None,
    "place_name": "Garage",
    "time_zone": "Europe/Prague",
    "audience": "person",
    "email": "petr@example.com",
    "display_name": "Petr",
    "group_id": None,
    "priority": 0,
    "windows": [WINDOW_EXAMPLE],
    "max_energy_wh": 100000,
    "max_amount_minor": None,
    "currency": None,
    "max_sessions": 1,
    "cap_period": "month",
    "tariff_id": None,
    "valid_from": "2026-05-04T08:30:00Z",
    "valid_until": None,
    "revoked_at": None,
    "created_at": "2026-05-04T08:30:00Z",
}
NEW_EXAMPLE: dict[str, Any] = {
    "charge_point_id": GRANT_EXAMPLE["charge_point_id"],
    "email": "petr@example.com",
    "windows": [WINDOW_EXAMPLE],
    "max_energy_wh": 100000,
    "cap_period": "month",
}

Weekday = Literal["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]
ClockTime = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Windows = Annotated[list["NewWindow"], Field(max_length=20, description="when it holds; empty: always")]
Priority = Annotated[int, Field(ge=-100, le=100, description="of grants that hold at once the highest decides")]
MaxEnergy = Annotated[int, Field(ge=1, le=10**12)]
MaxAmount = Annotated[int, Field(ge=1, le=10**12)]
MaxSessions = Annotated[int, Field(ge=1, le=1000)]
CapPeriod = Literal["validity", "month"]

MAX_ENERGY = "most energy that each grantee may take in the period; null: no limit"
MAX_AMOUNT = "most that each grantee's sessions may cost in the period, in minor units; null: no limit"
CURRENCY = "of max_amount_minor"
MAX_SESSIONS = "most sessions of each grantee at once under this grant; null: no limit"
CAP_PERIOD = "what the limits count: the whole life of the grant, or the calendar month at the place"
VALID_FROM = "from now on where it is left out"
VALID_UNTIL = "until it is revoked where it is left out"


class NewWindow(Body):
    """A recurring window on the clock at the place, in the terms of OCPI's TariffRestrictions."""

    model_config = ConfigDict(json_schema_extra={"example": WINDOW_EXAMPLE})

    start_time: ClockTime
    end_time: ClockTime = Field(description="exclusive; where it is not after start_time, it is the next day's")
    day_of_week: list[Weekday] = Field(
        default_factory=list, max_length=7, description="on which it begins; empty: every day"
    )


class NewTerms(Body):
    """When and how much somebody may charge."""

    priority: Priority = 0
    windows: Windows = Field(default_factory=list)
    max_energy_wh: MaxEnergy | None = Field(default=None, description=MAX_ENERGY)
    max_amount_minor: MaxAmount | None = Field(default=None, description=MAX_AMOUNT)
    currency: Currency | None = Field(default=None, description=CURRENCY)
    max_sessions: MaxSessions | None = Field(default=None, description=MAX_SESSIONS)
    cap_period: CapPeriod = Field(default="validity", description=CAP_PERIOD)
    valid_from: Instant | None = Field(default=None, description=VALID_FROM)
    valid_until: Instant | None = Field(default=None, description=VALID_UNTIL)

    def columns(self) -> dict[str, Any]:
        """As a row of `grants` has them; only those that were given."""
        values = {name: getattr(self, name) for name in NewTerms.model_fields if name in self.model_fields_set}
        if self.valid_from is None:
            values.pop("valid_from", None)
        if "windows" in values:
            values["windows"] = [_window(window).to_json() for window in self.windows]
        return values


def _window(body: NewWindow) -> Window:
    start, end = (time.fromisoformat(text) for text in (body.start_time, body.end_time))
    return Window(start, end, frozenset(body.day_of_week))


class NewPlaceGrant(NewTerms):
    """To whom, where, and on which terms."""

    model_config = ConfigDict(json_schema_extra={"example": NEW_EXAMPLE})

    charge_point_id: UUID | None = None
    connector_id: int | None = Field(default=None, ge=1, le=2**31 - 1, description="left out: all of them")
    location_id: UUID | None = Field(default=None, description="every charge point that stands there, now or later")
    email: Email | None = Field(default=None, description="a person; invited where there is no account")
    group_id: UUID | None = None
    public: Flag = Field(default=False, description="anybody; it counts where the charge point is public")

    @model_validator(mode="after")
    def _check(self) -> "NewPlaceGrant":
        if (self.charge_point_id is None) == (self.location_id is None):
            raise ValueError("one of charge_point_id and location_id")
        if self.connector_id is not None and self.charge_point_id is None:
            raise ValueError("connector_id needs its charge_point_id")
        if [self.email is not None, self.group_id is not None, self.public].count(True) != 1:
            raise ValueError("one of email, group_id and public")
        if (self.max_amount_minor is None) != (self.currency is None):
            raise ValueError("max_amount_minor and currency go together")
        return self


class GrantChange(NewTerms):
    """What of the terms is to change; the rest stays, as do grantee and place."""

    model_config = ConfigDict(json_schema_extra={"example": {"max_energy_wh": 150000}})


class NewGrant(Body):
    """With whom to share, and for how long."""

    model_config = ConfigDict(json_schema_extra={"example": {"email": "petr@example.com"}})

    email: Email = Field(description="the e-mail of the person's account")
    valid_from: Instant | None = Field(default=None, description=VALID_FROM)
    valid_until: Instant | None = Field(default=None, description=VALID_UNTIL)


class Grant(BaseModel):
    """The right of a person, a group or anybody to charge at a charge point, a connector or a location."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": GRANT_EXAMPLE})

    id: UUID
    series_id: UUID = Field(description="the same in every version of this grant")
    charge_point_id: UUID | None
    connector_id: int | None
    location_id: UUID | None
    place_name: str = Field(description="of the charge point or the location")
    time_zone: str = Field(description="in which the windows are")
    audience: Literal["person", "invitation", "group", "public"]
    email: str | None = Field(description="of the person or the invitation")
    display_name: str = Field(description="of the person")
    group_id: UUID | None
    priority: int
    windows: list[dict[str, Any]]
    max_energy_wh: int | None = Field(description=MAX_ENERGY)
    max_amount_minor: int | None = Field(description=MAX_AMOUNT)
    currency: str | None = Field(description=CURRENCY)
    max_sessions: int | None = Field(description=MAX_SESSIONS)
    cap_period: CapPeriod = Field(description=CAP_PERIOD)
    tariff_id: UUID | None = Field(description="null: that of the charge point; `PUT /grants/{id}/tariff` sets it")
    valid_from: datetime
    valid_until: datetime | None
    revoked_at: datetime | None = Field(description="also where a later version of the series took its place")
    created_at: datetime


class GrantPage(Page[Grant]):
    """Grants, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [GRANT_EXAMPLE], "next_cursor": None}})
