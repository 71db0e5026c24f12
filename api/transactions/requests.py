"""StartTransaction.req, MeterValues.req and StopTransaction.req as data, read from raw JSON. Pure.

The gateway has checked them against the schemas; numbers written as strings or as `12.0` are read as what they mean.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from api.accounting.metering import Reading, SampledValue, read_samples
from api.charge_points.timestamps import UNREADABLE, parse_timestamp

LARGEST_CONNECTOR: Final = 2**31 - 1
LARGEST_BIGINT: Final = 2**63 - 1
LONGEST_TAG: Final = 255


class StartRequest(msgspec.Struct, rename="camel"):
    """StartTransaction.req (6.45)."""

    connector_id: int
    id_tag: str
    meter_start: int
    timestamp: str
    reservation_id: int | None = None

    @property
    def started_at(self) -> datetime:
        """The charge point's time of the start, in UTC."""
        return parse_timestamp(self.timestamp)

    @property
    def tag(self) -> str:
        """The idTag as it is kept: idTags are case-insensitive (7.28 IdToken)."""
        return self.id_tag.upper()


class MeterValue(msgspec.Struct, rename="camel"):
    """MeterValue (7.33); the samples stay as the charge point wrote them."""

    timestamp: str
    sampled_value: msgspec.Raw


class MeterValuesRequest(msgspec.Struct, rename="camel"):
    """MeterValues.req (6.31)."""

    connector_id: int
    meter_value: list[MeterValue]
    transaction_id: int | None = None


class StopRequest(msgspec.Struct, rename="camel"):
    """StopTransaction.req (6.47); `reason` is Local where it is left out (4.10)."""

    meter_stop: int
    timestamp: str
    transaction_id: int
    id_tag: str | None = None
    reason: str = "Local"
    transaction_data: list[MeterValue] | None = None

    @property
    def stopped_at(self) -> datetime:
        """The charge point's time of the stop, in UTC."""
        return parse_timestamp(self.timestamp)

    @property
    def digest(self) -> bytes:
        """The same for the same stop, whatever the order of its keys; anything that differs changes it."""
        stop = (self.transaction_id, self.meter_stop, str(self.stopped_at), self.id_tag, self.reason)
        digest = hashlib.sha256(msgspec.msgpack.encode(stop))
        for value in self.transaction_data or ():
            digest.update(value.timestamp.encode() + bytes(value.sampled_value))
        return digest.digest()


class Sample(NamedTuple):
    """One meterValue, ready to be stored: `samples` is the raw sampledValue list."""

    sampled_at: datetime
    digest: int
    reading: Reading
    samples: str


_start = msgspec.json.Decoder(StartRequest, strict=False)
_meter_values = msgspec.json.Decoder(MeterValuesRequest, strict=False)
_stop = msgspec.json.Decoder(StopRequest, strict=False)
_samples = msgspec.json.Decoder(list[SampledValue], float_hook=Decimal)


def read_start(payload: bytes) -> StartRequest:
    """Raises: msgspec.DecodeError, UnicodeDecodeError: no StartTransaction.req."""
    return _start.decode(payload)


def read_meter_values(payload: bytes) -> MeterValuesRequest:
    """Raises: msgspec.DecodeError, UnicodeDecodeError: no MeterValues.req."""
    return _meter_values.decode(payload)


def read_stop(payload: bytes) -> StopRequest:
    """Raises: msgspec.DecodeError, UnicodeDecodeError: no StopTransaction.req."""
    return _stop.decode(payload)


def read_values(values: Sequence[MeterValue], context: bytes = b"") -> Iterator[Sample]:
    """The meterValues ready to be stored; `context` goes into the digest that ends duplicates.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError: samples that are no list of objects.
    """
    for value in values:
        raw = bytes(value.sampled_value)
        digest = hashlib.blake2b(context + raw, digest_size=8).digest()
        reading = read_samples(_samples.decode(raw))
        yield Sample(parse_timestamp(value.timestamp), int.from_bytes(digest, signed=True), reading, raw.decode())


def salvage_start(payload: bytes) -> StartRequest:
    """What can be read of a StartTransaction.req that cannot be processed, made storable.

    The same payload gives the same request, so that a replay finds its transaction.
    """
    fields = _salvage(payload)
    return StartRequest(
        connector_id=_bounded(fields.get("connectorId"), LARGEST_CONNECTOR),
        id_tag=_storable(fields.get("idTag")),
        meter_start=_bounded(fields.get("meterStart"), LARGEST_BIGINT),
        timestamp=_storable(fields.get("timestamp")) or UNREADABLE.isoformat(),
    )


def salvage_transaction_id(payload: bytes) -> int:
    """The transactionId in a message that cannot be processed; 0, which no transaction has, where there is none."""
    return _bounded(_salvage(payload).get("transactionId"), LARGEST_CONNECTOR)


def _salvage(payload: bytes) -> dict[str, Any]:
    """Top-level fields, read by the forgiving parser; where that fails too, the plain ones found in the text."""
    text = payload.decode("utf-8", "replace")
    try:
        fields = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        fields = dict(re.findall(r'"(connectorId|idTag|meterStart|timestamp|transactionId)"\s*:\s*"?([\w.:+-]*)', text))
    return fields if isinstance(fields, dict) else {}


def _bounded(value: object, largest: int) -> int:
    if isinstance(value, str) and value.isdecimal() and len(value) < 20:
        value = int(value)
    return value if isinstance(value, int) and 0 <= value <= largest else 0


def _storable(value: object) -> str:
    text = str(value if value is not None else "").replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text.encode("utf-8", "replace").decode()[:LONGEST_TAG]
