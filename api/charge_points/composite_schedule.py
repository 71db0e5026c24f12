"""What limit a charge point should apply, from the profiles that it accepted (OCPP 1.6 3.13). Pure.

The profile of the highest stack level that holds at a moment decides; a TxProfile comes before the default ones, and
ChargePointMaxProfile caps both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from api.charge_points.timestamps import parse_timestamp

RECURRENCE: Final = {"Daily": timedelta(days=1), "Weekly": timedelta(weeks=1)}
SAME_MOMENT_S: Final = 2
"""Two clocks that agree about a boundary may differ by this much."""
SAME_LIMIT: Final = 0.05
"""Limits have one decimal."""


class NotComparable(Exception):  # noqa: N818 - a finding, not a fault
    """Why the schedule cannot be told from what is known; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A charging profile on its connector (0: the charge point)."""

    connector_id: int
    body: dict[str, Any]

    @property
    def purpose(self) -> str:
        """TxProfile, TxDefaultProfile or ChargePointMaxProfile."""
        return str(self.body["chargingProfilePurpose"])


@dataclass(frozen=True, slots=True)
class Moment:
    """When, and since when the session of the connector runs."""

    at: datetime
    session_began_at: datetime | None


def expected_periods(
    profiles: Sequence[Profile],
    connector_id: int,
    unit: str,
    *,
    start: datetime,
    duration_s: int,
    session_began_at: datetime | None,
) -> list[tuple[int, float | None]]:
    """(offset in seconds, limit) for the time from `start`; a limit of None is no limit.

    Raises:
        NotComparable: a unit differs, or a profile begins at something that we do not know.
    """
    mine = [each for each in profiles if each.connector_id in {0, connector_id}]
    if any(each.body["chargingSchedule"]["chargingRateUnit"] != unit for each in mine):
        raise NotComparable("A profile has its limits in another unit.")
    periods: list[tuple[int, float | None]] = []
    for at in _boundaries(mine, start, duration_s, session_began_at):
        limit = _limit(mine, connector_id, Moment(at, session_began_at))
        if not periods or periods[-1][1] != limit:
            periods.append((round((at - start).total_seconds()), limit))
    return periods


def _boundaries(
    profiles: Sequence[Profile], start: datetime, duration_s: int, session_began_at: datetime | None
) -> list[datetime]:
    end, found = start + timedelta(seconds=duration_s), {start}
    for profile in profiles:
        body, schedule = profile.body, profile.body["chargingSchedule"]
        found |= {parse_timestamp(body[name]) for name in ("validFrom", "validTo") if name in body}
        offsets = [period["startPeriod"] for period in schedule["chargingSchedulePeriod"]]
        offsets += [schedule["duration"]] if "duration" in schedule else []
        for anchor in _anchors(profile, start, end, session_began_at):
            found |= {anchor + timedelta(seconds=offset) for offset in offsets}
    return sorted(at for at in found if start <= at < end)


def _anchors(profile: Profile, start: datetime, end: datetime, session_began_at: datetime | None) -> list[datetime]:
    first = _anchor(profile, Moment(start, session_began_at))
    every = _recurrence(profile)
    anchors = [first]
    while every is not None and anchors[-1] + every < end:
        anchors.append(anchors[-1] + every)
    return anchors


def _recurrence(profile: Profile) -> timedelta | None:
    is_recurring = profile.body["chargingProfileKind"] == "Recurring"
    return RECURRENCE[profile.body["recurrencyKind"]] if is_recurring else None


def _anchor(profile: Profile, moment: Moment) -> datetime:
    """The moment from which the start periods of a profile count, as it holds at `moment`."""
    schedule = profile.body["chargingSchedule"]
    if profile.body["chargingProfileKind"] == "Relative" or "startSchedule" not in schedule:
        if moment.session_began_at is None:
            raise NotComparable("A profile counts from the start of a session, and none runs.")
        return moment.session_began_at
    begin, every = parse_timestamp(schedule["startSchedule"]), _recurrence(profile)
    if every is None or moment.at < begin:
        return begin
    return begin + (moment.at - begin) // every * every


def _limit(profiles: Sequence[Profile], connector_id: int, moment: Moment) -> float | None:
    def of(purpose: str, *connectors: int) -> float | None:
        ranked = sorted(
            (each for each in profiles if each.purpose == purpose and each.connector_id in connectors),
            key=lambda each: (each.body["stackLevel"], each.connector_id),
            reverse=True,
        )
        return next((limit for each in ranked if (limit := _limit_of(each, moment)) is not None), None)

    own = of("TxProfile", connector_id) if moment.session_began_at is not None and connector_id else None
    if own is None and connector_id:
        own = of("TxDefaultProfile", connector_id, 0)
    limits = [limit for limit in (own, of("ChargePointMaxProfile", 0)) if limit is not None]
    return min(limits, default=None)


def _limit_of(profile: Profile, moment: Moment) -> float | None:
    body, schedule = profile.body, profile.body["chargingSchedule"]
    if "validFrom" in body and moment.at < parse_timestamp(body["validFrom"]):
        return None
    if "validTo" in body and moment.at >= parse_timestamp(body["validTo"]):
        return None
    offset = (moment.at - _anchor(profile, moment)).total_seconds()
    if offset < 0 or offset >= schedule.get("duration", float("inf")):
        return None
    running = [each for each in schedule["chargingSchedulePeriod"] if each["startPeriod"] <= offset]
    return float(running[-1]["limit"]) if running else None


def agrees(expected: Sequence[tuple[int, float | None]], reported: Sequence[dict[str, Any]]) -> bool:
    """Whether a charge point reports the periods that we expect; where we know no limit, any is right."""
    told: list[tuple[int, float]] = []
    for period in reported:
        if not told or abs(told[-1][1] - period["limit"]) > SAME_LIMIT:
            told.append((period["startPeriod"], period["limit"]))
    if any(limit is None for _, limit in expected):
        known = [(offset, limit) for offset, limit in expected if limit is not None]
        return all(_told_at(told, offset + SAME_MOMENT_S, limit) for offset, limit in known)
    return len(told) == len(expected) and all(
        abs(ours[0] - theirs[0]) <= SAME_MOMENT_S and abs((ours[1] or 0) - theirs[1]) <= SAME_LIMIT
        for ours, theirs in zip(expected, told, strict=True)
    )


def _told_at(told: Sequence[tuple[int, float]], offset: int, limit: float) -> bool:
    running = [value for start, value in told if start <= offset]
    return bool(running) and abs(running[-1] - limit) <= SAME_LIMIT
