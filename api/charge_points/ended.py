"""A command that has ended, as the effects of its end see it. Only data."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Ended:
    """A command with its terminal status; `response` is the CALLRESULT, empty where none came."""

    id: UUID
    charge_point_id: UUID
    action: str
    payload: dict[str, Any]
    status: str
    response: dict[str, Any]
    at: datetime

    @property
    def accepted(self) -> bool:
        """Whether the charge point said yes."""
        return self.status == "accepted"

    @property
    def may_have_arrived(self) -> bool:
        """Whether the charge point may have obeyed although it did not say so."""
        return self.status in {"accepted", "timeout", "unknown"}
