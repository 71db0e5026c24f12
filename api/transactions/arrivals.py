"""StartTransactions as they come in, with the transactions that they may concern. Reads only; decides nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from api.accounting.plausibility import is_plausible_time
from api.charge_points.answers import received_at
from api.sharing.authorization import Question
from api.transactions.replays import ACTIVE, Known, NewStart, find_replayed
from api.transactions.requests import StartRequest
from wire.messages import ChargePointCall

CLOCK_DIFFERENCE: Final = timedelta(minutes=10)
"""A charge point's clock may be this far behind: a first tariff made so shortly after a start was in force at it."""
SITUATIONS: Final = """
select s.number, c.boot_count, c.quirks, t.*
from unnest($1::uuid[], $2::integer[], $3::text[], $4::bigint[], $5::timestamptz[])
    with ordinality as s (charge_point_id, connector_id, id_tag, meter_start_wh, started_at, number)
join charge_points c on c.id = s.charge_point_id left join lateral (
    select id, started_at, start_received_at, meter_start_wh, id_tag, occurrence, start_boot_count, status, held_reasons
    from transactions
    where charge_point_id = s.charge_point_id and connector_id = s.connector_id and status = 'active'
    union all
    select id, started_at, start_received_at, meter_start_wh, id_tag, occurrence, start_boot_count, status, held_reasons
    from transactions
    where charge_point_id = s.charge_point_id and connector_id = s.connector_id and id_tag = s.id_tag
        and meter_start_wh = s.meter_start_wh and started_at = s.started_at and status <> 'active'
) t on true
order by s.number, t.id
"""
"""Of each Start, a row for each transaction that is open on its connector or identical to it; one row where there is
none.
"""
KNOWN: Final = tuple(field.name for field in fields(Known))


@dataclass(frozen=True, slots=True)
class Arrival:
    """A Start as it came in, how often its charge point had booted by then, its quirks, and what it may concern."""

    call: ChargePointCall
    request: StartRequest
    boot_count: int
    quirks: list[str]
    others: list[Mapping[str, Any]]
    """Transactions that are open on the connector, or identical; the oldest first."""

    @property
    def charge_point_id(self) -> UUID:
        """Where it came from."""
        return UUID(self.call.charge_point_id)

    @property
    def at(self) -> datetime:
        """When it arrived."""
        return received_at(self.call)

    @property
    def question(self) -> Question:
        """What decides whether charging may start as it arrives."""
        request, presented_at = self.request, min(self.request.started_at, self.at)
        return Question(self.charge_point_id, request.tag, self.at, request.connector_id, presented_at)

    @property
    def is_plausible(self) -> bool:
        """Whether the charge point's clock can be right."""
        return is_plausible_time(self.request.started_at, self.at)

    @property
    def was_queued(self) -> bool:
        """Whether it began so long before it arrived that the charge point must have been offline."""
        return self.is_plausible and self.request.started_at < self.at - CLOCK_DIFFERENCE

    @property
    def open(self) -> list[Mapping[str, Any]]:
        """Those that are open on the connector."""
        return [other for other in self.others if other["status"] == ACTIVE]

    @property
    def replayed(self) -> Known | NewStart:
        """The transaction that it has begun before, or the one that it begins."""
        request = self.request
        known = [
            Known(**{name: other[name] for name in KNOWN})
            for other in self.others
            if (other["id_tag"], other["meter_start_wh"]) == (request.tag, request.meter_start)
        ]
        return find_replayed(known, request.started_at, is_plausible=self.is_plausible, boot_count=self.boot_count)


async def arrive(
    connection: asyncpg.Connection, asked: Sequence[tuple[ChargePointCall, StartRequest]]
) -> list[Arrival]:
    """Starts of different charge points, in their order."""
    keys = [
        (call.charge_point_id, request.connector_id, request.tag, request.meter_start, request.started_at)
        for call, request in asked
    ]
    found: list[list[Mapping[str, Any]]] = [[] for _ in asked]
    for row in await connection.fetch(SITUATIONS, *map(list, zip(*keys, strict=True))):
        found[row["number"] - 1].append(row)
    return [_arrival(call, request, rows) for (call, request), rows in zip(asked, found, strict=True)]


def _arrival(call: ChargePointCall, request: StartRequest, rows: Sequence[Mapping[str, Any]]) -> Arrival:
    others = [row for row in rows if row["id"] is not None]
    return Arrival(call, request, rows[0]["boot_count"], rows[0]["quirks"], others)
