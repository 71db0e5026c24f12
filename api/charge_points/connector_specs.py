"""What each connector is, as its owner says it: queries. What it does now is `operations`'s; nothing here commits."""

from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from api.errors import NotFound
from api.prepared import Connection, Prepared, slot
from api.schema import connector_specs


async def read_all(connection: Connection, charge_point_id: UUID) -> dict[int, Row[Any]]:
    """The specs of a charge point by connector."""
    rows = await _specs().fetch(connection, {"charge_point_id": charge_point_id})
    return {row.connector_id: row for row in rows}


@cache
def _specs() -> Prepared:
    return Prepared(select(connector_specs).where(connector_specs.c.charge_point_id == slot("charge_point_id", UUID)))


async def put(
    connection: AsyncConnection, charge_point_id: UUID, connector_id: int, fields: dict[str, Any]
) -> Row[Any]:
    """Replaces the spec of a connector."""
    statement = upsert(connector_specs).values(charge_point_id=charge_point_id, connector_id=connector_id, **fields)
    key = [connector_specs.c.charge_point_id, connector_specs.c.connector_id]
    statement = statement.on_conflict_do_update(index_elements=key, set_=fields)
    row: Row[Any] = (await connection.execute(statement.returning(connector_specs))).one()
    return row


async def remove(connection: AsyncConnection, charge_point_id: UUID, connector_id: int) -> None:
    """Forgets the spec of a connector.

    Raises:
        NotFound: it has none.
    """
    this = (connector_specs.c.charge_point_id == charge_point_id, connector_specs.c.connector_id == connector_id)
    if (await connection.execute(delete(connector_specs).where(*this))).rowcount == 0:
        raise NotFound
