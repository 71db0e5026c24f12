"""The types of events and their envelope: what reaches people by SSE and by webhooks. Pure: names and shapes only.

Who writes which event is in the database's triggers (`api/migrations`), who may read it in `audience`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson

PING: Final = "webhook.ping"
UPDATED: Final = "transaction.updated"
"""The only type that is not durable: coalesced from the live state, at most one a second and transaction."""
TYPES: Final[dict[str, str]] = {
    "charge_point.connected": "A charge point opened a connection.",
    "charge_point.disconnected": "Its newest connection ended.",
    "charge_point.booted": "It sent BootNotification.",
    "connector.status": "A connector has another status or error code; 0 is the charge point as a whole.",
    "transaction.started": "A session began.",
    UPDATED: "Energy and power of a running session; live only.",
    "transaction.limit_reached": "A session reached what it may take and is told to stop.",
    "transaction.stopped": "A session ended, or was abandoned.",
    "transaction.held": "A person must look at a session before it is billed.",
    "transaction.settled": "A session is in the books, or its correction.",
    "command.finished": "A command has its terminal status.",
    "grant.created": "A charge point was shared.",
    "grant.revoked": "A grant was revoked.",
    "reservation.changed": "A reservation was made or has another status.",
    "booking.changed": "A connector was reserved for a while, or that has another status.",
    "job.status": "A firmware update or an upload of diagnostics went further.",
    "security.event": "A charge point reported a security event.",
    PING: "A test delivery of a webhook.",
}


@dataclass(frozen=True, slots=True)
class Event:
    """A numbered event. `data` is JSON text as PostgreSQL keeps it; `person_id` is whom the event is about."""

    public_id: UUID
    position: int
    type: str
    at: datetime
    charge_point_id: UUID | None
    person_id: UUID | None
    audience: str
    data: str

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Event":
        """From a row that has these columns, `data` as text."""
        return cls(**{name: row[name] for name in cls.__slots__})

    def envelope(self) -> bytes:
        """The event as JSON for people and programs."""
        return envelope(
            self.type,
            self.data.encode(),
            self.position,
            event_id=str(self.public_id),
            at=self.at,
            charge_point_id=self.charge_point_id,
        )


def envelope(
    kind: str, data: bytes, version: int, *, event_id: str | None, at: datetime, charge_point_id: UUID | None
) -> bytes:
    """One envelope; of two about the same object, the one with the higher version is the newer."""
    place = str(charge_point_id) if charge_point_id is not None else None
    fields = {"id": event_id, "type": kind, "at": at, "charge_point_id": place, "version": version}
    return orjson.dumps({**fields, "data": orjson.Fragment(data)}, option=orjson.OPT_UTC_Z)


def server_sent(kind: str, data: bytes, position: int | None = None) -> bytes:
    """One event of a text/event-stream; without a position it does not move Last-Event-ID."""
    head = f"id: {position}\n" if position is not None else ""
    return f"{head}event: {kind}\ndata: ".encode() + data + b"\n\n"
