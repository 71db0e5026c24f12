"""StartTransaction (OCPP 1.6 4.8): a failed check never blocks it; it is stored, flagged and answered.

One charge point's Starts and Stops are done one at a time (an advisory lock); unique constraints back that up.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from api.accounting.plausibility import IMPLAUSIBLE_TIME
from api.charge_points.answers import Answer, encode_payload
from api.charge_points.live import connector_fields
from api.sharing.authorization import ask, authorize, authorize_starts
from api.sharing.decision import Decision
from api.sharing.ocpp import id_tag_info
from api.transactions.arrivals import Arrival, arrive
from api.transactions.beginning import Beginning, begin
from api.transactions.held import NEVER_STOPPED, POSSIBLE_REPLAY, SECOND_START, UNPROCESSED, with_reasons
from api.transactions.replays import ACTIVE, NewStart
from api.transactions.requests import StartRequest, read_start, salvage_start
from api.transactions.tolerance import repeated_start, tolerates_repeated_start, tolerates_reset_clock
from wire.messages import ChargePointCall

LOCK: Final = "select pg_advisory_xact_lock(hashtextextended($1, 0))"
TRY_LOCK: Final = """
select id from unnest($1::text[]) as id where pg_try_advisory_xact_lock(hashtextextended(id, 0))
"""
ABANDON: Final = """
update transactions t set status = 'abandoned', held_reasons = $2, energy_wh = (
    select v.energy_wh - t.meter_start_wh from meter_values v
    where v.transaction_id = t.id and v.energy_wh >= t.meter_start_wh order by v.sampled_at desc limit 1)
where t.id = $1
"""
HOLD: Final = "update transactions set held_reasons = $2 where id = $1"
ANSWERED: Final = """
select ocpp_transaction_id, public_id, id_tag_status, status, held_reasons from transactions where id = $1
"""


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
    """The same for calls of different charge points, in a few statements for all.

    One whose decision another could change that goes before it is decided and begun after that one.
    """
    arrivals = await arrive(connection, [(call, read_start(call.payload)) for call in calls])
    decisions = await authorize_starts(connection, [arrival.question for arrival in arrivals])
    asked = list(zip(arrivals, decisions, strict=True))
    answers = await _start(connection, [(arrival, decision) for arrival, decision in asked if decision is not None])
    for arrival, decision in asked:
        if decision is None:
            answers |= await _start(connection, [(arrival, None)])
    return [answers[arrival.charge_point_id] for arrival in arrivals]


async def start_salvaged(connection: asyncpg.Connection, call: ChargePointCall) -> Answer:
    """Gives a Start that cannot be processed its transaction all the same, held for a person."""
    [arrival] = await arrive(connection, [(call, salvage_start(call.payload))])
    answers = await _start(connection, [(arrival, None)], [UNPROCESSED])
    return answers[arrival.charge_point_id]


async def _start(
    connection: asyncpg.Connection, asked: Iterable[tuple[Arrival, Decision | None]], reasons: Sequence[str] = ()
) -> dict[UUID, Answer]:
    """The answers by charge point; `reasons` is why what begins here is held."""
    answers: dict[UUID, Answer] = {}
    beginning: list[Beginning] = []
    for arrival, decided in asked:
        decision = await _decide(connection, arrival, decided)
        found = await _find(connection, arrival)
        if isinstance(found, NewStart):
            beginning.append(await _take_place(connection, arrival, decision, found, reasons))
        else:
            known = await connection.fetchrow(ANSWERED, found)
            answers[arrival.charge_point_id] = _answer(arrival.request, known, decision)
    begun = await begin(connection, beginning)
    for new in beginning:
        place = new.arrival.charge_point_id
        row = begun.get(place) or await _seen_meanwhile(connection, new.arrival)
        answers[place] = _answer(new.arrival.request, row, new.decision)
    return answers


async def _find(connection: asyncpg.Connection, arrival: Arrival) -> int | NewStart:
    """The transaction that this Start has begun already, as a replay or by a quirk; else the one that it begins."""
    found = arrival.replayed
    if not isinstance(found, NewStart):
        return found.id
    repeated = repeated_start(arrival.open, arrival.request, arrival.at)
    where = (connection, arrival.call.charge_point_id, arrival.quirks, arrival.at)
    return repeated if repeated is not None and await tolerates_repeated_start(*where) else found


async def _seen_meanwhile(connection: asyncpg.Connection, arrival: Arrival) -> Mapping[str, Any]:
    """The transaction on account of which the unique constraint let none be made."""
    [again] = await arrive(connection, [(arrival.call, arrival.request)])
    found = again.replayed
    if isinstance(found, NewStart):
        raise RuntimeError("the unique constraint saw a Start that the query does not")
    return await connection.fetchrow(ANSWERED, found.id)  # type: ignore[no-any-return]


async def _decide(connection: asyncpg.Connection, arrival: Arrival, decision: Decision | None) -> Decision:
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


async def _take_place(
    connection: asyncpg.Connection, arrival: Arrival, decision: Decision, new: NewStart, reasons: Sequence[str]
) -> Beginning:
    """Of two transactions open on one connector, the one that began earlier was never stopped; both are held."""
    started_at, status = arrival.request.started_at, ACTIVE
    held = [*reasons, *([POSSIBLE_REPLAY] if new.occurrence else [])]
    held += [IMPLAUSIBLE_TIME] if await _is_held_for_time(connection, arrival) else []
    for other in arrival.open:
        latest = max(arrival.at, other["start_received_at"])
        began_later = arrival.is_plausible and started_at < other["started_at"] <= latest
        theirs, ours = (SECOND_START, NEVER_STOPPED) if began_later else (NEVER_STOPPED, SECOND_START)
        await connection.execute(
            HOLD if began_later else ABANDON, other["id"], with_reasons(other["held_reasons"], [theirs])
        )
        held.append(ours)
        status = "abandoned" if began_later else status
    return Beginning(arrival, decision, new.occurrence, status, with_reasons(held, []))


async def _is_held_for_time(connection: asyncpg.Connection, arrival: Arrival) -> bool:
    if arrival.is_plausible:
        return False
    started_at, place = arrival.request.started_at, arrival.call.charge_point_id
    return not await tolerates_reset_clock(connection, place, arrival.quirks, started_at, arrival.at)


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
