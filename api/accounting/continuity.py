"""The continuity audit: a wallbox's register goes on where the last session left it (DESIGN 4). Pure.

It finds; it decides nothing. Sessions are of any wallboxes and in any order.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final, Literal

UNBILLED: Final = "unbilled"
BACKWARDS: Final = "backwards"
OVERLAP: Final = "overlap"
NOT_STOPPED: Final = "not_stopped"
Kind = Literal["unbilled", "backwards", "overlap", "not_stopped"]


@dataclass(frozen=True, slots=True)
class MeteredSession:
    """The registers of a session; the two of its end are None while it runs or where its stop never came."""

    transaction_id: str
    charge_point_id: str
    connector_id: int
    started_at: datetime
    meter_start_wh: int
    stopped_at: datetime | None
    meter_stop_wh: int | None


@dataclass(frozen=True, slots=True)
class Gap:
    """What does not fit between two sessions that follow each other at a connector.

    `unbilled`: `energy_wh` flowed between them; `backwards`: the register lost so much (a reset, a new meter, or a
    stop that was too high); `overlap`: the next began before this one ended; `not_stopped`: it never ended, and
    `energy_wh` is what flowed until the next.
    """

    kind: Kind
    charge_point_id: str
    connector_id: int
    transaction_id: str
    next_transaction_id: str
    energy_wh: int


def audit_continuity(sessions: Iterable[MeteredSession]) -> list[Gap]:
    """The gaps of all connectors, in order of wallbox, connector and time."""
    gaps: list[Gap] = []
    for session, following in pairwise(sorted(sessions, key=_order)):
        if (session.charge_point_id, session.connector_id) == (following.charge_point_id, following.connector_id):
            gaps += [
                Gap(kind, *_place(session), session.transaction_id, following.transaction_id, energy_wh)
                for kind, energy_wh in _between(session, following)
            ]
    return gaps


def _order(session: MeteredSession) -> tuple[str, int, datetime, int, str]:
    return (*_place(session), session.started_at, session.meter_start_wh, session.transaction_id)


def _place(session: MeteredSession) -> tuple[str, int]:
    return (session.charge_point_id, session.connector_id)


def _between(session: MeteredSession, following: MeteredSession) -> Iterator[tuple[Kind, int]]:
    if session.stopped_at is None or session.meter_stop_wh is None:
        flowed_wh = following.meter_start_wh - session.meter_start_wh
        yield NOT_STOPPED, max(flowed_wh, 0)
    else:
        flowed_wh = following.meter_start_wh - session.meter_stop_wh
        if following.started_at < session.stopped_at:
            yield OVERLAP, 0
        if flowed_wh > 0:
            yield UNBILLED, flowed_wh
    if flowed_wh < 0:
        yield BACKWARDS, -flowed_wh
