"""Every message that crosses Redis, as data. No behaviour beyond encoding, and no I/O.

One PUBLISH carries a batch: a MessagePack array [version, [message, ...]]. OCPP payloads and frames travel as opaque
bytes exactly as the charge point sent them, so that nothing is lost or changed on the way.
"""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

VERSION: Final = 1
"""Raised only when an old reader could misread a new writer; added fields with defaults do not raise it."""


class WireError(Exception):
    """The bytes are not a batch that this version can read."""


class Tolerance(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the quirks of a charge point have to do with one of its CALLs."""

    original: bytes = b""
    """The payload as it arrived, where `payload` was repaired; need not be JSON."""
    repairs: list[str] = []
    """What was repaired, a sentence each."""
    suggested_quirks: list[str] = []
    """Of a refused message: the quirks with which it would have been taken."""
    repaired: bytes = b""
    """Of a refused message: the payload as it would be then; empty where no quirk helps."""


class ChargePointCall(msgspec.Struct, tag="call", frozen=True, omit_defaults=True):
    """A CALL of a charge point, checked against its schema by the gateway, to be committed and answered.

    `id` is unique per attempt-group (a retry elsewhere keeps it); `epoch` and `sequence` order everything of one
    charge point; `payload` is the raw JSON text; times are Unix seconds UTC.
    """

    id: str
    charge_point_id: str
    epoch: int
    sequence: int
    message_id: str
    action: str
    payload: bytes
    received_at: float
    deadline: float
    reply_to: str
    refused: str = ""
    """Empty, or the CALLERROR code with which the gateway wants to refuse a Start, MeterValues or Stop: the raw
    message is committed as held before the CALLERROR goes out (DESIGN 2.3)."""
    refused_description: str = ""
    tolerance: Tolerance | None = None


class CallOutcome(msgspec.Struct, tag="outcome", frozen=True, omit_defaults=True):
    """The committed answer to a ChargePointCall: a CALLRESULT payload (raw JSON) or a CALLERROR code."""

    id: str
    charge_point_id: str
    payload: bytes = b"{}"
    error_code: str = ""
    error_description: str = ""
    registration: str = ""
    """Set where the call changed it: Accepted, Pending or Rejected, for the gateway's own checks."""
    heartbeat_interval_s: int = 0


class Connect(msgspec.Struct, tag="connect", frozen=True, omit_defaults=True):
    """A handshake that needs an answer. The key itself never travels: only SHA-256 digests of what was offered."""

    id: str
    gateway_id: str
    identity: str
    key_digests: list[bytes]
    offered_subprotocol: bool
    remote_address: str
    secure: bool
    received_at: float
    deadline: float
    reply_to: str
    client_certificate: bytes = b""
    """SHA-256 of the certificate (DER) that the charge point showed to a trusted proxy; empty without one."""


class ConnectOutcome(msgspec.Struct, tag="connect_outcome", frozen=True, omit_defaults=True):
    """Accept (`status` "accepted", with everything that the gateway must know) or the reason to refuse."""

    id: str
    status: Literal["accepted", "unknown_identity", "wrong_key", "no_subprotocol", "insecure", "refused"]
    charge_point_id: str = ""
    epoch: int = 0
    registration: str = ""
    heartbeat_interval_s: int = 300
    quirks: list[str] = []


class Disconnected(msgspec.Struct, tag="disconnected", frozen=True, omit_defaults=True):
    """A connection ended (a note for the api; nothing waits for it)."""

    charge_point_id: str
    epoch: int
    at: float
    reason: str


class LoggedFrame(msgspec.Struct, tag="frame", frozen=True, omit_defaults=True):
    """A frame for the message log that no ChargePointCall carried: heartbeats, refusals, commands and their answers."""

    charge_point_id: str
    epoch: int
    at: float
    direction: Literal["in", "out"]
    frame: bytes
    note: str = ""
    """What was repaired in it, for people."""


class QuirksSeen(msgspec.Struct, tag="quirks_seen", frozen=True, omit_defaults=True):
    """How often quirks that are not set would have helped a charge point lately (nothing waits for it)."""

    charge_point_id: str
    epoch: int
    at: float
    counts: dict[str, int]


class HandshakeRefused(msgspec.Struct, tag="handshake_refused", frozen=True, omit_defaults=True):
    """A handshake that the gateway refused without asking the api (nothing waits for it)."""

    identity: str
    reason: str
    remote_address: str
    at: float


class Command(msgspec.Struct, tag="command", frozen=True, omit_defaults=True):
    """A CALL for a charge point. Its row is committed before this is published; a repeat of `id` is ignored."""

    id: str
    charge_point_id: str
    epoch: int
    action: str
    payload: bytes
    deadline: float
    notify: str = ""
    """Channel of the HTTP process that waits, handed back in the outcome."""


class CommandOutcome(msgspec.Struct, tag="command_outcome", frozen=True, omit_defaults=True):
    """What became of a Command. `sent` may come before one terminal status."""

    id: str
    charge_point_id: str
    status: Literal["sent", "result", "call_error", "offline", "timeout", "unknown"]
    at: float
    payload: bytes = b""
    error_code: str = ""
    error_description: str = ""
    notify: str = ""


class Superseded(msgspec.Struct, tag="superseded", frozen=True):
    """To a gateway: a newer connection of this charge point is authenticated; close yours if its epoch is lower."""

    charge_point_id: str
    epoch: int


class ChargePointChanged(msgspec.Struct, tag="changed", frozen=True, omit_defaults=True):
    """To gateways: registration, intervals or quirks changed, or its connection must end (`close`)."""

    charge_point_id: str
    registration: str = ""
    heartbeat_interval_s: int = 0
    quirks: list[str] | None = None
    close: bool = False


Message = (
    ChargePointCall
    | CallOutcome
    | Connect
    | ConnectOutcome
    | Disconnected
    | LoggedFrame
    | QuirksSeen
    | HandshakeRefused
    | Command
    | CommandOutcome
    | Superseded
    | ChargePointChanged
)

_encoder = msgspec.msgpack.Encoder()
_batch_decoder = msgspec.msgpack.Decoder(tuple[int, list[Message]])
_envelope_decoder = msgspec.msgpack.Decoder(tuple[int, list[msgspec.Raw]])
_message_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(messages: Sequence[Message]) -> bytes:
    """One PUBLISH payload carrying `messages` in order."""
    return _encoder.encode((VERSION, messages))


def decode(data: bytes) -> list[Message]:
    """The messages of one PUBLISH payload, in order; those of a type that a newer release added are left out.

    Raises:
        WireError: not MessagePack, not this shape, or a version that this code does not know.
    """
    try:
        version, messages = _batch_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        version, messages = _decode_one_by_one(data)
    if version != VERSION:
        raise WireError(f"batch of version {version}, this side reads {VERSION}")
    return messages


def _decode_one_by_one(data: bytes) -> tuple[int, list[Message]]:
    try:
        version, parts = _envelope_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"unreadable batch: {error}") from error
    return version, [message for part in parts if (message := _decode_one(part)) is not None]


def _decode_one(part: msgspec.Raw) -> Message | None:
    try:
        return _message_decoder.decode(part)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
