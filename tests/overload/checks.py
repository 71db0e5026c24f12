"""What must hold in and after an overload. Each finding is a sentence; none is about speed."""

from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg

from bench.traffic import STEP_MS
from ocpp_gateway.in_flight import rank
from tests.overload.watchers import Inboxes, Memory

LAST: Final = 2
"""The rank of readings."""
RECOVERY_S: Final = 120.0
"""Far above what recovery takes: a deadline, no goal."""
STREAM_S: Final = 30.0
ROOM_MIB: Final = 64.0
"""What a process may grow by for whatever reason: heap, caches, code that was not used before."""
SOCKET_KIB: Final = 64
"""A connection with a CALL of 1 kB that waits (DESIGN 8: 16 KiB idle)."""
PUSHED_MIB: Final = 1.0
"""One that sends without waiting: 256 KiB that wait, a CALL that is forwarded, a read that was under way."""

COMMITTED: Final = """
select c.identity, count(distinct v.sampled_at) as values
from unnest($1::text[], $2::timestamptz[]) as said (identity, until)
join charge_points c on c.identity = said.identity
join meter_values v on v.charge_point_id = c.id and v.sampled_at <= said.until
group by c.identity
"""


def starts_first(inboxes: Inboxes, starters: set[str]) -> list[str]:
    """No reading went to a listener before a Start that waited for the same one."""
    wrong, found = [], set()
    for (gateway, inbox), calls in inboxes.order.items():
        places = [place for place, call in enumerate(calls) if call.charge_point_id in starters]
        found |= {calls[place].charge_point_id for place in places}
        before = [call.action for call in calls[: max(places, default=0)] if rank(call) == LAST]
        if before:
            wrong.append(f"{len(before)} readings went from {gateway} to {inbox} before a Start that waited")
    if found != starters:
        wrong.append(f"{len(starters - found)} Starts did not wait: nothing is known about their order")
    return wrong


async def committed(connection: asyncpg.Connection, said: dict[str, int], clock_ms: int) -> list[str]:
    """Every reading that was acknowledged is there: each charge point's clock goes on by one step a reading."""
    since = datetime.fromtimestamp(clock_ms / 1000, UTC)
    untils = [since + count * timedelta(milliseconds=STEP_MS) for count in said.values()]
    rows = await connection.fetch(COMMITTED, list(said), untils)
    stored = {row["identity"]: row["values"] for row in rows}
    return [
        f"{identity}: {count} readings were acknowledged and {stored.get(identity, 0)} are there"
        for identity, count in said.items()
        if stored.get(identity, 0) != count
    ]


def bounded(memory: Memory, connections: int, pushy: int) -> list[str]:
    """No process grew beyond what its bounds allow."""
    wrong = []
    for name, highest in memory.highest.items():
        most = memory.began[name] + ROOM_MIB
        if name.startswith("gateway"):
            most += connections * SOCKET_KIB / 1024 + pushy * PUSHED_MIB
        if highest > most:
            wrong.append(f"{name} grew from {memory.began[name]:.0f} to {highest:.0f} MiB, above {most:.0f}")
    return wrong
