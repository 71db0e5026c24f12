"""The random code of each connector, which its sticker leads to: rules and queries. Nothing here commits.

A code names a connector to whoever stands before it; it opens nothing by itself. A renewed one never comes back.
"""

import re
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, and_, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from api.database import find_one
from api.errors import NotFound
from api.identity.id_tags import ALPHABET
from api.schema import charge_points, connector_codes, connectors
from api.settings import Settings

LENGTH: Final = 12
"""60 bits of 32 letters and digits that people do not mistake for each other."""
PATH: Final = "/c"
_READABLE: Final = re.compile(f"[{ALPHABET}]{{{LENGTH}}}")
_SEPARATORS: Final = str.maketrans("", "", "- ")


def new_code() -> str:
    """A random code."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def make_url(settings: Settings, code: str) -> str:
    """The address in the QR code."""
    return f"{settings.links_url.rstrip('/')}{PATH}/{code}"


async def current_codes(connection: AsyncConnection, charge_point_id: UUID, now: datetime) -> Sequence[Row[Any]]:
    """The code of each connector in its order; one that has none gets its first now."""
    table = connector_codes
    current = (table.c.charge_point_id == charge_point_id, table.c.revoked_at.is_(None))
    query = select(table).where(*current).order_by(table.c.connector_id)
    coded = {row.connector_id for row in await connection.execute(query)}
    for connector_id in sorted(await _connectors(connection, charge_point_id) - coded):
        await connection.execute(upsert(table).values(**_values(charge_point_id, connector_id, now))
                                 .on_conflict_do_nothing())  # fmt: skip
    return (await connection.execute(query)).all()


async def _connectors(connection: AsyncConnection, charge_point_id: UUID) -> set[int]:
    """Those that the charge point has reported, and the first, which each has (OCPP 1.6, 2.2)."""
    table = connectors
    query = select(table.c.connector_id).where(table.c.charge_point_id == charge_point_id, table.c.connector_id > 0)
    return {1, *(await connection.execute(query)).scalars()}


def _values(charge_point_id: UUID, connector_id: int, now: datetime) -> dict[str, Any]:
    return {
        "charge_point_id": charge_point_id, "connector_id": connector_id, "code": new_code(), "created_at": now,
    }  # fmt: skip


async def renew(connection: AsyncConnection, charge_point_id: UUID, connector_id: int, now: datetime) -> Row[Any]:
    """A new code; the one before ends at once. Of two renewals at a time the second ends the first's.

    Raises:
        NotFound: the charge point has no such connector.
    """
    await connection.execute(select(charge_points.c.id).where(charge_points.c.id == charge_point_id).with_for_update())
    if connector_id not in await _connectors(connection, charge_point_id):
        raise NotFound
    table = connector_codes
    this = (table.c.charge_point_id == charge_point_id, table.c.connector_id == connector_id)
    await connection.execute(update(table).where(*this, table.c.revoked_at.is_(None)).values(revoked_at=now))
    made = insert(table).values(**_values(charge_point_id, connector_id, now)).returning(table)
    row: Row[Any] = (await connection.execute(made)).one()
    return row


async def find_by_code(connection: AsyncConnection, text: str) -> Row[Any]:
    """The connector to which a code leads, however people typed it.

    Raises:
        NotFound: never made, renewed since, misspelt, or its charge point is gone: all look the same.
    """
    code = text.upper().translate(_SEPARATORS)
    if not _READABLE.fullmatch(code):
        raise NotFound
    table = connector_codes
    joined = table.join(charge_points, charge_points.c.id == table.c.charge_point_id).outerjoin(
        connectors,
        and_(
            connectors.c.charge_point_id == table.c.charge_point_id, connectors.c.connector_id == table.c.connector_id
        ),
    )
    query = (
        select(table, charge_points.c.name, connectors.c.status)
        .select_from(joined)
        .where(table.c.code == code, table.c.revoked_at.is_(None), charge_points.c.deleted_at.is_(None))
    )
    return await find_one(connection, query)
