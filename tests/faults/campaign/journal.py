"""What charge points were told: each acknowledged message, on disk, as a charge point's own memory would hold it."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Session:
    """A session whose Stop was acknowledged."""

    charge_point_id: str
    connector_id: int
    id_tag: str
    is_guest: bool
    has_wrong_clock: bool
    ocpp_transaction_id: int
    started_at: str
    meter_start_wh: int
    meter_stop_wh: int
    sampled: tuple[tuple[str, int], ...]
    """(timestamp, register in Wh) of each MeterValues."""


@dataclass(frozen=True)
class TopUp:
    """A movement on the bank account that a guest paid."""

    reference: str
    user_id: str
    amount_minor: int


@dataclass
class Journal:
    """One line of JSON for each acknowledgement, flushed before the charge point goes on."""

    path: Path
    sessions: list[Session] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    """Ids of commands that the api said it took."""
    commands_asked: int = 0
    """Commands that were asked for, whether or not the api said anything."""
    paid_in: dict[str, TopUp] = field(default_factory=dict)
    """What stood in any statement that was sent, by its reference."""
    credited: list[str] = field(default_factory=list)
    """References in statements that the api said it imported."""
    violations: list[str] = field(default_factory=list)
    """Answers that no charge point should ever get."""
    acknowledged: int = 0

    def __post_init__(self) -> None:
        self._file = self.path.open("a", buffering=1)

    def acknowledge(self, charge_point: str, action: str, payload: dict[str, Any], answer: dict[str, Any]) -> None:
        """A CALLRESULT has arrived."""
        self.acknowledged += 1
        line = {"charge_point": charge_point, "action": action, "payload": payload, "answer": answer}
        self._file.write(json.dumps(line) + "\n")

    def finish(self, session: Session) -> None:
        """A session is over."""
        self.sessions.append(session)
        self._file.write(json.dumps({"finished": vars(session)}) + "\n")

    def violate(self, charge_point: str, what: str) -> None:
        """Something that must not happen."""
        self.violations.append(f"{charge_point}: {what}")
        self._file.write(json.dumps({"violation": what, "charge_point": charge_point}) + "\n")

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
