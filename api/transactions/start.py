"""StartTransaction (OCPP 1.6 4.8): a failed check never blocks it; it is stored, flagged and answered.

One charge point's Starts and Stops are done one at a time (an advisory lock); unique constraints back that up.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from api.accounting.plausibility import IMPLAUSIBLE_TIME, is_plausible_time
from api.charge_points import reservations
from api.charge_points.answers import Answer, encode_payload, received_at
from api.charge_points.live import connector_fields
from api.sharing import booking_keeping
from api.sharing.authorization import Question, ask, authorize, authorize_starts
from api.sharing.decision import Decision
from api.sharing.ocpp import id_tag_info
from api.tariffs.in_force import RULE, VERSION_COLUMNS, Version, find_version
from api.transactions.held import NEVER_STOPPED, POSSIBLE_REPLAY, SECOND_START, UNPROCESSED, with_reasons
from api.transactions.limits import limits_at_start
from api.transactions.replays import ACTIVE, Known, NewStart, find_replayed
from api.transactions.requests import StartRequest, read_start, salvage_start
from api.transactions.tolerance import repeated_start, tolerates_repeated_start, tolerates_reset_clock
from api.transactions.transaction_id import ocpp_transaction_id
from wire.messages import ChargePointCall

REMOTE_START_WINDOW: Final = timedelta(minutes=15)
"""Longest time from a RemoteStartTransaction to the Start that it caused: the person still has to plug in."""
CLOCK_DIFFERENCE: Final = timedelta(minutes=10)
"""A charge point's clock may be this far behind: a first tariff made so shortly after a start was in force at it."""

LOCK: Final = "select pg_advisory_xact_lock(hashtextextended($1, 0))"
TRY_LOCK: Final = """
select id from unnest($1::text[]) as id where pg_try_advisory_xact_lock(hashtextextended(id, 0))
"""
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
ABANDON: Final = """
update transactions t set status = 'abandoned', held_reasons = $2, energy_wh = (
    select v.energy_wh - t.meter_start_wh from meter_values v
    where v.transaction_id = t.id and v.energy_wh >= t.meter_start_wh order by v.sampled_at desc limit 1)
where t.id = $1
"""
HOLD: Final = "update transactions set held_reasons = $2 where id = $1"
LINK: Final = """
update commands set transaction_id = $1, note = case when gave_up_at is null then note end, gave_up_at = null
where id = $2
"""
PRICE: Final = RULE.format(
    charge_point_id="$1::uuid",
    grant_id="$6::uuid",
    at="coalesce(m.created_at, $7::timestamptz)",
    late="case when m.id is null then $8::interval else interval '0' end",
)
NUMBER_COMMAND_AND_PRICE: Final = f"""
select nextval(pg_get_serial_sequence('transactions', 'id')) as number, i.transaction_id_key as key,
    m.id as command_id, m.tariff_version_id as shown, m.currency as credit_currency, m.credit_minor,
    v.id, v.tariff_id, v.currency, v.elements::text as elements, v.terms::text as terms
from installation i left join lateral (
    select c.id, c.created_at, c.tariff_version_id, h.currency, h.spendable_minor - coalesce((
        select sum(x.total_minor) from transactions x
        where x.driver_id = h.user_id and x.owner_id <> x.driver_id and x.currency = h.currency
            and x.stop_received_at > h.placed_at and x.stop_received_at <= $4), 0)::bigint as credit_minor
    from commands c left join holds h on h.command_id = c.id
    where c.charge_point_id = $1 and c.action = 'RemoteStartTransaction' and c.transaction_id is null
        and c.status in ('queued', 'sent', 'accepted', 'unknown')
        and upper(c.payload ->> 'idTag') = $2 and coalesce((c.payload ->> 'connectorId')::integer, $3) = $3
        and c.created_at between $4::timestamptz - $5::interval and $4::timestamptz
    order by c.created_at desc limit 1
) m on true left join lateral ({PRICE}) v on m.tariff_version_id is null
"""  # noqa: S608 - our own statements
"""The next transaction's number, and the RemoteStartTransaction that caused the Start, where there is one (5.11), with
what the driver had to charge with then, less what sessions came to that have ended since. The price is the one in force
when the app started it, else at the start; none where the app showed one."""
INSERT: Final = f"""
with started as (
    insert into transactions (id, charge_point_id, connector_id, ocpp_transaction_id, id_tag, id_tag_status, driver_id,
        started_at, start_received_at, start_boot_count, meter_start_wh, occurrence, reservation_id, status,
        held_reasons, tariff_version_id, tariff, currency, grant_id, limit_energy_wh, limit_amount_minor,
        limit_credit_minor)
    overriding system value values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
        $19, $20, $21, $22)
    on conflict on constraint uq_transactions_start do nothing
    returning *
), used as ({booking_keeping.used_by("started", now="$9", late="$23")})
select ocpp_transaction_id, public_id, id_tag_status, status, held_reasons from started
"""  # noqa: S608 - our own statements
"""Stores the transaction; a booking of its driver's is used by it."""
ANSWERED: Final = """
select ocpp_transaction_id, public_id, id_tag_status, status, held_reasons from transactions where id = $1
"""


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A Start as it came in, how often its charge point had booted by then, its quirks, and what it may concern."""

    charge_point_id: UUID
    request: StartRequest
    at: datetime
    boot_count: int
    quirks: list[str]
    others: list[Mapping[str, Any]]
    """Transactions that are open on the connector, or identical; the oldest first."""

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


@dataclass(frozen=True, slots=True)
class _Place:
    """What a new transaction finds on its connector: its own status, and why it is held."""

    status: str
    held_reasons: list[str]


async def lock_charge_point(connection: asyncpg.Connection, charge_point_id: str) -> None:
    """Waits until no other Start or Stop of this charge point is in a transaction."""
    await connection.execute(LOCK, charge_point_id)


async def try_lock_charge_points(connection: asyncpg.Connection, charge_point_ids: Iterable[str]) -> set[str]:
    """The same for many without waiting: those of which no other Start or Stop is in a transaction."""
    return {row["id"] for row in await connection.fetch(TRY_LOCK, list(charge_point_ids))}


async def start(connection: asyncpg.Connection, call: ChargePointCall, now: datetime) -> Answer:
    """Stores the transaction, or finds the one of which this is a replay, and answers with its id.

    The caller holds the charge point's lock.
    """
    return (await starts(connection, [call], now))[0]


async def starts(connection: asyncpg.Connection, calls: Sequence[ChargePointCall], now: datetime) -> list[Answer]:
    """The same for calls of different charge points, one after the other: what each finds is read together."""
    arrivals = await _arrive(connection, [(call, read_start(call.payload)) for call in calls])
    decisions = await authorize_starts(connection, [arrival.question for arrival in arrivals])
    return [
        await _start(connection, call, arrival, decision, [])
        for call, arrival, decision in zip(calls, arrivals, decisions, strict=True)
    ]


async def start_salvaged(connection: asyncpg.Connection, call: ChargePointCall) -> Answer:
    """Gives a Start that cannot be processed its transaction all the same, held for a person."""
    [arrival] = await _arrive(connection, [(call, salvage_start(call.payload))])
    return await _start(connection, call, arrival, None, [UNPROCESSED])


async def _start(
    connection: asyncpg.Connection,
    call: ChargePointCall,
    arrival: _Arrival,
    decision: Decision | None,
    reasons: Sequence[str],
) -> Answer:
    request = arrival.request
    decision = await _decide(connection, arrival, decision)
    found = _find(arrival)
    if isinstance(found, NewStart):
        repeated = repeated_start(arrival.open, request, arrival.at)
        if repeated is not None and await tolerates_repeated_start(
            connection, call.charge_point_id, arrival.quirks, arrival.at
        ):
            return _answer(request, await connection.fetchrow(ANSWERED, repeated), decision)
        row = await _insert(connection, arrival, found, decision, reasons)
        if row is not None:
            return _answer(request, row, decision)
        [arrival] = await _arrive(connection, [(call, request)])
        found = _find(arrival)
    if isinstance(found, NewStart):
        raise RuntimeError("the unique constraint saw a Start that the query does not")
    return _answer(request, await connection.fetchrow(ANSWERED, found.id), decision)


async def _decide(connection: asyncpg.Connection, arrival: _Arrival, decision: Decision | None) -> Decision:
    """Whether charging may start as the Start arrives; one that waited in a queue may have begun in time.

    `decision` is the one as it arrives, where it was asked for already.
    """
    request, place = arrival.request, arrival.charge_point_id
    if decision is None:
        decision = await ask(connection, arrival.question)
    if decision.accepted or not arrival.was_queued:
        return decision
    then = await authorize(connection, place, request.tag, request.started_at, starting_on=request.connector_id)
    return then if then.accepted else decision


async def _arrive(
    connection: asyncpg.Connection, asked: Sequence[tuple[ChargePointCall, StartRequest]]
) -> list[_Arrival]:
    keys = [
        (call.charge_point_id, request.connector_id, request.tag, request.meter_start, request.started_at)
        for call, request in asked
    ]
    found: list[list[Mapping[str, Any]]] = [[] for _ in asked]
    for row in await connection.fetch(SITUATIONS, *map(list, zip(*keys, strict=True))):
        found[row["number"] - 1].append(row)
    return [_arrival(call, request, rows) for (call, request), rows in zip(asked, found, strict=True)]


def _arrival(call: ChargePointCall, request: StartRequest, rows: Sequence[Mapping[str, Any]]) -> _Arrival:
    others = [row for row in rows if row["id"] is not None]
    at, boot_count, quirks = received_at(call), rows[0]["boot_count"], rows[0]["quirks"]
    return _Arrival(UUID(call.charge_point_id), request, at, boot_count, quirks, others)


def _find(arrival: _Arrival) -> Known | NewStart:
    request = arrival.request
    known = [
        Known(**{name: other[name] for name in KNOWN})
        for other in arrival.others
        if (other["id_tag"], other["meter_start_wh"]) == (request.tag, request.meter_start)
    ]
    return find_replayed(known, request.started_at, is_plausible=arrival.is_plausible, boot_count=arrival.boot_count)


async def _insert(
    connection: asyncpg.Connection, arrival: _Arrival, new: NewStart, decision: Decision, reasons: Sequence[str]
) -> Mapping[str, Any] | None:
    request = arrival.request
    place = await _take_place(connection, arrival)
    flags = [POSSIBLE_REPLAY] if new.occurrence else []
    at = request.started_at if arrival.is_plausible else arrival.at
    found = await connection.fetchrow(
        NUMBER_COMMAND_AND_PRICE,
        *(arrival.charge_point_id, request.tag, request.connector_id, arrival.at, REMOTE_START_WINDOW),
        *(decision.grant_id, at, CLOCK_DIFFERENCE),
    )
    number, key, command_id = found["number"], found["key"], found["command_id"]
    version = await _price(connection, found)
    row = await connection.fetchrow(
        INSERT,
        *(number, arrival.charge_point_id, request.connector_id, ocpp_transaction_id(key, number), request.tag),
        *(decision.status, decision.driver_id, request.started_at, arrival.at, arrival.boot_count),
        *(request.meter_start, new.occurrence, request.reservation_id, place.status),
        with_reasons(reasons, [*flags, *place.held_reasons]),
        *((version.id, version.document, version.currency) if version else (None, None, None)),
        decision.grant_id,
        *_limits(decision, version, found),
        booking_keeping.LATE,
    )
    if row is not None and command_id is not None:
        await connection.execute(LINK, number, command_id)
    if row is not None:
        await reservations.used(connection, arrival.charge_point_id, request.reservation_id, number, arrival.at)
    return row  # type: ignore[no-any-return]


async def _take_place(connection: asyncpg.Connection, arrival: _Arrival) -> _Place:
    """Of two transactions open on one connector, the one that began earlier was never stopped; both are held."""
    started_at = arrival.request.started_at
    reasons = [IMPLAUSIBLE_TIME] if await _is_held_for_time(connection, arrival) else []
    status = "active"
    for other in arrival.open:
        latest = max(arrival.at, other["start_received_at"])
        began_later = arrival.is_plausible and started_at < other["started_at"] <= latest
        theirs, ours = (SECOND_START, NEVER_STOPPED) if began_later else (NEVER_STOPPED, SECOND_START)
        held = with_reasons(other["held_reasons"], [theirs])
        await connection.execute(HOLD if began_later else ABANDON, other["id"], held)
        reasons.append(ours)
        status = "abandoned" if began_later else status
    return _Place(status, reasons)


async def _is_held_for_time(connection: asyncpg.Connection, arrival: _Arrival) -> bool:
    if arrival.is_plausible:
        return False
    charge_point_id, started_at = str(arrival.charge_point_id), arrival.request.started_at
    return not await tolerates_reset_clock(connection, charge_point_id, arrival.quirks, started_at, arrival.at)


async def _price(connection: asyncpg.Connection, found: Mapping[str, Any]) -> Version | None:
    """The price that was shown to who started by the app; else the one that is in force; None: it has no price."""
    if found["shown"] is not None:
        return await find_version(connection, found["shown"])
    return None if found["id"] is None else Version.from_row({name: found[name] for name in VERSION_COLUMNS})


def _limits(
    decision: Decision, version: Version | None, command: Mapping[str, Any]
) -> tuple[int | None, int | None, int | None]:
    """What the session may reach, as columns."""
    currency = version.currency if version else None
    credit_minor = command["credit_minor"] if command["credit_currency"] == currency else None
    limits = limits_at_start(decision, currency, credit_minor)
    return limits.energy_wh, limits.amount_minor, limits.credit_minor


def _answer(request: StartRequest, row: Mapping[str, Any], decision: Decision) -> Answer:
    payload = {
        "idTagInfo": id_tag_info(decision, row["id_tag_status"]),
        "transactionId": row["ocpp_transaction_id"],
    }
    live = connector_fields(request.connector_id, transaction_id=str(row["public_id"]))
    about = {
        "transaction_id": str(row["public_id"]),
        "connector_id": request.connector_id,
        "id_tag_status": row["id_tag_status"],
        "held_reasons": row["held_reasons"],
    }
    return Answer(encode_payload(payload), live=live if row["status"] == "active" else {}, about=about)
