"""Quirks of sessions: second Starts, Stops that name no transaction, reset clocks, registers that start again at 0.

Only what departs from OCPP 1.6 is looked at here. Where the quirk is not set, it is counted as a suggestion.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import asyncpg
import msgspec

from api.accounting.plausibility import EARLIEST
from api.charge_points.sightings import note_departures
from api.charge_points.timestamps import format_timestamp
from api.transactions.requests import StartRequest, StopRequest
from wire.quirks import REPEATED_STARTS, RESET_CLOCK, RESTARTING_REGISTER, STOP_WITHOUT_START

REPEAT_WINDOW: Final = timedelta(minutes=10)
"""Two Starts of one session follow each other; a Start an hour later is another session whose Stop got lost."""

FITTING: Final = """
select t.ocpp_transaction_id from transactions t
where t.charge_point_id = $1 and t.status = 'active' and ($2::text is null or t.id_tag = $2)
limit 2
"""
QUIRKS_OF: Final = "select quirks from charge_points where id = $1"


async def _is_set(
    connection: asyncpg.Connection, charge_point_id: str, quirks: Collection[str], quirk: str, at: datetime
) -> bool:
    """Whether the departure that was just seen is tolerated; where not, it is counted."""
    if quirk in quirks:
        return True
    await note_departures(connection, charge_point_id, [quirk], at)
    return False


def repeated_start(open_ones: Sequence[Mapping[str, Any]], request: StartRequest, at: datetime) -> int | None:
    """The open transaction, of those on its connector, that a Start, which is no plain replay, may begin once more."""
    found = [
        other["id"]
        for other in open_ones
        if other["id_tag"] == request.tag
        and abs(other["start_received_at"] - at) <= REPEAT_WINDOW
        and abs(other["started_at"] - request.started_at) <= REPEAT_WINDOW
    ]
    return max(found, default=None)


async def tolerates_repeated_start(
    connection: asyncpg.Connection, charge_point_id: str, quirks: Collection[str], at: datetime
) -> bool:
    """Whether such a Start gets the answer of the first."""
    return await _is_set(connection, charge_point_id, quirks, REPEATED_STARTS, at)


def is_reset(at: datetime) -> bool:
    """Whether a charge point's clock shows a time from before it was made."""
    return at < EARLIEST


async def tolerates_reset_clock(
    connection: asyncpg.Connection, charge_point_id: str, quirks: Collection[str], started_at: datetime, at: datetime
) -> bool:
    """Whether a Start with an implausible time need not be held for it."""
    return is_reset(started_at) and await _is_set(connection, charge_point_id, quirks, RESET_CLOCK, at)


async def transaction_without_start(
    connection: asyncpg.Connection, charge_point_id: str, request: StopRequest, at: datetime
) -> int | None:
    """The OCPP id of the one open transaction that a Stop with an unknown id can mean."""
    tag = request.id_tag.upper() if request.id_tag is not None else None
    rows = await connection.fetch(FITTING, charge_point_id, tag)
    quirks = await connection.fetchval(QUIRKS_OF, charge_point_id)
    if len(rows) != 1 or not await _is_set(connection, charge_point_id, quirks, STOP_WITHOUT_START, at):
        return None
    return rows[0]["ocpp_transaction_id"]  # type: ignore[no-any-return]


async def as_tolerated(
    connection: asyncpg.Connection,
    charge_point_id: str,
    transaction: Mapping[str, Any],
    request: StopRequest,
    arrived: datetime,
    *,
    sampled_wh: Sequence[int],
) -> tuple[Mapping[str, Any], StopRequest]:
    """The session as it is to be judged and billed: times and registers put right where a quirk is set for it.

    `sampled_wh` are its energy registers in between, in order of time.
    """
    session, quirks = dict(transaction), transaction["quirks"]
    has_reset = is_reset(session["started_at"]) or is_reset(request.stopped_at)
    if has_reset and await _is_set(connection, charge_point_id, quirks, RESET_CLOCK, arrived):
        session, request = _with_times_of_arrival(session, request, arrived)
    registers = [session["meter_start_wh"], *sampled_wh, request.meter_stop]
    has_restarted = any(_is_restart(*pair) for pair in pairwise(registers))
    if has_restarted and await _is_set(connection, charge_point_id, quirks, RESTARTING_REGISTER, arrived):
        request = msgspec.structs.replace(request, meter_stop=registers[0] + added_up(registers))
    return session, request


def _with_times_of_arrival(
    session: dict[str, Any], request: StopRequest, arrived: datetime
) -> tuple[dict[str, Any], StopRequest]:
    if is_reset(session["started_at"]):
        session = {**session, "started_at": session["start_received_at"]}
    if is_reset(request.stopped_at):
        request = msgspec.structs.replace(request, timestamp=format_timestamp(arrived))
    return session, request


def _is_restart(before: int, after: int) -> bool:
    """A register that starts again at 0 falls far; a small step back is jitter, and no energy."""
    return 2 * after < before


def added_up(registers: Sequence[int]) -> int:
    """Energy over readings of a register in order of time, in Wh: after a restart it counts from 0."""
    steps = (after if _is_restart(before, after) else after - before for before, after in pairwise(registers))
    return max(sum(steps), 0)
