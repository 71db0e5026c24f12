"""The live state as PostgreSQL knows it, for filling an empty Redis. Only the queries; writing it is the listener's.

What is not in PostgreSQL (which gateway holds a charge point) comes back from the gateways themselves.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import asyncpg

from api.charge_points.live import connector_fields, last_seen_field

PAGE: Final = 500
FIRST: Final = UUID(int=0)

CHARGE_POINTS: Final = """
select id, connection_epoch, greatest(connected_at, disconnected_at, booted_at) as seen_at from charge_points
where deleted_at is null and id > $1 order by id limit $2
"""
CONNECTORS: Final = """
select charge_point_id, connector_id, status, error_code from connectors where charge_point_id = any($1::uuid[])
"""
RUNNING: Final = """
select t.charge_point_id, t.connector_id, t.public_id, v.energy_wh, v.power_w
from transactions t left join lateral (
    select m.energy_wh, m.power_w from meter_values m where m.transaction_id = t.id order by m.sampled_at desc limit 1
) v on true
where t.status = 'active' and t.charge_point_id = any($1::uuid[]) order by t.id
"""


@dataclass(slots=True)
class Known:
    """What PostgreSQL knows of one charge point's present, as fields of its live hash."""

    charge_point_id: str
    epoch: int
    fields: dict[str, bytes] = field(default_factory=dict)


async def pages(connection: asyncpg.Connection) -> AsyncIterator[list[Known]]:
    """Every charge point, in pages."""
    last = FIRST
    while rows := await connection.fetch(CHARGE_POINTS, last, PAGE):
        last = rows[-1]["id"]
        known = {row["id"]: Known(str(row["id"]), row["connection_epoch"]) for row in rows}
        for row in rows:
            if row["seen_at"] is not None:
                known[row["id"]].fields |= last_seen_field(row["seen_at"].timestamp())
        for row in await connection.fetch(CONNECTORS, list(known)):
            status = connector_fields(row["connector_id"], status=row["status"], error_code=row["error_code"])
            known[row["charge_point_id"]].fields |= status
        for row in await connection.fetch(RUNNING, list(known)):
            known[row["charge_point_id"]].fields |= _running(row)
        yield list(known.values())


def _running(row: asyncpg.Record) -> dict[str, bytes]:
    readings = {"power_w": row["power_w"], "energy_wh": row["energy_wh"]}
    known = {name: value for name, value in readings.items() if value is not None}
    return connector_fields(row["connector_id"], transaction_id=str(row["public_id"]), **known)
