"""Whether a StartTransaction was seen before: a charge point sends again what was not acknowledged. Pure.

A replay must get the same transactionId, and a new session must never be taken for an old one (DESIGN 2.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

ACTIVE: Final = "active"


@dataclass(frozen=True, slots=True)
class Known:
    """A transaction with the same charge point, connector, idTag and meterStart as the Start at hand."""

    id: int
    started_at: datetime
    occurrence: int
    start_boot_count: int
    status: str


@dataclass(frozen=True, slots=True)
class NewStart:
    """A session that was not seen before; `occurrence` is above 0 where only the boot tells it from an earlier one."""

    occurrence: int


def find_replayed(
    known: Sequence[Known], started_at: datetime, *, is_plausible: bool, boot_count: int
) -> Known | NewStart:
    """The transaction of which this Start is a replay, or that it is a new one.

    An identical Start is a replay, also after its stop (a queue sent again). Only where its timestamp comes from a
    reset clock and the charge point has booted since, it is a new occurrence. A Start that differs from an open
    transaction in nothing but the timestamp is the same session.
    """
    identical = max((k for k in known if k.started_at == started_at), key=lambda k: k.occurrence, default=None)
    if identical is not None:
        if is_plausible or identical.start_boot_count >= boot_count:
            return identical
        return NewStart(identical.occurrence + 1)
    still_open = max((k for k in known if k.status == ACTIVE), key=lambda k: k.id, default=None)
    return still_open or NewStart(0)
