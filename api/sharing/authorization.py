"""Asks `decision` with the facts from PostgreSQL, in one query. The only place that reads them for a decision.

What is used up of a grant counts all its versions; docs/sharing.md says how.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from api.identity.learning import learn
from api.sharing.decision import (
    Caps,
    Decision,
    Facts,
    Grant,
    IdTag,
    Place,
    Usage,
    decide,
    decide_throughout,
)
from api.sharing.windows import Window

FACTS: Final = """
select c.id as place_id, c.owner_id, c.time_zone, c.location_id as stands_at, c.visibility,
    t.tag, t.user_id as holder_id, t.parent_tag, t.blocked, t.expires_at,
    array(select m.group_id from group_members m where m.user_id = t.user_id) as group_ids,
    (
        select count(*) from transactions x
        where x.id_tag = t.tag and x.status = 'active'
            and (x.charge_point_id, x.connector_id) is distinct from (c.id, {connector})
    ) >= t.concurrency_limit as charging_elsewhere,
    (
        select case when {connector} > 0 then max(b.ends_at) filter (where b.connector_id = {connector})
            when count(distinct b.connector_id) >= greatest(1, (
                select count(*) from connectors k where k.charge_point_id = c.id and k.connector_id > 0))
            then min(b.ends_at) end
        from bookings b
        where b.charge_point_id = c.id and b.status = 'standing' and b.starts_at <= {at}
            and b.ends_at > {at} and b.user_id <> t.user_id
    ) as reserved_until,
    g.id, g.user_id, g.group_id, g.charge_point_id, g.connector_id, g.location_id, g.priority,
    g.valid_from, g.valid_until, g.revoked_at, g.windows::text as windows,
    g.max_energy_wh, g.max_amount_minor, g.currency, g.max_sessions,
    u.used_energy_wh, u.used_amount_minor, u.used_sessions, u.running_energy_wh
from charge_points c
left join id_tags t on {tags}
left join grants g on (g.charge_point_id = c.id or g.location_id = c.location_id) and t.user_id <> c.owner_id and (
    g.user_id = t.user_id or g.audience = 'public' and c.visibility = 'public'
    or g.group_id in (select m.group_id from group_members m where m.user_id = t.user_id))
left join lateral (
    select coalesce(sum(x.energy_wh) filter (where p.counts), 0)::bigint as used_energy_wh,
        coalesce(sum(x.total_minor) filter (where p.counts and x.currency = g.currency), 0)::bigint
            as used_amount_minor,
        count(*) filter (where x.status = 'active'
            and (x.charge_point_id, x.connector_id) is distinct from (c.id, {connector})) as used_sessions,
        coalesce(sum(greatest(0, (
            select r.energy_wh from meter_values r where r.transaction_id = x.id and r.energy_wh is not null
            order by r.sampled_at desc limit 1) - x.meter_start_wh))
            filter (where p.counts and x.status = 'active'), 0)::bigint as running_energy_wh
    from grants v join transactions x on x.grant_id = v.id and x.driver_id = t.user_id
    cross join lateral (select g.cap_period <> 'month' or x.started_at
        >= date_trunc('month', {at} at time zone c.time_zone) at time zone c.time_zone as counts) p
    where v.series_id = g.series_id and num_nonnulls(g.max_energy_wh, g.max_amount_minor, g.max_sessions) > 0
) u on true
where c.id = {place}
"""
PARAMETERS: Final = {"place": "$1", "connector": "$3::integer", "at": "$4::timestamptz"}
OF_ONE: Final = FACTS.format(tags="t.tag = upper($2)", **PARAMETERS)
OF_MANY: Final = """
select q.number, f.*
from unnest($1::uuid[], $2::text[], $3::integer[], $4::timestamptz[]) with ordinality
    as q (place, tag, connector, at, number)
cross join lateral ({facts}) as f
""".format(facts=FACTS.format(tags="t.tag = upper(q.tag)", place="q.place", connector="q.connector", at="q.at"))
OF_ALL: Final = FACTS.format(
    **PARAMETERS,
    tags="""$2::text is null and (t.user_id = c.owner_id or t.user_id in (
        select g.user_id from grants g where g.charge_point_id = c.id or g.location_id = c.location_id
        union select m.user_id from group_members m join grants g on g.group_id = m.group_id
        where g.charge_point_id = c.id or g.location_id = c.location_id))""",
)
"""Every tag of those with whom the charge point is shared by name or by group: whoever a public grant lets in is
too many for a list."""


async def authorize(
    connection: asyncpg.Connection,
    charge_point_id: UUID,
    id_tag: str,
    now: datetime,
    *,
    starting_on: int | None = None,
    presented_at: datetime | None = None,
) -> Decision:
    """Whether the holder of `id_tag` may charge at this charge point at `now`.

    `starting_on` is the connector of a start, for which concurrent sessions are decided too; 0 is a start at any
    connector, and None is Authorize (4.8). `presented_at` is when a card was held to the charge point, which learns
    it then if somebody asked for that.
    """
    rows = await connection.fetch(OF_ONE, charge_point_id, id_tag, starting_on, now)
    is_unknown = bool(rows) and rows[0]["tag"] is None
    if is_unknown and presented_at is not None and await learn(connection, charge_point_id, id_tag, presented_at):
        rows = await connection.fetch(OF_ONE, charge_point_id, id_tag, starting_on, now)
    return decide(_facts(rows, charge_point_id, starting_on), now)


@dataclass(frozen=True, slots=True)
class Question:
    """What `authorize` is asked."""

    charge_point_id: UUID
    id_tag: str
    at: datetime
    starting_on: int | None = None
    presented_at: datetime | None = None


async def authorize_many(connection: asyncpg.Connection, questions: Sequence[Question]) -> list[Decision]:
    """The same for several at once, where nothing is started, so that none changes what another is told."""
    found = await _read_many(connection, questions)
    return [await _decide_one(connection, question, rows) for question, rows in zip(questions, found, strict=True)]


async def authorize_starts(connection: asyncpg.Connection, questions: Sequence[Question]) -> list[Decision | None]:
    """The same for starts at different charge points, which follow one another.

    None for one that another before it could change: it is to be asked for itself, after them.
    """
    decisions: list[Decision | None] = []
    starting: set[object] = set()
    for question, rows in zip(questions, await _read_many(connection, questions), strict=True):
        concerned = _concerned(rows)
        decisions.append(None if concerned & starting else await _decide_one(connection, question, rows))
        starting |= concerned
    return decisions


async def _read_many(connection: asyncpg.Connection, questions: Sequence[Question]) -> list[list[Mapping[str, Any]]]:
    found: list[list[Mapping[str, Any]]] = [[] for _ in questions]
    if questions:
        asked = ((each.charge_point_id, each.id_tag, each.starting_on, each.at) for each in questions)
        for row in await connection.fetch(OF_MANY, *map(list, zip(*asked, strict=True))):
            found[row["number"] - 1].append(row)
    return found


def _concerned(rows: Sequence[Mapping[str, Any]]) -> set[object]:
    """What a start uses up: its tag, which may charge in so many places at once, and what is limited of its grants."""
    limits = ("max_energy_wh", "max_amount_minor", "max_sessions")
    is_limited = any(row[limit] is not None for row in rows for limit in limits)
    return {row["tag"] for row in rows} | ({row["holder_id"] for row in rows} if is_limited else set())


async def _decide_one(
    connection: asyncpg.Connection, question: Question, rows: Sequence[Mapping[str, Any]]
) -> Decision:
    """By the rows that were found; a card that nobody knows may be one to learn."""
    is_unknown = bool(rows) and rows[0]["tag"] is None
    if is_unknown and question.presented_at is not None:
        return await ask(connection, question)
    return decide(_facts(rows, question.charge_point_id, question.starting_on), question.at)


async def ask(connection: asyncpg.Connection, question: Question) -> Decision:
    """`authorize` by itself."""
    place, at, presented_at = question.charge_point_id, question.at, question.presented_at
    return await authorize(
        connection, place, question.id_tag, at, starting_on=question.starting_on, presented_at=presented_at
    )


async def authorize_throughout(
    connection: asyncpg.Connection,
    charge_point_id: UUID,
    id_tag: str,
    connector_id: int,
    *,
    starts_at: datetime,
    ends_at: datetime,
) -> Decision:
    """Whether the holder of `id_tag` may charge at this connector from `starts_at` until `ends_at`."""
    rows = await connection.fetch(OF_ONE, charge_point_id, id_tag, connector_id, starts_at)
    return decide_throughout(_facts(rows, charge_point_id, connector_id), starts_at, ends_at)


async def authorize_all(
    connection: asyncpg.Connection, charge_point_id: UUID, now: datetime
) -> list[tuple[str, Decision]]:
    """Every tag of the owner and of those with whom the charge point is shared, in order, and what is decided of it.

    Bookings, which come and go, are left out.
    """
    by_tag: dict[str, list[Mapping[str, Any]]] = {}
    for row in await connection.fetch(OF_ALL, charge_point_id, None, None, now):
        if row["tag"] is not None:
            by_tag.setdefault(row["tag"], []).append(row)
    facts = {tag: replace(_facts(rows, charge_point_id, None), reserved_until=None) for tag, rows in by_tag.items()}
    return [(tag, decide(facts[tag], now)) for tag in sorted(facts)]


def _facts(rows: Sequence[Mapping[str, Any]], charge_point_id: UUID, starting_on: int | None) -> Facts:
    """From the rows of one tag: one a grant, or one without any."""
    if not rows or rows[0]["tag"] is None:
        return Facts(None, Place(charge_point_id, charge_point_id))
    first = rows[0]
    tag = IdTag(
        first["tag"],
        first["holder_id"],
        first["parent_tag"],
        first["blocked"],
        first["expires_at"],
        frozenset(first["group_ids"]),
    )
    place = Place(
        first["place_id"],
        first["owner_id"],
        first["time_zone"],
        first["stands_at"],
        starting_on or None,
        first["visibility"],
    )
    given = [row for row in rows if row["id"] is not None]
    return Facts(
        tag,
        place,
        [_grant(row) for row in given],
        {row["id"]: _usage(row) for row in given},
        is_start=starting_on is not None,
        charging_elsewhere=first["charging_elsewhere"],
        reserved_until=first["reserved_until"],
    )


def _usage(row: Mapping[str, Any]) -> Usage:
    names = ("used_energy_wh", "used_amount_minor", "used_sessions", "running_energy_wh")
    return Usage(*(row[name] for name in names))


def _grant(row: Mapping[str, Any]) -> Grant:
    return Grant(
        id=row["id"],
        valid_from=row["valid_from"],
        user_id=row["user_id"],
        group_id=row["group_id"],
        charge_point_id=row["charge_point_id"],
        connector_id=row["connector_id"],
        location_id=row["location_id"],
        valid_until=row["valid_until"],
        revoked_at=row["revoked_at"],
        windows=_read_windows(row["windows"]),
        caps=Caps(row["max_energy_wh"], row["max_amount_minor"], row["currency"], row["max_sessions"]),
        priority=row["priority"],
    )


@lru_cache(maxsize=4096)
def _read_windows(text: str) -> tuple[Window, ...]:
    return tuple(Window.from_json(fields) for fields in orjson.loads(text))
