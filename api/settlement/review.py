"""Held sessions for those who decide about them: why each waits, in words, and what usually helps. Nothing is decided.

A reason without words here gets none, and no suggestion: a person must look.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import Row, func, literal_column, select

from api.accounting import plausibility
from api.documents.languages import Words, marked
from api.identity.caller import Caller
from api.paging import Listing, PageRequest
from api.prepared import Connection, slot
from api.schema import charge_points, transactions
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

LISTED: Final = (
    *("id", "public_id", "charge_point_id", "connector_id", "status", "started_at", "stopped_at", "meter_start_wh"),
    *("meter_stop_wh", "energy_wh", "currency", "total_minor", "held_reasons"),
)


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


async def list_held(
    connection: Connection, caller: Caller, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """The held sessions about which the caller decides, by their start, newest first."""
    return await _listing(caller.is_operator).page(connection, paging, {"user_id": caller.user_id})


@cache
def _listing(operator: bool) -> Listing:
    table = transactions
    query = (
        select(*(table.c[name] for name in LISTED), charge_points.c.name.label("charge_point_name"))
        .join(charge_points, charge_points.c.id == table.c.charge_point_id)
        .where(func.cardinality(table.c.held_reasons) > literal_column("0"))
    )
    if not operator:
        query = query.where(table.c.owner_id == slot("user_id", UUID))
    return Listing(lambda _: query, [table.c.started_at, table.c.id])
