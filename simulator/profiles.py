"""The charging profiles of a charge point and the limit they give (OCPP 1.6 3.13). No I/O; the time is an argument."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from simulator.meter import PHASES, VOLTAGE_V

Profile = dict[str, Any]
COMPOSITE_STEP_S = 60
RECURRENCE = {"Daily": timedelta(days=1), "Weekly": timedelta(weeks=1)}


@dataclass
class Profiles:
    """What is installed, by (connector, chargingProfileId)."""

    installed: dict[tuple[int, int], Profile] = field(default_factory=dict)

    def install(self, connector_id: int, profile: Profile, *, charging: bool) -> str:
        """Installs or replaces a profile; returns the ChargingProfileStatus (5.16)."""
        purpose = profile["charging_profile_purpose"]
        periods = profile["charging_schedule"]["charging_schedule_period"]
        if not periods or periods[0]["start_period"] != 0:
            return "Rejected"
        if purpose == "ChargePointMaxProfile" and connector_id != 0:
            return "Rejected"
        if purpose == "TxProfile" and (connector_id == 0 or not charging):
            return "Rejected"
        self._remove_same_place(connector_id, profile)
        self.installed[connector_id, profile["charging_profile_id"]] = profile
        return "Accepted"

    def _remove_same_place(self, connector_id: int, profile: Profile) -> None:
        place = (connector_id, profile["charging_profile_purpose"], profile["stack_level"])
        for key, other in list(self.installed.items()):
            same_place = (key[0], other["charging_profile_purpose"], other["stack_level"]) == place
            if same_place or key[1] == profile["charging_profile_id"]:
                del self.installed[key]

    def clear(self, id_: int | None, connector_id: int | None, purpose: str | None, stack_level: int | None) -> str:
        """Removes what matches all the given criteria; returns the ClearChargingProfileStatus (5.5)."""
        matching = [
            key
            for key, profile in self.installed.items()
            if id_ in {None, key[1]}
            and connector_id in {None, key[0]}
            and purpose in {None, profile["charging_profile_purpose"]}
            and stack_level in {None, profile["stack_level"]}
        ]
        for key in matching:
            del self.installed[key]
        return "Accepted" if matching else "Unknown"

    def end_transaction(self, connector_id: int) -> None:
        """A TxProfile lives as long as its transaction (3.13.1)."""
        self.clear(None, connector_id, "TxProfile", None)

    def limit_w(self, connector_id: int, started_at: datetime, now: datetime) -> int | None:
        """The power that the profiles allow on a connector now; None where they say nothing."""
        transaction = self._leading(connector_id, "TxProfile", started_at, now)
        if transaction is None:
            transaction = self._leading(connector_id, "TxDefaultProfile", started_at, now)
        limits = [transaction, self._leading(0, "ChargePointMaxProfile", started_at, now)]
        return min((limit for limit in limits if limit is not None), default=None)

    def _leading(self, connector_id: int, purpose: str, started_at: datetime, now: datetime) -> int | None:
        """The limit of the highest stack level in force; a connector's own profile goes before connector 0's."""
        candidates = [
            (key[0], profile["stack_level"], limit)
            for key, profile in self.installed.items()
            if profile["charging_profile_purpose"] == purpose
            and key[0] in {0, connector_id}
            and (limit := _limit_w(profile, started_at, now)) is not None
        ]
        return max(candidates)[2] if candidates else None


def _limit_w(profile: Profile, started_at: datetime, now: datetime) -> int | None:
    schedule = profile["charging_schedule"]
    valid_from, valid_to = _time(profile.get("valid_from")), _time(profile.get("valid_to"))
    if (valid_from and now < valid_from) or (valid_to and now >= valid_to):
        return None
    start = started_at
    if profile["charging_profile_kind"] != "Relative":
        start = _time(schedule.get("start_schedule")) or started_at
    elapsed = now - start
    if profile["charging_profile_kind"] == "Recurring":
        elapsed %= RECURRENCE[profile.get("recurrency_kind", "Daily")]
    seconds = elapsed.total_seconds()
    if seconds < 0 or seconds >= schedule.get("duration", float("inf")):
        return None
    period = [p for p in schedule["charging_schedule_period"] if p["start_period"] <= seconds][-1]
    if schedule["charging_rate_unit"] == "W":
        return int(period["limit"])
    return int(period["limit"] * VOLTAGE_V * period.get("number_phases", PHASES))


def _time(text: str | None) -> datetime | None:
    """An OCPP date-time; one without a zone is UTC (3.14)."""
    if text is None:
        return None
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else datetime.fromisoformat(text + "+00:00")


def composite_schedule(limit_w: Callable[[int], int], duration_s: int, longest: int) -> Profile:
    """The chargingSchedule in W that `limit_w` (at seconds from now) gives, in steps of a minute (5.7)."""
    periods: list[dict[str, Any]] = []
    for second in range(0, max(duration_s, 1), COMPOSITE_STEP_S):
        limit = limit_w(second)
        if not periods or periods[-1]["limit"] != limit:
            periods.append({"start_period": second, "limit": limit})
        if len(periods) == longest:
            break
    return {"duration": duration_s, "charging_rate_unit": "W", "charging_schedule_period": periods}
