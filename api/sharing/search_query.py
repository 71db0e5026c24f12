"""The query of a search as PostgreSQL gets it: written once, when this module is loaded, for two kinds of search.

What differs from one search to the next is in `SLOTS`.
"""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    FromClause,
    Select,
    and_,
    cast,
    exists,
    func,
    literal_column,
    or_,
    select,
    true,
    tuple_,
)

from api.prepared import Prepared, slot
from api.schema import charge_points, connector_specs, connectors, locations, transactions
from api.sharing.access import found_as
from api.sharing.bookings import is_booked
from api.tariffs.in_force import beside

EARTH_RADIUS_KM: Final = 6371.0088
"""Mean radius (IUGG R1)."""
SLOTS: Final = {
    "user": UUID,
    "now": datetime,
    "box": asyncpg.Box,
    "further_box": asyncpg.Box,
    "latitude": float,
    "longitude": float,
    "radius_m": int,
    "standard": str,
    "power_type": str,
    "min_power_w": int,
    "max_price_e4": int,
    "currency": str,
    "free_from": datetime,
    "free_until": datetime,
    "free_now": bool,
    "after_m": int,
    "after_charge_point": UUID,
    "after_connector": int,
    "rows": int,
}
"""A box or wish that is null is none; `after_m`, with what follows it, is the last row of the page before."""
PRICE_E4: Final = """(
    select max((part ->> 'price_e4')::bigint)
    from jsonb_array_elements(tariff.elements) as element, jsonb_array_elements(element -> 'price_components') as part
    where part ->> 'type' = 'ENERGY')"""
"""As `energy_price_e4` has it: the highest price of a kWh where it varies."""
PLACED: Final = (
    "address", "postal_code", "city", "country", "latitude", "longitude", "opening_times",
)  # fmt: skip
"""What is shown of a location as it is stored, beside its name."""
PLAIN: Final[tuple[ColumnElement[Any], ...]] = (
    charge_points.c.id.label("charge_point_id"),
    charge_points.c.name,
    charge_points.c.time_zone,
    *(connector_specs.c[name] for name in ("connector_id", "standard", "format", "power_type", "max_power_w")),
    connectors.c.status,
)
"""The same of the others."""


def _given(name: str) -> Any:  # noqa: ANN401 - a slot stands for a value of its kind
    return slot(name, SLOTS[name])


def _statement(*, is_priced: bool, among_few: bool) -> Prepared:
    """Nearest first; with `is_priced` only what costs the caller as much at most, with `among_few` nothing where places
    are many.

    Where and price are looked at for the rows of the page alone, unless a price is asked for.
    """
    tariff = beside("charge_points.id", str(_given("user")), str(_given("now")))
    price = literal_column(PRICE_E4, BigInteger)
    near = _near(among_few=among_few)
    if is_priced:
        cheap = and_(price <= _given("max_price_e4"), tariff.c.currency == _given("currency"))
        near = near.join(tariff, true()).where(cheap)
    key = ("distance_m", "charge_point_id", "connector_id")
    page = near.order_by(*(near.selected_columns[name] for name in key)).limit(_given("rows")).subquery("page")
    beside_page = (
        page.join(charge_points, charge_points.c.id == page.c.charge_point_id)
        .join(locations, locations.c.id == charge_points.c.location_id)
        .outerjoin(tariff, true())
    )
    placed = (locations.c.name.label("place_name"), *(locations.c[name] for name in PLACED))
    query = select(page, *placed, tariff.c.currency, price.label("price_e4")).select_from(beside_page)
    return Prepared(query.order_by(*(page.c[name] for name in key)))


def _near(*, among_few: bool) -> Select[Any]:
    specs, found, place = connector_specs, found_as(_given("user"), _given("now")), _places(among_few=among_few)
    of_connector = and_(
        connectors.c.charge_point_id == charge_points.c.id, connectors.c.connector_id == specs.c.connector_id
    )
    joined = (
        place.join(charge_points, charge_points.c.location_id == place.c.id)
        .join(specs, specs.c.charge_point_id == charge_points.c.id)
        .outerjoin(connectors, of_connector)
        .join(found, true())
    )
    distance, after = place.c.distance_m, _given("after_m")
    last = tuple_(*(_given(name) for name in ("after_m", "after_charge_point", "after_connector")))
    return (
        select(*PLAIN, _is_free().label("is_free_now"), found.c.access, distance)
        .select_from(joined)
        .where(
            distance <= _given("radius_m"),
            or_(after.is_(None), distance >= after),
            or_(after.is_(None), tuple_(distance, charge_points.c.id, specs.c.connector_id) > last),
            *_wishes(),
            found.c.access.is_not(None),
        )
    )


def _places(*, among_few: bool) -> FromClause:
    """What lies in the box, nearest first, so that no more are looked at than a page takes; with `among_few` nothing
    where places are many.
    """
    north, east = (func.radians(cast(column, Float)) for column in (locations.c.latitude, locations.c.longitude))
    position = (north.label("north"), east.label("east"))
    query = select(locations.c.id, *position).where(locations.c.deleted_at.is_(None), _is_in_a_box())
    some = query.limit(FEW).cte("some") if among_few else query.subquery("some")
    distance = _distance_m(some.c.north, some.c.east).label("distance_m")
    nearest = select(some.c.id, distance).order_by(distance)
    if among_few:
        nearest = nearest.where(select(func.count()).select_from(some).scalar_subquery() < FEW)
    return nearest.subquery("place")


def _wishes() -> list[ColumnElement[bool]]:
    specs = connector_specs.c
    begin, end = _given("free_from"), _given("free_until")
    return [
        or_(_given("standard").is_(None), specs.standard == _given("standard")),
        or_(_given("power_type").is_(None), specs.power_type == _given("power_type")),
        or_(_given("min_power_w").is_(None), specs.max_power_w >= _given("min_power_w")),
        or_(begin.is_(None), ~is_booked(begin, end)),
        or_(~_given("free_now"), _is_free()),
    ]


def _is_free() -> ColumnElement[bool]:
    """At this moment: connected, Available, and neither used nor reserved."""
    connected, ended, now = charge_points.c.connected_at, charge_points.c.disconnected_at, _given("now")
    moment_later: Any = literal_column(f"({_given('now')} + interval '1 microsecond')")
    is_charging = exists().where(
        transactions.c.charge_point_id == charge_points.c.id,
        transactions.c.connector_id == connector_specs.c.connector_id,
        transactions.c.status == "active",
    )
    return and_(
        func.coalesce(connectors.c.status, "") == "Available",
        connected.is_not(None),
        or_(ended.is_(None), ended < connected),
        ~is_charging,
        ~is_booked(now, moment_later),
    )


def _is_in_a_box() -> ColumnElement[bool]:
    """What the index over the points of locations finds; across the date line there are two boxes."""
    point: ColumnElement[Any] = literal_column(
        "point(locations.longitude::double precision, locations.latitude::double precision)"
    )
    return or_(*(point.op("<@")(_given(box)) for box in ("box", "further_box")))


def _distance_m(north: ColumnElement[float], east: ColumnElement[float]) -> ColumnElement[int]:
    """Along the great circle to a place in radians, by the haversine formula, in whole metres."""
    here_north, here_east = (func.radians(_given(name)) for name in ("latitude", "longitude"))
    half = func.power(func.sin((north - here_north) / 2.0), 2) + func.cos(here_north) * func.cos(north) * func.power(
        func.sin((east - here_east) / 2.0), 2
    )
    metres = 2000 * EARTH_RADIUS_KM * func.asin(func.sqrt(func.least(1.0, half)))
    return cast(func.round(metres), BigInteger)


FEW: Final = 1000
"""Places: so many are as quickly put in their order as a page is made."""
PLACE: Final = """
select from locations where deleted_at is null
    and point(locations.longitude::double precision, locations.latitude::double precision) <@ w.{box} limit {few}
"""
SPARSE: Final = f"""
select w.radius_m from unnest($1::bigint[], $2::box[], $3::box[]) as w (radius_m, box, further_box)
where (select count(*) from (
    ({PLACE.format(box="box", few=FEW)}) union all ({PLACE.format(box="further_box", few=FEW)})
) as places) < {FEW} limit 1
"""  # noqa: S608 - our own words
"""Of some circles one, in their order the first, with few places in it; any of them would do."""
STATEMENTS: Final = {
    (is_priced, among_few): _statement(is_priced=is_priced, among_few=among_few)
    for is_priced in (False, True)
    for among_few in (False, True)
}
