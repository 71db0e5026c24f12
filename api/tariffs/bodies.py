"""Tariffs as HTTP bodies: OCPI 2.2.1 JSON with decimal strings; what is wrong with one is said field by field."""

import re
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import Row

from api.accounting.explain import Rule, explain, rule_of
from api.accounting.limits import Line
from api.accounting.money import format_minor
from api.accounting.ocpi import tariff_from_ocpi, tariff_to_ocpi
from api.accounting.rating import ChargeDetailRecord
from api.accounting.tariff import Tariff, tariff_from_json
from api.accounting.tariff_rules import TariffError
from api.errors import Invalid
from api.paging import Page
from api.request import Body, Flag, Instant, Name
from api.tariffs.in_force import Version

ELEMENTS_EXAMPLE: list[dict[str, Any]] = [
    {
        "price_components": [{"type": "ENERGY", "price": "3.50", "step_size": 1}],
        "restrictions": {"start_time": "22:00", "end_time": "06:00"},
    },
    {
        "price_components": [
            {"type": "ENERGY", "price": "5.50", "step_size": 1},
            {"type": "PARKING_TIME", "price": "60.00", "step_size": 60},
        ]
    },
]
TERMS_EXAMPLE: dict[str, Any] = {
    "currency": "CZK",
    "elements": ELEMENTS_EXAMPLE,
    "max_price": {"excl_vat": "300.00"},
    "idle_grace_s": 1800,
    "no_show_fee": "50.00",
}
VERSION_EXAMPLE: dict[str, Any] = TERMS_EXAMPLE | {
    "id": "0d2f6a0e-9a52-4a3b-8f35-5b8d5c0c7b11",
    "tariff_id": "5e0a9d0b-2b8c-4c5e-8d53-7f1d0f6f1a22",
    "min_price": None,
    "valid_from": "2026-05-04T08:30:00Z",
    "valid_until": None,
    "created_at": "2026-05-04T08:30:00Z",
}
TARIFF_EXAMPLE: dict[str, Any] = {
    "id": VERSION_EXAMPLE["tariff_id"],
    "owner_id": "7f0c9a4e-3b77-4c0f-8f0e-6a2d3a1f9c11",
    "name": "Night and day",
    "charge_point_id": None,
    "created_at": "2026-05-04T08:30:00Z",
}
PRICE_EXAMPLE: dict[str, Any] = {
    "tariff_version_id": VERSION_EXAMPLE["id"],
    "tariff_id": VERSION_EXAMPLE["tariff_id"],
    "tariff": TERMS_EXAMPLE,
}
COST_EXAMPLE: dict[str, Any] = {
    "tariff_version_id": VERSION_EXAMPLE["id"],
    "started_at": "2026-05-04T20:00:00Z",
    "stopped_at": "2026-05-04T23:00:00Z",
    "energy_wh": 18000,
    "currency": "CZK",
    "lines": [
        {
            "type": "ENERGY",
            "element": 0,
            "amount_minor": 6300,
            "amount": "63.00",
            "rule": "volume_times_price",
            "explanation": "Energy: 18 kWh x 3.50 CZK/kWh = 63.00 CZK.",
        }
    ],
    "net_minor": 6300,
    "vat_minor": 0,
    "total_minor": 6300,
    "total": "63.00",
}
ELEMENTS = "OCPI TariffElement: `price_components` (`type`, `price` without VAT as decimal text, `step_size`, `vat` in \
percent) and `restrictions` (`start_time`, `end_time`, `start_date`, `end_date`, `day_of_week`, `min_kwh`, `max_kwh`, \
`min_duration`, `max_duration`). The first element that matches counts"
LIMIT = "`excl_vat` and, if wanted, `incl_vat` as decimal text"
VatId = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}[0-9A-Z+*]{2,12}$")]


class Terms(Body):
    """What a session costs, and from when to when."""

    model_config = ConfigDict(json_schema_extra={"example": TERMS_EXAMPLE})

    currency: str = Field(description="ISO 4217 code")
    elements: list[dict[str, Any]] = Field(description=ELEMENTS, max_length=50)
    min_price: dict[str, Any] | None = Field(default=None, description=f"least that a session costs: {LIMIT}")
    max_price: dict[str, Any] | None = Field(default=None, description=f"most that a session costs: {LIMIT}")
    idle_grace_s: int = Field(default=0, description="seconds without charging that cost no PARKING_TIME")
    no_show_fee: str = Field(default="0", description="for a reservation that nobody came for, without VAT")
    valid_from: Instant | None = Field(default=None, description="now where it is left out; never earlier")
    valid_until: Instant | None = Field(default=None, description="exclusive; left out: until a later version")

    def read(self) -> Tariff:
        """The tariff that this describes.

        Raises:
            Invalid: it lists everything that is wrong, and where.
        """
        document = self.model_dump(include={"currency", "elements", "idle_grace_s", "no_show_fee"})
        limits = {"min_price": self.min_price, "max_price": self.max_price}
        try:
            return tariff_from_ocpi(document | {name: limit for name, limit in limits.items() if limit is not None})
        except TariffError as error:
            raise _invalid(error) from error


def _invalid(error: TariffError) -> Invalid:
    fields = [{"field": _field(each.where), "message": each.what, "code": "tariff"} for each in error.problems]
    return Invalid(f"The tariff is wrong: {', '.join(dict.fromkeys(each['field'] for each in fields))}.", errors=fields)


def _field(where: str) -> str:
    """`elements[0].price_components` as the rest of the API names places: `body.elements.0.price_components`."""
    return "body." + re.sub(r"\[(\d+)\]", r".\1", where)


class NewTariff(Terms):
    """A tariff and its first version."""

    model_config = ConfigDict(json_schema_extra={"example": {"name": "Night and day"} | TERMS_EXAMPLE})

    name: Name = Field(description="a name for people")


class TariffChange(Body):
    """A new name."""

    model_config = ConfigDict(json_schema_extra={"example": {"name": "Night"}})

    name: Name = Field(description="a name for people")


class Assignment(Body):
    """Which tariff holds here."""

    model_config = ConfigDict(json_schema_extra={"example": {"tariff_id": VERSION_EXAMPLE["tariff_id"]}})

    tariff_id: UUID | None = Field(description="one of the charge point's owner; null: none")


class TariffVersion(BaseModel):
    """A version of a tariff. It never changes."""

    model_config = ConfigDict(json_schema_extra={"example": VERSION_EXAMPLE})

    id: UUID
    tariff_id: UUID
    currency: str
    elements: list[dict[str, Any]] = Field(description=ELEMENTS)
    min_price: dict[str, str] | None = Field(default=None, description=LIMIT)
    max_price: dict[str, str] | None = Field(default=None, description=LIMIT)
    idle_grace_s: int = Field(default=0, description="seconds without charging that cost no PARKING_TIME")
    no_show_fee: str = Field(default="0", description="for a reservation that nobody came for, without VAT")
    valid_from: datetime
    valid_until: datetime | None
    created_at: datetime


class TariffVersionPage(Page[TariffVersion]):
    """Versions, the one that begins last first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [VERSION_EXAMPLE], "next_cursor": None}})


class TariffSummary(BaseModel):
    """A tariff of an owner."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": TARIFF_EXAMPLE})

    id: UUID
    owner_id: UUID
    name: str
    charge_point_id: UUID | None = Field(description="whose own it is: the one that `price_per_kwh` changes")
    created_at: datetime


class TariffPage(Page[TariffSummary]):
    """Tariffs, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [TARIFF_EXAMPLE], "next_cursor": None}})


class CreatedTariff(TariffSummary):
    """A tariff with its first version."""

    model_config = ConfigDict(json_schema_extra={"example": TARIFF_EXAMPLE | {"version": VERSION_EXAMPLE}})

    version: TariffVersion


class Price(BaseModel):
    """What a session costs that the caller starts now."""

    model_config = ConfigDict(json_schema_extra={"example": PRICE_EXAMPLE})

    tariff_version_id: UUID | None = Field(description="to be given at the start, so that this price is charged")
    tariff_id: UUID | None
    tariff: dict[str, Any] | None = Field(description="in OCPI terms; null: sessions have no price here")


class CostLine(BaseModel):
    """One line, and how it was computed."""

    type: str = Field(description="ENERGY, TIME, PARKING_TIME, FLAT, MIN_PRICE, MAX_PRICE or VAT")
    element: int | None = Field(description="place of the tariff element; null for what is no price component")
    amount_minor: int
    amount: str = Field(description="the same as decimal text")
    rule: Rule = Field(description="stable name of the rule")
    explanation: str = Field(description="the rule with its numbers, for people")


class Cost(BaseModel):
    """What a session costs; its lines add up to the total."""

    model_config = ConfigDict(json_schema_extra={"example": COST_EXAMPLE})

    tariff_version_id: UUID | None = Field(description="of the price; it can be given at the start")
    started_at: datetime
    stopped_at: datetime
    energy_wh: int
    currency: str
    lines: list[CostLine]
    net_minor: int = Field(description="without VAT, in minor units of the currency")
    vat_minor: int
    total_minor: int
    total: str = Field(description="the same as decimal text")


class BillingProfileChange(Body):
    """As what the caller bills from now on."""

    model_config = ConfigDict(json_schema_extra={"example": {"is_vat_registered": True, "vat_id": "CZ12345678"}})

    is_vat_registered: Flag = Field(description="whether the caller's prices may have VAT")
    vat_id: VatId | None = Field(default=None, description="with the letters of the country; shown on receipts")


class BillingProfile(BaseModel):
    """As what a person bills."""

    model_config = ConfigDict(
        from_attributes=True, json_schema_extra={"example": {"is_vat_registered": True, "vat_id": "CZ12345678"}}
    )

    is_vat_registered: bool
    vat_id: str | None


def describe_version(row: Row[Any]) -> TariffVersion:
    """A row of `tariff_versions` as its body."""
    document = tariff_to_ocpi(tariff_from_json(row.currency, row.elements, row.terms))
    names = ("id", "tariff_id", "valid_from", "valid_until", "created_at")
    return TariffVersion(**document, **{name: row._mapping[name] for name in names})


def describe_price(version: Version | None) -> Price:
    """The version in force, or that there is none."""
    if version is None:
        return Price(tariff_version_id=None, tariff_id=None, tariff=None)
    return Price(tariff_version_id=version.id, tariff_id=version.tariff_id, tariff=tariff_to_ocpi(version.tariff))


def describe_cost(record: ChargeDetailRecord, tariff: Tariff, tariff_version_id: UUID | None) -> Cost:
    """A charge detail record with the rule of each line."""
    return Cost(
        tariff_version_id=tariff_version_id,
        started_at=record.started_at,
        stopped_at=record.stopped_at,
        energy_wh=record.energy_wh,
        currency=record.currency,
        lines=[_describe_line(line, tariff) for line in record.lines],
        net_minor=record.net_minor,
        vat_minor=record.vat_minor,
        total_minor=record.total_minor,
        total=format_minor(record.total_minor, record.currency),
    )


def _describe_line(line: Line, tariff: Tariff) -> CostLine:
    return CostLine(
        type=line.type,
        element=line.element,
        amount_minor=line.amount_minor,
        amount=format_minor(line.amount_minor, tariff.currency),
        rule=rule_of(line),
        explanation=explain(line, tariff),
    )
