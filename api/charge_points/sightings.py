"""Counting quirks that are not set and would have helped: what is suggested for a charge point. Never sets one."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import asyncpg

from wire.messages import QuirksSeen
from wire.quirks import QUIRKS

COUNT: Final = """
insert into quirk_sightings as known (charge_point_id, quirk, count, first_seen_at, last_seen_at)
select seen.charge_point_id, seen.quirk, seen.count, $4, $4
from unnest($1::uuid[], $2::text[], $3::bigint[]) as seen (charge_point_id, quirk, count)
join charge_points c on c.id = seen.charge_point_id and not seen.quirk = any(c.quirks)
order by 1, 2
on conflict (charge_point_id, quirk) do update
set count = known.count + excluded.count, last_seen_at = excluded.last_seen_at
"""
"""In one order, so that two listeners never wait for each other in a circle."""


async def note_seen(connection: asyncpg.Connection, notes: Sequence[QuirksSeen]) -> None:
    """What gateways saw."""
    counts: Counter[tuple[str, str]] = Counter()
    for note in notes:
        counts.update({(note.charge_point_id, quirk): count for quirk, count in note.counts.items()})
    if notes:
        await _count(connection, counts, datetime.fromtimestamp(max(note.at for note in notes), UTC))


async def note_departures(
    connection: asyncpg.Connection, charge_point_id: str, quirks: Iterable[str], at: datetime
) -> None:
    """What the processing of one message saw."""
    counts = {(charge_point_id, quirk): 1 for quirk in quirks}
    if counts:
        await _count(connection, counts, at)


async def _count(connection: asyncpg.Connection, counts: Mapping[tuple[str, str], int], at: datetime) -> None:
    """Names that this release does not know are left out."""
    known = {key: count for key, count in counts.items() if key[1] in QUIRKS}
    charge_points, quirks = [key[0] for key in known], [key[1] for key in known]
    await connection.execute(COUNT, charge_points, quirks, list(known.values()), at)
