"""Search: the connectors near a place that the caller may see, nearest first. One query; it changes nothing.

Found are wallboxes that are public, granted to the caller, or the caller's own, and nothing else: operators search as
anybody does. Who owns them never leaves this module.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import asin, cos, degrees, radians, sin
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    Row,
    Select,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from api.identity.caller import Caller
from api.paging import PageRequest, decode_cursor, encode_cursor
from api.schema import charge_points, connector_specs, connectors, locations, transactions
from api.sharing.access import is_listed, is_visible
from api.sharing.bookings import is_booked
from api.tariffs.in_force import beside_charge_points

EARTH_RADIUS_KM: Final = 6371.0088
"""Mean radius (IUGG R1)."""
SEARCHER: Final = "user"
"""The role in which everybody searches."""
PRICE_E4: Final = """(
    select max((part ->> 'price_e4')::bigint)
    from jsonb_array_elements(tariff.elements) as element, jsonb_array_elements(element -> 'price_components') as part
    where part ->> 'type' = 'ENERGY')"""
"""As `energy_price_e4` has it: the highest price of a kWh where it varies."""
POINT: Final[ColumnElement[Any]] = literal_column(
    "point(locations.longitude::double precision, locations.latitude::double precision)"
)
AVAILABLE: Final = "Available"
PLAIN: Final[tuple[ColumnElement[Any], ...]] = (
    charge_points.c.id.label("charge_point_id"),
    charge_points.c.name,
    charge_points.c.time_zone,
    *(connector_specs.c[name] for name in ("connector_id", "standard", "format", "power_type", "max_power_w")),
    connectors.c.status,
    locations.c.name.label("place_name"),
    *(
        locations.c[name]
        for name in ("address", "postal_code", "city", "country", "latitude", "longitude", "opening_times")
    ),
)
"""What is shown as it is stored."""


@dataclass(frozen=True, slots=True)
class Area:
    """A circle on the globe."""

    latitude: float
    longitude: float
    radius_km: float

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Least and highest latitude, least and highest longitude of what may lie in it."""
        reach = degrees(self.radius_km / EARTH_RADIUS_KM)
        south, north = self.latitude - reach, self.latitude + reach
        if south <= -90 or north >= 90:
            return south, north, -180.0, 180.0
        across = degrees(asin(sin(radians(reach)) / cos(radians(self.latitude))))
        return south, north, self.longitude - across, self.longitude + across


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a connector must be; None: anything will do. `price_e4` is of a kWh without VAT, in `currency`."""

    standard: str | None = None
    power_type: str | None = None
    min_power_w: int | None = None
    max_price_e4: int | None = None
    currency: str | None = None
    free_from: datetime | None = None
    free_until: datetime | None = None


async def find_connectors(
    connection: AsyncConnection, caller: Caller, area: Area, wanted: Wanted, paging: PageRequest, *, now: datetime
) -> tuple[Sequence[Row[Any]], str | None]:
    """One page of what is found, nearest first, each with its distance, status and price for the caller.

    Raises:
        Invalid: the cursor is not one of this list.
    """
    query = statement(caller, area, wanted, paging, now)
    rows = (await connection.execute(query)).all()
    if len(rows) <= paging.limit:
        return rows, None
    kept = rows[: paging.limit]
    last = kept[-1]
    return kept, encode_cursor([last.distance_m, last.charge_point_id, last.connector_id])


def statement(caller: Caller, area: Area, wanted: Wanted, paging: PageRequest, now: datetime) -> Select[Any]:
    """The query of one page and of one row more."""
    searcher = replace(caller, role=SEARCHER)
    tariff = beside_charge_points(caller.user_id, now)
    price = literal_column(PRICE_E4, BigInteger)
    near = _near(searcher, area, wanted, now)
    if wanted.max_price_e4 is not None:
        near = near.join(tariff, true()).where(price <= wanted.max_price_e4, tariff.c.currency == wanted.currency)
    near = _page(near, paging)
    page = near.subquery("page")
    priced = page.join(charge_points, charge_points.c.id == page.c.charge_point_id).outerjoin(tariff, true())
    return (
        select(page, tariff.c.currency, price.label("price_e4"))
        .select_from(priced)
        .order_by(page.c.distance_m, page.c.charge_point_id, page.c.connector_id)
    )


def _near(caller: Caller, area: Area, wanted: Wanted, now: datetime) -> Select[Any]:
    specs, known = connector_specs, connectors
    joined = (
        locations.join(charge_points, charge_points.c.location_id == locations.c.id)
        .join(specs, specs.c.charge_point_id == charge_points.c.id)
        .outerjoin(
            known, and_(known.c.charge_point_id == charge_points.c.id, known.c.connector_id == specs.c.connector_id)
        )
    )
    is_own = charge_points.c.owner_id == caller.user_id
    access = case((is_own, "own"), (is_listed(caller, now), "granted"), else_="public")
    moment = now + timedelta(microseconds=1)
    is_free = and_(
        func.coalesce(known.c.status, "") == AVAILABLE, _is_connected(), ~_is_charging(), ~is_booked(now, moment)
    )
    return (
        select(
            *PLAIN,
            is_free.label("is_free_now"),
            access.label("access"),
            _distance_m(area).label("distance_m"),
        )
        .select_from(joined)
        .where(
            locations.c.deleted_at.is_(None),
            _in_box(area),
            _distance_m(area) <= round(area.radius_km * 1000),
            is_visible(caller, now),
            *_conditions(wanted, is_free, now),
        )
    )


def _conditions(wanted: Wanted, is_free: ColumnElement[bool], now: datetime) -> list[ColumnElement[bool]]:
    specs = connector_specs
    found: list[ColumnElement[bool]] = []
    if wanted.standard is not None:
        found.append(specs.c.standard == wanted.standard)
    if wanted.power_type is not None:
        found.append(specs.c.power_type == wanted.power_type)
    if wanted.min_power_w is not None:
        found.append(specs.c.max_power_w >= wanted.min_power_w)
    if wanted.free_from is not None and wanted.free_until is not None:
        found.append(~is_booked(wanted.free_from, wanted.free_until))
        if wanted.free_from <= now:
            found.append(is_free)
    return found


def _page(near: Select[Any], paging: PageRequest) -> Select[Any]:
    # what the labels stand for: a label cannot be compared in the query that makes it
    columns = near.selected_columns
    key = (columns["distance_m"], columns["charge_point_id"], columns["connector_id"])
    if paging.cursor is not None:
        values = decode_cursor(paging.cursor, [int, UUID, int])
        near = near.where(tuple_(*(_bare(column) for column in key)) > tuple_(*values))
    return near.order_by(*key).limit(paging.limit + 1)


def _bare(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return getattr(column, "element", column)


def _is_connected() -> ColumnElement[bool]:
    connected, ended = charge_points.c.connected_at, charge_points.c.disconnected_at
    return and_(connected.is_not(None), or_(ended.is_(None), ended < connected))


def _is_charging() -> ColumnElement[bool]:
    return exists().where(
        transactions.c.charge_point_id == charge_points.c.id,
        transactions.c.connector_id == connector_specs.c.connector_id,
        transactions.c.status == "active",
    )


def _in_box(area: Area) -> ColumnElement[bool]:
    """What the index over the points of locations finds; across the date line there are two boxes."""
    south, north, west, east = area.box
    spans = [(west, east)]
    if west < -180:
        spans = [(west + 360, 180.0), (-180.0, east)]
    elif east > 180:
        spans = [(west, 180.0), (-180.0, east - 360)]
    return or_(*(POINT.op("<@")(_box(west, south, east, north)) for west, east in spans))


def _box(west: float, south: float, east: float, north: float) -> ColumnElement[Any]:
    corners = (func.point(literal(x, Float), literal(y, Float)) for x, y in ((west, south), (east, north)))
    return func.box(*corners)


def _distance_m(area: Area) -> ColumnElement[int]:
    """Along the great circle, by the haversine formula, in whole metres."""
    latitude, longitude = (
        func.radians(cast(column, Float)) for column in (locations.c.latitude, locations.c.longitude)
    )
    here_latitude, here_longitude = literal(radians(area.latitude)), literal(radians(area.longitude))
    half = func.power(func.sin((latitude - here_latitude) / 2), 2) + func.cos(here_latitude) * func.cos(
        latitude
    ) * func.power(func.sin((longitude - here_longitude) / 2), 2)
    metres = 2000 * EARTH_RADIUS_KM * func.asin(func.sqrt(func.least(1.0, half)))
    return cast(func.round(metres), BigInteger)
