"""Who may charge at this charge point without asking: reservations and the local authorization list. No I/O."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Reservation:
    """A connector (0: any) kept for an idTag until `expires_at` (3.11)."""

    id: int
    connector_id: int
    id_tag: str
    expires_at: datetime


@dataclass
class Reservations:
    """The reservations of one charge point. `statuses` is what each connector shows now."""

    statuses: Callable[[], Mapping[int, str]]
    by_id: dict[int, Reservation] = field(default_factory=dict)

    def reserve(self, id_: int, connector_id: int, id_tag: str, expiry_date: str) -> str:
        """Makes or replaces a reservation; returns the ReservationStatus (5.13)."""
        statuses = self.statuses()
        if connector_id != 0 and connector_id not in statuses:
            return "Rejected"
        self.by_id.pop(id_, None)
        wanted = [statuses[connector_id]] if connector_id else list(statuses.values())
        if "Available" not in wanted and not (connector_id and wanted == ["Reserved"] and not self.on(connector_id)):
            return {"Faulted": "Faulted", "Unavailable": "Unavailable"}.get(wanted[0], "Occupied")
        expires_at = datetime.fromisoformat(expiry_date)
        expires_at = expires_at if expires_at.tzinfo else expires_at.replace(tzinfo=UTC)
        self.by_id[id_] = Reservation(id_, connector_id, id_tag, expires_at)
        return "Accepted"

    def cancel(self, id_: int) -> bool:
        """Whether there was such a reservation."""
        return self.by_id.pop(id_, None) is not None

    def on(self, connector_id: int) -> Reservation | None:
        """The reservation of just this connector."""
        return next((one for one in self.by_id.values() if one.connector_id == connector_id), None)

    def allow(self, connector_id: int, id_tag: str) -> bool:
        """Whether `id_tag` may use the connector as far as reservations go; idTags ignore case."""
        reservation = self.on(connector_id)
        return reservation is None or reservation.id_tag.lower() == id_tag.lower()

    def use(self, connector_id: int, id_tag: str) -> int | None:
        """Takes the reservation that `id_tag` holds for this connector or for any; returns its id."""
        for reservation in [self.on(connector_id), self.on(0)]:
            if reservation is not None and reservation.id_tag.lower() == id_tag.lower():
                del self.by_id[reservation.id]
                return reservation.id
        return None

    def expire(self, now: datetime) -> bool:
        """Drops what is over; whether anything was."""
        over = [one.id for one in self.by_id.values() if one.expires_at <= now]
        for id_ in over:
            del self.by_id[id_]
        return bool(over)


@dataclass
class LocalList:
    """The local authorization list (3.5.2): idTag in lower case -> AuthorizationStatus. Version 0 is empty (5.10)."""

    version: int = 0
    statuses: dict[str, str] = field(default_factory=dict)

    def update(self, version: int, kind: str, entries: list[dict[str, Any]]) -> str:
        """Replaces or amends the list; returns the UpdateStatus (5.15)."""
        if kind == "Differential" and version <= self.version:
            return "VersionMismatch"
        if kind == "Full":
            self.statuses.clear()
        for entry in entries:
            tag, info = entry["id_tag"].lower(), entry.get("id_tag_info")
            if info is None:
                self.statuses.pop(tag, None)
            else:
                self.statuses[tag] = info["status"]
        self.version = version
        return "Accepted"
