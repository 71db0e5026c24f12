"""The local authorization list as a projection of who may charge: owner and grants (DESIGN 5). Nothing here sends."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from api.database import raw
from api.schema import local_lists
from api.sharing.authorization import authorize_all
from api.sharing.ocpp import id_tag_info

LARGEST_VERSION = 2**31 - 1


class Known(NamedTuple):
    """What the charge point accepted and reported."""

    version: int = 0
    entries: Sequence[dict[str, Any]] = ()
    sent_at: datetime | None = None
    reported_version: int | None = None
    reported_at: datetime | None = None


async def find_known(connection: AsyncConnection, charge_point_id: UUID) -> Known:
    """The list of a charge point as it is known."""
    columns = [local_lists.c[name] for name in Known._fields]
    row = (await connection.execute(select(*columns).where(local_lists.c.charge_point_id == charge_point_id))).first()
    return Known(*row) if row is not None else Known()


async def project(connection: AsyncConnection, charge_point: Row[Any], now: datetime) -> list[dict[str, Any]]:
    """Who may charge now, as entries of the list: each tag is asked of the one function that decides it."""
    driver = await raw(connection)
    decided = await authorize_all(driver, charge_point.id, now)
    return [{"idTag": tag, "idTagInfo": id_tag_info(decision)} for tag, decision in decided if decision.accepted]


def drift(known: Known, wanted: Sequence[dict[str, Any]]) -> Literal["none", "entries", "version", "unsupported"]:
    """How the list at the charge point differs from the one that it should hold. Pure."""
    if known.reported_version == -1:
        return "unsupported"
    if known.reported_version is not None and known.reported_version != known.version:
        return "version"
    return "none" if difference(known.entries, wanted) == [] else "entries"


def difference(held: Sequence[dict[str, Any]], wanted: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a Differential update must carry; an entry without idTagInfo removes (5.15). Pure."""
    before, after = ({entry["idTag"].upper(): entry for entry in entries} for entries in (held, wanted))
    changed = [entry for tag, entry in after.items() if before.get(tag, {}).get("idTagInfo") != entry["idTagInfo"]]
    return changed + [{"idTag": before[tag]["idTag"]} for tag in before if tag not in after]


async def make_update(
    connection: AsyncConnection, charge_point: Row[Any], now: datetime, *, is_full: bool
) -> dict[str, Any]:
    """A SendLocalList with the next version, above every one that the charge point was told or reports."""
    await connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"list:{charge_point.id}", 0))))
    known = await find_known(connection, charge_point.id)
    wanted = await project(connection, charge_point, now)
    version = max(known.version, known.reported_version or 0) + 1
    return {
        "listVersion": version if version <= LARGEST_VERSION else 1,
        "localAuthorizationList": wanted if is_full else difference(known.entries, wanted),
        "updateType": "Full" if is_full else "Differential",
    }
