"""What a handler of a charge point's CALL gives back: the answer, and what it changed in the live state. Only data.

Handlers run inside a transaction that they never commit; the listener commits, then publishes the answer.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec

from wire.messages import ChargePointCall


class Answer(msgspec.Struct, frozen=True):
    """A CALLRESULT payload (raw JSON), or a CALLERROR code where the message itself is wrong."""

    payload: bytes = b"{}"
    error_code: str = ""
    error_description: str = ""
    registration: str = ""
    heartbeat_interval_s: int = 0
    live: dict[str, bytes] = msgspec.field(default_factory=dict)
    """Hash fields of `api.charge_points.live` to set once the transaction is committed."""
    about: dict[str, object] = msgspec.field(default_factory=dict)
    """What the log of the process says of it beside the charge point and the action; where empty, nothing is said."""


def encode_payload(payload: dict[str, Any]) -> bytes:
    """Compact JSON with the keys in the order given (OCPP-J 4.2.1)."""
    return msgspec.json.encode(payload)


def received_at(call: ChargePointCall) -> datetime:
    """When the gateway took the message off the socket."""
    return datetime.fromtimestamp(call.received_at, UTC)
