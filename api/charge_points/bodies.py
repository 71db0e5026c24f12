"""Bodies of the charge point routes, with their examples. No rules beyond the shape of a field."""

import zoneinfo
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Literal
from urllib.parse import quote
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, computed_field
from sqlalchemy import Row

from api.accounting.money import MINOR_DIGITS, format_price_e4, parse_price_e4
from api.accounting.tariff import energy_price_e4, tariff_from_json
from api.paging import Page
from api.request import Body, Flag, Name

CHARGE_POINT_EXAMPLE: dict[str, Any] = {
    "id": "3f0f0a52-5a4d-4a8e-9c53-6d7f4f5a2b10",
    "identity": "VLT-7K3M9QXA",
    "name": "Garage",
    "role": "owner",
    "url": "wss://localhost:9000/VLT-7K3M9QXA",
    "time_zone": "Europe/Prague",
    "location_id": None,
    "visibility": "shared",
    "rated_power_w": 11000,
    "price_per_kwh": "5.50",
    "currency": "CZK",
    "online": True,
    "registration": "Accepted",
    "vendor": "Acme",
    "model": "Wall 11",
    "firmware_version": "1.4.2",
    "booted_at": "2026-05-04T08:31:00Z",
    "connected_at": "2026-05-04T08:31:00Z",
    "disconnected_at": None,
    "auto_configuration": True,
    "created_at": "2026-05-04T08:30:00Z",
}
REFUSAL_EXAMPLE: dict[str, Any] = {
    "reason": "wrong_key",
    "remote_address": "203.0.113.9",
    "count": 3,
    "first_at": "2026-05-04T08:29:00Z",
    "last_at": "2026-05-04T08:30:40Z",
}
ONBOARDING_EXAMPLE: dict[str, Any] = {"state": "connected", "last_refused": [REFUSAL_EXAMPLE]}
CREDENTIALS_EXAMPLE: dict[str, Any] = {
    "identity": "VLT-7K3M9QXA",
    "url": "wss://localhost:9000/VLT-7K3M9QXA",
    "key": "h7Gd0qLw2ZrT9kVb4NxC",
    "note": "Write the key down now: it is shown once.",
}
SPEC_EXAMPLE: dict[str, Any] = {
    "standard": "IEC_62196_T2",
    "format": "CABLE",
    "power_type": "AC_3_PHASE",
    "max_power_w": 11000,
    "phases": 3,
}
CONNECTOR_EXAMPLE: dict[str, Any] = {
    "connector_id": 1,
    "status": "Charging",
    "error_code": "NoError",
    "info": None,
    "vendor_id": None,
    "vendor_error_code": None,
    "status_at": "2026-05-04T09:00:00Z",
    "power_w": 10870,
    "energy_wh": 1482300,
    "transaction_id": "b1a6b9b4-6d0e-4c3f-8b3f-1c7a5f0d9e21",
    "spec": SPEC_EXAMPLE,
}


@lru_cache(maxsize=1)
def _time_zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _check_time_zone(value: str) -> str:
    if value not in _time_zones():
        raise ValueError("not an IANA time zone such as Europe/Prague")
    return value


def _check_price(value: str) -> str:
    parse_price_e4(value)
    return value


def _check_currency(value: str) -> str:
    if value not in MINOR_DIGITS:
        raise ValueError(f"not one of {', '.join(sorted(MINOR_DIGITS))}")
    return value


# OCPP-J 3.1.1: the identity is the last part of the URL; the characters are those of identifierString, with @ added
IdentityText = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9*+=:|@._-]{1,48}$")]
TimeZone = Annotated[str, AfterValidator(_check_time_zone)]
RatedPower = Annotated[int, Field(ge=1, le=1_000_000)]
Price = Annotated[str, StringConstraints(pattern=r"^\d{1,7}(\.\d{1,4})?$"), AfterValidator(_check_price)]
Currency = Annotated[str, AfterValidator(_check_currency)]

Visibility = Literal["private", "shared", "public"]

ConnectorStandard = Literal[
    "CHADEMO", "DOMESTIC_A", "DOMESTIC_B", "DOMESTIC_C", "DOMESTIC_D", "DOMESTIC_E", "DOMESTIC_F", "DOMESTIC_G",
    "DOMESTIC_H", "DOMESTIC_I", "DOMESTIC_J", "DOMESTIC_K", "DOMESTIC_L", "DOMESTIC_M", "DOMESTIC_N", "DOMESTIC_O",
    "GBT_AC", "GBT_DC", "IEC_60309_2_single_16", "IEC_60309_2_three_16", "IEC_60309_2_three_32",
    "IEC_60309_2_three_64", "IEC_62196_T1", "IEC_62196_T1_COMBO", "IEC_62196_T2", "IEC_62196_T2_COMBO",
    "IEC_62196_T3A", "IEC_62196_T3C", "NEMA_5_20", "NEMA_6_30", "NEMA_6_50", "NEMA_10_30", "NEMA_10_50",
    "NEMA_14_30", "NEMA_14_50", "TESLA_R", "TESLA_S",
]  # fmt: skip
PHASES: dict[str, int | None] = {
    "AC_1_PHASE": 1,
    "AC_2_PHASE": 2,
    "AC_2_PHASE_SPLIT": 2,
    "AC_3_PHASE": 3,
    "DC": None,
}
"""OCPI PowerType."""

VISIBILITY = (
    "`private`: grants rest, only the owner charges; `shared`: grants to persons and groups count; `public`: found by "
    "search, and public grants count too"
)
TIME_ZONE = "IANA zone in which tariffs and statements count days"
RATED_POWER = "most that the wallbox can deliver, in W; a session above it is held for a person"
PRICE = 'decimal text with at most four decimals, for example "5.50"; "0" is free'
CURRENCY = "ISO 4217 code"
AUTO_CONFIGURATION = "whether Voltuj sets meter interval, measurands, pings and remote start, once a firmware"


class NewChargePoint(Body):
    """A wallbox to bring in."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"name": "Garage", "rated_power_w": 11000, "price_per_kwh": "5.50"}}
    )

    name: Name = Field(description="a name for people")
    identity: IdentityText | None = Field(
        default=None, description="only where the wallbox cannot be given another; made by us where it is left out"
    )
    time_zone: TimeZone = Field(default="Europe/Prague", description=TIME_ZONE)
    rated_power_w: RatedPower | None = Field(default=None, description=RATED_POWER)
    price_per_kwh: Price | None = Field(default=None, description=f"{PRICE}; left out: sessions carry no price")
    currency: Currency = Field(default="CZK", description=CURRENCY)
    auto_configuration: Flag = Field(default=False, description=AUTO_CONFIGURATION)


class ChargePointChange(Body):
    """What of the charge point is to change; the rest stays."""

    model_config = ConfigDict(json_schema_extra={"example": {"price_per_kwh": "6.20"}})

    name: Name = Field(default_factory=str, description="a name for people")
    time_zone: TimeZone = Field(default_factory=str, description=TIME_ZONE)
    visibility: Visibility = Field(default_factory=lambda: "shared", description=VISIBILITY)
    rated_power_w: RatedPower | None = Field(default=None, description=f"{RATED_POWER}; null: not known")
    price_per_kwh: Price = Field(default_factory=str, description=f"{PRICE}; sessions that run keep theirs")
    currency: Currency = Field(default_factory=str, description=CURRENCY)
    auto_configuration: Flag = Field(default_factory=bool, description=AUTO_CONFIGURATION)


class ChargePoint(BaseModel):
    """A charge point as the caller sees it."""

    model_config = ConfigDict(json_schema_extra={"example": CHARGE_POINT_EXAMPLE})

    id: UUID
    identity: str
    name: str
    role: str = Field(description="as what the caller sees it: `owner`, `guest` or `operator`")
    url: str = Field(description="exactly what is typed into the wallbox")
    time_zone: str
    location_id: UUID | None = Field(description="where it stands; its time zone is the location's")
    visibility: Visibility = Field(description=VISIBILITY)
    rated_power_w: int | None
    price_per_kwh: str | None = Field(description="decimal text; null where no price is set")
    currency: str | None
    online: bool | None = Field(description="whether it is connected now; null where that is not known")
    registration: str | None = Field(description="answer to its last BootNotification; null before the first")
    vendor: str | None
    model: str | None
    firmware_version: str | None
    booted_at: datetime | None
    connected_at: datetime | None = Field(description="when it last connected")
    disconnected_at: datetime | None = Field(description="when its connection last ended")
    auto_configuration: bool = Field(description=AUTO_CONFIGURATION)
    created_at: datetime


class RefusedHandshake(BaseModel):
    """Why the wallbox was not let in."""

    model_config = ConfigDict(json_schema_extra={"example": REFUSAL_EXAMPLE})

    reason: str = Field(description="wrong_key, wrong_subprotocol, no_subprotocol, insecure or refused")
    remote_address: str
    count: int
    first_at: datetime
    last_at: datetime


class Onboarding(BaseModel):
    """How far the wallbox has come."""

    model_config = ConfigDict(json_schema_extra={"example": ONBOARDING_EXAMPLE})

    state: Literal["waiting", "connected"] = Field(description="`waiting` until it connects for the first time")
    last_refused: list[RefusedHandshake] = Field(description="the last ten kinds, newest first; empty for guests")


class ChargePointDetail(ChargePoint):
    """A charge point, with how far it has come."""

    model_config = ConfigDict(json_schema_extra={"example": CHARGE_POINT_EXAMPLE | {"onboarding": ONBOARDING_EXAMPLE}})

    onboarding: Onboarding


class ChargePointPage(Page[ChargePoint]):
    """Charge points, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [CHARGE_POINT_EXAMPLE], "next_cursor": None}})


class CreatedChargePoint(ChargePoint):
    """A new charge point with its key."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": CHARGE_POINT_EXAMPLE | {"key": CREDENTIALS_EXAMPLE["key"], "note": CREDENTIALS_EXAMPLE["note"]}
        }
    )

    key: str | None = Field(description="password of the wallbox (Basic authentication); shown once")
    note: str


class Credentials(BaseModel):
    """What is typed into the wallbox."""

    model_config = ConfigDict(json_schema_extra={"example": CREDENTIALS_EXAMPLE})

    identity: str
    url: str
    key: str | None = Field(description="password of the wallbox (Basic authentication); shown once")
    note: str


class NewConnectorSpec(Body):
    """What a connector is, in the terms of OCPI 2.2.1."""

    model_config = ConfigDict(
        json_schema_extra={"example": {name: SPEC_EXAMPLE[name] for name in SPEC_EXAMPLE if name != "phases"}}
    )

    standard: ConnectorStandard
    format: Literal["SOCKET", "CABLE"]
    power_type: Literal["AC_1_PHASE", "AC_2_PHASE", "AC_2_PHASE_SPLIT", "AC_3_PHASE", "DC"]
    max_power_w: RatedPower | None = Field(default=None, description="most that it can deliver, in W")


class ConnectorSpec(BaseModel):
    """What a connector is, in the terms of OCPI 2.2.1."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": SPEC_EXAMPLE})

    standard: str = Field(description="OCPI ConnectorType, for example IEC_62196_T2")
    format: str
    power_type: str
    max_power_w: int | None

    @computed_field(description="of the alternating current; null for DC")  # type: ignore[prop-decorator]
    @property
    def phases(self) -> int | None:
        """As the power type says."""
        return PHASES[self.power_type]


class Connector(BaseModel):
    """A connector: its last committed status, and what it delivers now. 0 is the charge point as a whole."""

    model_config = ConfigDict(json_schema_extra={"example": CONNECTOR_EXAMPLE})

    connector_id: int
    status: str | None = Field(description="OCPP ChargePointStatus, for example Available or Charging")
    error_code: str | None
    info: str | None
    vendor_id: str | None
    vendor_error_code: str | None
    status_at: datetime | None
    power_w: int | None = Field(description="live; null where it is not known")
    energy_wh: int | None = Field(description="live register of the meter; null where it is not known")
    transaction_id: UUID | None = Field(description="the running transaction, where the caller may see it")
    spec: ConnectorSpec | None = Field(default=None, description="what it is; null where its owner has not said")


class ConnectorList(BaseModel):
    """Every connector of a charge point."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [CONNECTOR_EXAMPLE]}})

    items: list[Connector]


def charge_point_url(public_ocpp_url: str, identity: str) -> str:
    """OCPP-J 3.1.1: the identity is appended to the endpoint's URL, percent-encoded."""
    return f"{public_ocpp_url.rstrip('/')}/{quote(identity, safe='')}"


def describe(row: Row[Any], online: bool | None, public_ocpp_url: str) -> ChargePoint:
    """A row of the overview as its body."""
    priced = row.elements is not None
    price_e4 = energy_price_e4(tariff_from_json(row.currency, row.elements, row.terms)) if priced else None
    return ChargePoint(
        **{name: row._mapping[name] for name in ChargePoint.model_fields if name in row._mapping},
        url=charge_point_url(public_ocpp_url, row.identity),
        price_per_kwh=format_price_e4(price_e4) if price_e4 is not None else None,
        online=online,
        vendor=row.boot.get("chargePointVendor"),
        model=row.boot.get("chargePointModel"),
        firmware_version=row.boot.get("firmwareVersion"),
    )
