"""Who may charge, by which grant, and if not, why not: one pure function that every way to start a session asks.

The statuses are those of OCPP 1.6 (7.2 AuthorizationStatus); the codes are ours and stable. Facts come from the caller.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from api.accounting.money import format_minor, format_scaled
from api.sharing.windows import Window, closes_at, is_open

AuthorizationStatus = Literal["Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"]
Visibility = Literal["private", "shared", "public"]
Code = Literal[
    "accepted",
    "id_tag_unknown",
    "id_tag_blocked",
    "id_tag_expired",
    "charge_point_private",
    "not_shared",
    "other_connector",
    "grant_revoked",
    "grant_ended",
    "grant_not_begun",
    "outside_window",
    "energy_cap_reached",
    "amount_cap_reached",
    "sessions_cap_reached",
    "not_throughout",
    "reserved",
    "charging_elsewhere",
]
STATUSES: Final[Mapping[Code, AuthorizationStatus]] = {
    "accepted": "Accepted",
    "id_tag_blocked": "Blocked",
    "id_tag_expired": "Expired",
    "energy_cap_reached": "Blocked",
    "amount_cap_reached": "Blocked",
    "sessions_cap_reached": "ConcurrentTx",
    "charging_elsewhere": "ConcurrentTx",
}
"""What a charge point is told; all other refusals are Invalid."""
REFUSALS: Final[tuple[Code, ...]] = (
    "other_connector",
    "grant_revoked",
    "grant_ended",
    "grant_not_begun",
    "outside_window",
    "energy_cap_reached",
    "amount_cap_reached",
    "sessions_cap_reached",
)
"""Why a grant does not let its grantee charge, in the order of asking: the later, the nearer to a yes."""
LONGEST_CHAIN: Final = timedelta(days=9)
"""Grants that take over from each other for longer than a week may do so for ever: the answer is asked again then."""


@dataclass(frozen=True, slots=True)
class IdTag:
    """An id tag as its holder registered it, and the groups in which the holder is."""

    tag: str
    user_id: UUID
    parent_tag: str | None = None
    blocked: bool = False
    expires_at: datetime | None = None
    group_ids: frozenset[UUID] = frozenset()


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody wants to charge; without a connector: at any of the charge point's."""

    charge_point_id: UUID
    owner_id: UUID
    time_zone: str = "Europe/Prague"
    location_id: UUID | None = None
    connector_id: int | None = None
    visibility: Visibility = "shared"


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that one grantee may take under a grant; None: no limit. The amount has its currency."""

    energy_wh: int | None = None
    amount_minor: int | None = None
    currency: str | None = None
    sessions: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What one grantee took under a grant in the period of its caps: sessions that have ended, how many run elsewhere
    now, and what those that run have drawn so far.
    """

    energy_wh: int = 0
    amount_minor: int = 0
    sessions: int = 0
    running_energy_wh: int = 0


NO_CAPS: Final = Caps()
NOTHING_USED: Final = Usage()


@dataclass(frozen=True, slots=True)
class Grant:
    """The right of a person, a group or (neither) anybody to charge at a charge point or a location.

    From `valid_from` until (excluding) `valid_until`, in its windows; higher priorities decide before lower ones.
    """

    id: UUID
    valid_from: datetime
    user_id: UUID | None = None
    group_id: UUID | None = None
    charge_point_id: UUID | None = None
    connector_id: int | None = None
    location_id: UUID | None = None
    valid_until: datetime | None = None
    revoked_at: datetime | None = None
    windows: tuple[Window, ...] = ()
    caps: Caps = NO_CAPS
    priority: int = 0

    def concerns(self, tag: IdTag, place: Place) -> bool:
        """Whether it is for the holder of this tag and covers the charge point, though perhaps not the connector."""
        if self.location_id is not None:
            covers = self.location_id == place.location_id
        else:
            covers = self.charge_point_id == place.charge_point_id
        if self.user_id is not None:
            return covers and self.user_id == tag.user_id
        if self.group_id is not None:
            return covers and self.group_id in tag.group_ids
        return covers and place.visibility == "public"

    def ends_at(self, zone: ZoneInfo, at: datetime) -> datetime | None:
        """When a grant that stands at `at` ceases to; None: never."""
        ends = (self.valid_until, self.revoked_at, closes_at(self.windows, zone, at))
        return min((end for end in ends if end is not None), default=None)

    @property
    def rank(self) -> tuple[int, int, int, str]:
        """Sorts the grant that decides first: priority, then the narrower grantee, then the narrower place."""
        narrow_grantee = 0 if self.user_id else 1 if self.group_id else 2
        narrow_place = 0 if self.connector_id else 1 if self.charge_point_id else 2
        return -self.priority, narrow_grantee, narrow_place, str(self.id)


@dataclass(frozen=True, slots=True)
class Facts:
    """What was asked of whom where, and all that is known about it.

    `usage` is by grant. `charging_elsewhere` is whether the tag has another open transaction; it and the cap of
    sessions are asked at a start only, never at Authorize (OCPP 1.6 4.8). `reserved_until` is when somebody else's
    booking that keeps the connector now ends; without a connector: the first of those that keep all of them.
    """

    tag: IdTag | None
    place: Place
    grants: Sequence[Grant] = ()
    usage: Mapping[UUID, Usage] = field(default_factory=dict)
    is_start: bool = False
    charging_elsewhere: bool = False
    reserved_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer, the reason for people and for programs, and what an idTagInfo tells the charge point.

    `grant_id` is the grant by which somebody may charge, with its caps; None for the owner, and where it is refused.
    An accepted answer holds until `expires_at`; None: until something is changed.
    """

    status: AuthorizationStatus
    code: Code
    reason: str
    driver_id: UUID | None = None
    parent_tag: str | None = None
    expires_at: datetime | None = None
    grant_id: UUID | None = None
    caps: Caps = NO_CAPS
    used: Usage = NOTHING_USED

    @property
    def accepted(self) -> bool:
        """Whether charging may start."""
        return self.status == "Accepted"


def decide(facts: Facts, now: datetime) -> Decision:
    """Decides for one id tag at one place at `now`."""
    tag, place = facts.tag, facts.place
    if tag is None:
        return Decision("Invalid", "id_tag_unknown", "This id tag is not registered.")
    if (refusal := _refused_tag(tag, now)) is not None:
        return _refuse(tag, *refusal)
    grant = None
    if tag.user_id != place.owner_id:
        grant, refusal = _choose(facts, tag, now)
        if refusal is not None:
            return _refuse(tag, *refusal)
    if facts.reserved_until is not None:
        until = _local(facts.reserved_until, ZoneInfo(place.time_zone))
        return _refuse(tag, "reserved", f"This connector is reserved for somebody else until {until}.")
    if facts.is_start and facts.charging_elsewhere:
        return _refuse(tag, "charging_elsewhere", "This id tag is already charging elsewhere.")
    return _accept(facts, tag, grant, now)


def decide_throughout(facts: Facts, starts_at: datetime, ends_at: datetime) -> Decision:
    """Decides for a time to come: whether charging may start at its start, and go on until its end.

    Who else has reserved the connector is not asked: that no two do is the database's to say.
    """
    decision = decide(replace(facts, is_start=False, reserved_until=None), starts_at)
    if facts.tag is None or not decision.accepted or decision.expires_at is None or decision.expires_at >= ends_at:
        return decision
    until = _local(decision.expires_at, ZoneInfo(facts.place.time_zone))
    return _refuse(facts.tag, "not_throughout", f"From then on you may charge there until {until} only.")


def _refused_tag(tag: IdTag, now: datetime) -> tuple[Code, str] | None:
    if tag.blocked:
        return "id_tag_blocked", "This id tag is blocked."
    if tag.expires_at is not None and tag.expires_at <= now:
        return "id_tag_expired", "This id tag has expired."
    return None


def _refuse(tag: IdTag, code: Code, reason: str) -> Decision:
    status = STATUSES.get(code, "Invalid")
    return Decision(status, code, reason, tag.user_id, tag.parent_tag, tag.expires_at)


def _accept(facts: Facts, tag: IdTag, grant: Grant | None, now: datetime) -> Decision:
    ends = [tag.expires_at, _end_of_grants(facts, tag, now) if grant is not None else None]
    expires_at = min((end for end in ends if end is not None), default=None)
    who = (tag.user_id, tag.parent_tag, expires_at)
    if grant is None:
        return Decision("Accepted", "accepted", "", *who)
    used = facts.usage.get(grant.id, NOTHING_USED)
    return Decision("Accepted", "accepted", "", *who, grant.id, grant.caps, used)


def _choose(facts: Facts, tag: IdTag, now: datetime) -> tuple[Grant | None, tuple[Code, str] | None]:
    """The first grant by rank that lets its grantee charge, or the refusal of the one that is nearest to it."""
    if facts.place.visibility == "private":
        return None, ("charge_point_private", "The owner of this charge point shares it with nobody at present.")
    concerned = sorted((grant for grant in facts.grants if grant.concerns(tag, facts.place)), key=lambda g: g.rank)
    refusals = []
    for grant in concerned:
        code = _refusal(grant, facts, now)
        if code is None:
            return grant, None
        refusals.append((code, grant))
    if not refusals:
        return None, ("not_shared", "The owner of this charge point has not shared it with the holder of this id tag.")
    nearest = max(REFUSALS.index(code) for code, _ in refusals)
    code, grant = next(refusal for refusal in refusals if REFUSALS.index(refusal[0]) == nearest)
    return None, (code, _sentence(code, grant, facts.place.time_zone))


def _refusal(grant: Grant, facts: Facts, now: datetime) -> Code | None:
    if not _covers_connector(grant, facts.place):
        return "other_connector"
    return _refused_now(grant, ZoneInfo(facts.place.time_zone), now) or _used_up(grant, facts)


def _covers_connector(grant: Grant, place: Place) -> bool:
    return grant.connector_id is None or place.connector_id is None or grant.connector_id == place.connector_id


def _refused_now(grant: Grant, zone: ZoneInfo, now: datetime) -> Code | None:
    if grant.revoked_at is not None and grant.revoked_at <= now:
        return "grant_revoked"
    if grant.valid_until is not None and grant.valid_until <= now:
        return "grant_ended"
    if now < grant.valid_from:
        return "grant_not_begun"
    return None if is_open(grant.windows, zone, now) else "outside_window"


def _used_up(grant: Grant, facts: Facts) -> Code | None:
    caps, used = grant.caps, facts.usage.get(grant.id, NOTHING_USED)
    if _is_reached(used.energy_wh + used.running_energy_wh, caps.energy_wh):
        return "energy_cap_reached"
    if _is_reached(used.amount_minor, caps.amount_minor):
        return "amount_cap_reached"
    return "sessions_cap_reached" if facts.is_start and _is_reached(used.sessions, caps.sessions) else None


def _is_reached(used: int, cap: int | None) -> bool:
    return cap is not None and used >= cap


def _sentence(code: Code, grant: Grant, time_zone: str) -> str:
    zone, caps, windows = ZoneInfo(time_zone), grant.caps, "; ".join(map(str, grant.windows))
    amount = f"{format_minor(caps.amount_minor or 0, caps.currency)} {caps.currency}" if caps.currency else ""
    sentences: dict[str, str] = {
        "other_connector": f"The charge point is shared with you at connector {grant.connector_id} only.",
        "grant_revoked": "The owner of this charge point has revoked the grant.",
        "grant_ended": f"The grant ended {_local(grant.valid_until, zone)}.",
        "grant_not_begun": f"The grant begins {_local(grant.valid_from, zone)}.",
        "outside_window": f"The charge point is shared at these times only: {windows} ({time_zone}).",
        "energy_cap_reached": f"The grant's limit of {format_scaled(caps.energy_wh or 0, 3)} kWh is used up.",
        "amount_cap_reached": f"The grant's limit of {amount} is used up.",
        "sessions_cap_reached": f"Of your sessions {caps.sessions} may run at once under this grant, and so many do.",
    }
    return sentences[code]


def _local(at: datetime | None, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M %Z}" if at is not None else ""


def _end_of_grants(facts: Facts, tag: IdTag, now: datetime) -> datetime | None:
    """Until when one grant or another lets the holder charge here without a break; what is used up counts for none."""
    zone = ZoneInfo(facts.place.time_zone)
    holding = [
        grant for grant in facts.grants
        if grant.concerns(tag, facts.place) and _covers_connector(grant, facts.place) and not _used_up(grant, facts)
    ]  # fmt: skip
    at = now
    while at < now + LONGEST_CHAIN:
        ends = [grant.ends_at(zone, at) for grant in holding if _refused_now(grant, zone, at) is None]
        if not ends:
            break
        known = [end for end in ends if end is not None]
        if len(known) < len(ends):
            return None
        at = max(known)
    return at
