"""Times as charge points write them and as we write them to charge points. Pure.

OCPP 1.6 (3.14) wants ISO 8601; what comes without a zone is taken as UTC, and what cannot be read is a reset clock.
"""

from datetime import UTC, datetime
from typing import Final

from api.accounting.plausibility import is_plausible_time

UNREADABLE: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for a timestamp that is none: implausible, and the same each time that the message is sent again."""
FIRST_YEAR: Final = 2
LAST_YEAR: Final = 9998
"""The first and the last moment that Python knows stand for infinity in the driver of PostgreSQL."""


def parse_timestamp(text: str) -> datetime:
    """A charge point's timestamp in UTC; `UNREADABLE` where it is no time at all."""
    try:
        at = datetime.fromisoformat(text.strip().upper())
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        return at if FIRST_YEAR <= at.year <= LAST_YEAR else UNREADABLE
    except (ValueError, OverflowError):
        return UNREADABLE


def format_timestamp(at: datetime) -> str:
    """A time in UTC for a charge point: milliseconds and `Z`, which every known charge point reads."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def effective_time(at: datetime | None, received_at: datetime) -> datetime:
    """When something happened, for telling newer from older: never after its arrival, and its arrival where the
    charge point's clock cannot be right."""
    if at is None or not is_plausible_time(at, received_at):
        return received_at
    return min(at, received_at)
