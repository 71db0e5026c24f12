"""Held sessions for those who decide about them: why each waits, in words, and what usually helps. Nothing is decided.

A reason without words here gets none, and no suggestion: a person must look.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Literal

import asyncpg

from api.accounting import plausibility
from api.documents.languages import Words, marked
from api.identity.caller import Caller
from api.paging import LARGEST_BIGINT, ROWS, PageRequest, cut, decode_cursor, large_enough
from api.transactions import held

Suggestion = Literal["replay", "waive", "correct", "bill"]
MOST_URGENT: Final[tuple[Suggestion, ...]] = ("replay", "waive", "correct", "bill")
"""Of several reasons the first of these counts: nothing is waived before its messages are read, nor billed wrong."""
REASONS: Final[dict[str, tuple[str, Suggestion]]] = {
    plausibility.REGISTER_BACKWARDS: (
        marked("The register at the end is lower than at the start."), "correct"),
    plausibility.STOP_BEFORE_START: (
        marked("It ended before it started, by the clock of the wallbox."), "correct"),
    plausibility.ENERGY_ABOVE_RATED_POWER: (
        marked("More energy flowed than the rated power of the wallbox allows."), "bill"),
    plausibility.IMPLAUSIBLE_TIME: (
        marked("The wallbox gave a time that cannot be right."), "correct"),
    held.NEVER_STOPPED: (
        marked("It never ended: another session started on its connector."), "correct"),
    held.SECOND_START: (
        marked("It started while another session was open on its connector."), "bill"),
    held.POSSIBLE_REPLAY: (
        marked("It looks like an earlier session that a wallbox with a reset clock sent again."), "waive"),
    held.DIFFERING_STOP: (
        marked("The wallbox ended it twice, with different figures."), "correct"),
    held.UNPROCESSED: (
        marked("A message of it could not be processed and was set aside."), "correct"),
    held.REFUSED: (
        marked("A message of it had to be refused; once a quirk is set it can be replayed."), "replay"),
    held.ID_TAG_NOT_ACCEPTED: (
        marked("Energy flowed for a card that was refused: there is nobody to bill."), "waive"),
    held.TARIFF_UNREADABLE: (
        marked("Its tariff cannot be rated by this version."), "waive"),
    held.NOT_BILLABLE: (
        marked("There is nobody to bill, or its record does not add up."), "waive"),
}  # fmt: skip


def explain(reason: str, words: Words) -> str:
    """Why a session waits; the reason itself where it has no words."""
    text = REASONS[reason][0] if reason in REASONS else reason
    return words.say(text)


def suggest(reasons: Sequence[str]) -> Suggestion | None:
    """What usually helps; None where a reason is not known."""
    if not all(reason in REASONS for reason in reasons):
        return None
    suggested = {REASONS[reason][1] for reason in reasons}
    return next((each for each in MOST_URGENT if each in suggested), None)


def _list(condition: str, order: str, rows: int) -> str:
    return f"""
select t.public_id as transaction_id, t.charge_point_id, c.name as charge_point_name, t.connector_id, t.status,
    t.started_at, t.stopped_at, t.meter_start_wh, t.meter_stop_wh, t.energy_wh, t.currency, t.total_minor,
    t.held_reasons, t.id
from transactions t join charge_points c on c.id = t.charge_point_id
where cardinality(t.held_reasons) > 0 and {condition} order by {order} limit {rows}
"""  # noqa: S608 - our own words


OF_ALL: Final = {
    rows: _list("(t.started_at, t.id) < ($1::timestamptz, $2::bigint)", "t.started_at desc, t.id desc", rows)
    for rows in ROWS
}
OF_OWNER: Final = {
    rows: _list(
        "(t.owner_id, t.started_at, t.id) < ($3::uuid, $1::timestamptz, $2::bigint) and t.owner_id >= $3",
        "t.owner_id desc, t.started_at desc, t.id desc",
        rows,
    )
    for rows in ROWS
}
"""Owners are compared as in the lists of `entries`, so that no other index will do."""
END: Final = (datetime.max.replace(tzinfo=UTC), LARGEST_BIGINT)


async def list_held(
    connection: asyncpg.Connection, caller: Caller, paging: PageRequest
) -> tuple[Sequence[asyncpg.Record], str | None]:
    """The held sessions about which the caller decides, by their start, newest first.

    Raises:
        Invalid: the cursor is not one of this list.
    """
    after = END if paging.cursor is None else decode_cursor(paging.cursor, [datetime, int])
    if caller.is_operator:
        rows = await connection.fetch(large_enough(OF_ALL, paging), *after)
    else:
        rows = await connection.fetch(large_enough(OF_OWNER, paging), *after, caller.user_id)
    return cut(rows, paging, lambda row: [row["started_at"], row["id"]])
