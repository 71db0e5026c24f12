"""Search: the connectors near a place that the caller may see, nearest first. One query; it changes nothing.

Found are wallboxes that are public, granted to the caller, or the caller's own, and nothing else: operators search as
anybody does. Who owns them never leaves this module.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import asin, cos, degrees, radians, sin
from typing import Any
from uuid import UUID

import asyncpg

from api.paging import PageRequest, decode_cursor, encode_cursor
from api.sharing.search_query import EARTH_RADIUS_KM, PRICED_STATEMENT, STATEMENT


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
    def boxes(self) -> list[tuple[float, float, float, float]]:
        """The same as west, south, east and north; across the date line there are two."""
        south, north, west, east = self.box
        spans = [(west, east)]
        if west < -180:
            spans = [(west + 360, 180.0), (-180.0, east)]
        elif east > 180:
            spans = [(west, 180.0), (-180.0, east - 360)]
        return [(left, south, right, north) for left, right in spans]


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
) -> tuple[Sequence[asyncpg.Record], str | None]:
    """One page of what is found, nearest first, each with its distance, status and price for this person.

    Raises:
        Invalid: the cursor is not one of this list.
    """
    query, values = prepare(user_id, area, wanted, paging, now)
    rows = await connection.fetch(query, *values)
    if len(rows) <= paging.limit:
        return rows, None
    kept = rows[: paging.limit]
    last = kept[-1]
    return kept, encode_cursor([last["distance_m"], last["charge_point_id"], last["connector_id"]])


def prepare(
    user_id: UUID, area: Area, wanted: Wanted, paging: PageRequest, now: datetime
) -> tuple[str, tuple[Any, ...]]:
    """The query of one page and of one row more, and its values in the order of `ARGUMENTS`."""
    boxes = [asyncpg.Box((east, north), (west, south)) for west, south, east, north in area.boxes]
    last = (None, None, None) if paging.cursor is None else decode_cursor(paging.cursor, [int, UUID, int])
    begin = wanted.free_from
    values = (
        *(user_id, now, boxes[0], boxes[1] if len(boxes) > 1 else None),
        *(area.latitude, area.longitude, round(area.radius_km * 1000)),
        *(wanted.standard, wanted.power_type, wanted.min_power_w),
        *(begin, wanted.free_until, begin is not None and begin <= now),
        *(*last, paging.limit + 1),
    )
    if wanted.max_price_e4 is None:
        return STATEMENT, values
    return PRICED_STATEMENT, (*values, wanted.max_price_e4, wanted.currency)
