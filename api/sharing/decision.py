"""Who may charge, and if not, why not: one pure function that every way to start a session asks.

The statuses are those of OCPP 1.6 (7.2 AuthorizationStatus).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

AuthorizationStatus = Literal["Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"]


@dataclass(frozen=True, slots=True)
class IdTag:
    """An id tag as its holder registered it."""

    tag: str
    user_id: UUID
    parent_tag: str | None = None
    blocked: bool = False
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """The right of a person to charge at one charge point, from `valid_from` until (excluding) `valid_until`."""

    user_id: UUID
    valid_from: datetime
    valid_until: datetime | None = None
    revoked_at: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        """Whether it stands at `now`; a revocation counts from its moment on."""
        ends = [end for end in (self.valid_until, self.revoked_at) if end is not None]
        return self.valid_from <= now and all(now < end for end in ends)


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer, the reason in a sentence for people, and what an idTagInfo tells the charge point."""

    status: AuthorizationStatus
    reason: str
    driver_id: UUID | None = None
    parent_tag: str | None = None
    expires_at: datetime | None = None

    @property
    def accepted(self) -> bool:
        """Whether charging may start."""
        return self.status == "Accepted"


def decide(
    tag: IdTag | None, owner_id: UUID, grants: Sequence[Grant], now: datetime, *, charging_elsewhere: bool = False
) -> Decision:
    """Decides for one id tag at one charge point at `now`.

    `grants` are those of this charge point. `charging_elsewhere` is whether the tag has another open transaction; it
    is only asked at a start, never at Authorize (OCPP 1.6 4.8).
    """
    if tag is None:
        return Decision("Invalid", "This id tag is not registered.")
    refusal = _refusal(tag, owner_id, grants, now, charging_elsewhere=charging_elsewhere)
    status, reason = refusal or ("Accepted", "")
    return Decision(status, reason, tag.user_id, tag.parent_tag, _earliest_end(tag, owner_id, grants, now))


def _refusal(
    tag: IdTag, owner_id: UUID, grants: Sequence[Grant], now: datetime, *, charging_elsewhere: bool
) -> tuple[AuthorizationStatus, str] | None:
    if tag.blocked:
        return "Blocked", "This id tag is blocked."
    if tag.expires_at is not None and tag.expires_at <= now:
        return "Expired", "This id tag has expired."
    if tag.user_id != owner_id and not _valid(tag, grants, now):
        return "Invalid", "The owner of this charge point has not shared it with the holder of this id tag."
    if charging_elsewhere:
        return "ConcurrentTx", "This id tag is already charging elsewhere."
    return None


def _valid(tag: IdTag, grants: Sequence[Grant], now: datetime) -> list[Grant]:
    return [grant for grant in grants if grant.user_id == tag.user_id and grant.is_valid(now)]


def _earliest_end(tag: IdTag, owner_id: UUID, grants: Sequence[Grant], now: datetime) -> datetime | None:
    """Until when a charge point may trust this answer in its cache."""
    ends = [tag.expires_at] if tag.expires_at is not None else []
    valid = [] if tag.user_id == owner_id else _valid(tag, grants, now)
    if valid and all(grant.valid_until is not None for grant in valid):
        ends.append(max(grant.valid_until for grant in valid if grant.valid_until is not None))
    return min(ends, default=None)
