"""Search: the connectors near a place that the caller may see, nearest first. It changes nothing.

Found are wallboxes that are public, granted to the caller, or the caller's own, and nothing else: operators search as
anybody does. Who owns them never leaves this module.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from math import asin, ceil, cos, degrees, radians, sin, sqrt
from typing import Any, Final
from uuid import UUID

import asyncpg
from sqlalchemy import Row

from api.paging import PageRequest, cut, decode_cursor
from api.prepared import Prepared
from api.sharing.search_query import EARTH_RADIUS_KM, SPARSE, STATEMENTS

HALVED: Final = 8
"""So many circles: of 10 km the smallest has 78 m."""


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

    @property
    def radius_m(self) -> int:
        """In whole metres, as distances are."""
        return round(self.radius_km * 1000)

    def within(self, radius_m: int) -> "Area":
        """A circle around the same place."""
        return replace(self, radius_km=radius_m / 1000)

    @property
    def boxes(self) -> tuple[asyncpg.Box, asyncpg.Box | None]:
        """What PostgreSQL looks into, a metre larger than whole metres may say; across the date line there are two."""
        south, north, west, east = self.within(self.radius_m + 1).box
        spans = [(west, east)]
        if west < -180:
            spans = [(west + 360, 180.0), (-180.0, east)]
        elif east > 180:
            spans = [(west, 180.0), (-180.0, east - 360)]
        first, *further = (asyncpg.Box((right, north), (left, south)) for left, right in spans)
        return first, further[0] if further else None


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
    connection: asyncpg.Connection, user_id: UUID, area: Area, wanted: Wanted, paging: PageRequest, *, now: datetime
) -> tuple[Sequence[Row[Any]], str | None]:
    """One page of what is found, nearest first, each with its distance, status and price for this person.

    Where places are many it looks around in circles that grow until the page is full: in a town with thousands of
    wallboxes it does not ask of each who may see it.

    Raises:
        Invalid: the cursor is not one of this list.
    """
    last = (None, None, None) if paging.cursor is None else decode_cursor(paging.cursor, [int, UUID, int])
    part = (*last, paging.limit + 1)

    async def found(around: Area, *, among_few: bool) -> Sequence[Row[Any]]:
        query, values = prepare(user_id, around, wanted, part, now, among_few=among_few)
        return await query.fetch(connection, values)

    if not (rows := await found(area, among_few=True)):  # nothing is there, or very much
        radius_m = await _first_radius_m(connection, area, last[0])
        while len(rows := await found(area.within(radius_m), among_few=False)) <= paging.limit:
            if radius_m >= area.radius_m:
                break
            radius_m = min(_wider_m(radius_m, len(rows), paging.limit + 1), area.radius_m)
    return cut(rows, paging, lambda row: [row.distance_m, row.charge_point_id, row.connector_id])


def _wider_m(radius_m: int, found: int, wanted: int) -> int:
    """Where half as much again as is wanted would be found if it were as dense as here; twice as far at most."""
    return ceil(radius_m * min(2.0, sqrt(1.5 * wanted / max(found, 1))) + 1)


async def _first_radius_m(connection: asyncpg.Connection, area: Area, after_m: Any) -> int:  # noqa: ANN401 - a number or None
    """The largest circle behind the last row in which places are few, or else the smallest."""
    radii = [radius for halved in range(HALVED) if (radius := area.radius_m >> halved) > (after_m or 0)]
    if not radii:
        return area.radius_m
    boxes = list(zip(*(area.within(radius).boxes for radius in radii), strict=True))
    return await connection.fetchval(SPARSE, radii, *boxes) or radii[-1]


def prepare(
    user_id: UUID,
    area: Area,
    wanted: Wanted,
    part: tuple[Any, Any, Any, int],
    now: datetime,
    *,
    among_few: bool = False,
) -> tuple[Prepared, dict[str, object]]:
    """The query, and what goes into its slots; `part`: behind which row, and how many."""
    values = asdict(wanted)
    values |= {"user": user_id, "now": now, "latitude": area.latitude, "longitude": area.longitude}
    values |= {"radius_m": area.radius_m, **dict(zip(("box", "further_box"), area.boxes, strict=True))}
    values |= {"free_now": wanted.free_from is not None and wanted.free_from <= now}
    values |= dict(zip(("after_m", "after_charge_point", "after_connector", "rows"), part, strict=True))
    return STATEMENTS[wanted.max_price_e4 is not None, among_few], values
