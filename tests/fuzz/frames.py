"""Frames to throw at a gateway, from a seed: valid ones by their schemas, and all that can be wrong with them."""

import json
import string
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from ocpp_gateway.frames import MAX_FRAME_BYTES
from ocpp_gateway.validation import CALL_SCHEMAS, RESULT_SCHEMAS, TO_CHARGE_POINT
from tests.corpus import frame_cases

TIMES = (
    *("2026-05-04T09:00:00Z", "2026-05-04T09:00:00.123+02:00", "2026-05-04T09:00:00", "2026-05-04T11:00:00+02"),
    *("0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "9999-12-31T23:59:60Z", "", "yesterday"),
)
TEXTS = ("", "A", "CARD1", "0", "12.0", "-1", "NaN", "\0", "\ud800", "\u202e", "😀" * 9, "x" * 21, "y" * 300, '"', "\\")
NUMBERS = (0, 1, -1, 2**31 - 1, 2**31, 2**53 + 1, 2**63 - 1, 2**64, -(10**40), 1.0, 12.5, 1e308, -0.0)
ANYTHING: tuple[Any, ...] = (None, True, False, [], {}, [[]], {"": None}, [{}], *NUMBERS, *TEXTS)
RAW = ("1e400000", "-", "01", "+1", "NaN", "Infinity", "", "'a'", '"\\ud800"', '"\\x"', "9" * 6000, "nul", "{", "]")
SIZES = (MAX_FRAME_BYTES // 8, MAX_FRAME_BYTES // 2, MAX_FRAME_BYTES - 100, MAX_FRAME_BYTES, 4 * MAX_FRAME_BYTES)


class Frames:
    """An endless supply. The same seed gives the same frames."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._actions = sorted(CALL_SCHEMAS)
        self._golden = [case.frame for case in frame_cases()]
        self._number = 0
        self._kinds: list[tuple[int, Callable[[], bytes]]] = [
            (30, self.valid),
            (38, self.mutated),
            (8, self._golden_frame),
            (12, lambda: self._bytes_changed(self.mutated())),
            (6, self._other_envelope),
            (4, self._answer),
            (2, self._evil),
        ]

    def next(self) -> bytes:
        """One frame."""
        weights = [weight for weight, _ in self._kinds]
        return self._random.choices([make for _, make in self._kinds], weights)[0]()

    def chance(self, probability: float) -> bool:
        """True so often."""
        return self._random.random() < probability

    def valid(self) -> bytes:
        """A CALL that fits its schema."""
        action = self._random.choice(self._actions)
        return self._call(action, self._value(CALL_SCHEMAS[action], CALL_SCHEMAS[action]))

    def mutated(self) -> bytes:
        """A CALL with something wrong in a place that the schema knows."""
        action = self._random.choice(self._actions)
        payload = self._value(CALL_SCHEMAS[action], CALL_SCHEMAS[action])
        for _ in range(self._random.choice((1, 1, 1, 2, 5))):
            payload = self._wrong(payload)
        return self._call(action, payload)

    def result(self, message_id: str, action: str) -> bytes:
        """An answer to a command, right or wrong."""
        schema = RESULT_SCHEMAS.get(action, {})
        payload = self._value(schema, schema)
        if self.chance(0.5):
            payload = self._wrong(payload)
        if self.chance(0.1):
            return _text([4, self._random.choice((message_id, "-1")), "NotSupported", "", {}])
        frame = _text([3, message_id, payload])
        return self._bytes_changed(frame) if self.chance(0.1) else frame

    def socket_bytes(self) -> bytes:
        """What breaks, or bends, the rules of RFC 6455."""
        noise = self._random.randbytes(self._random.randint(1, 60))
        return self._random.choice(
            (
                noise,
                b"\x82\x84\0\0\0\0" + noise[:4].ljust(4),  # binary
                b"\x01\x83\0\0\0\0[2,\x00\x82\0\0\0\0[]",  # a text in fragments, not ended
                b"\x89\x84\0\0\0\0ping",
                b"\x8a\x80\0\0\0\0",
                b"\x88\x82\0\0\0\0\x03\xe8",
                b"\x88\x81\0\0\0\0\x03",
                b"\xf1\x80\0\0\0\0",
                b"\x80\x80\0\0\0\0",
                b"\x81\x02[]",  # not masked
                b"\x81\xff\x7f" + b"\xff" * 7 + b"\0\0\0\0",  # announces far too much
            )
        )

    # --- payloads ---

    def _call(self, action: str, payload: object) -> bytes:
        self._number += 1
        return _text([2, f"f{self._number}", action, payload])

    def _value(self, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
        reference = schema.get("$ref")
        if reference:
            schema = root["definitions"][reference.rpartition("/")[2]]
        kind = schema.get("type")
        if kind == "object":
            required = schema.get("required", ())
            properties = schema.get("properties", {}).items()
            return {name: self._value(part, root) for name, part in properties if name in required or self.chance(0.5)}
        if kind == "array":
            count = max(schema.get("minItems", 0), self._random.choice((0, 1, 1, 2, 5)))
            return [self._value(schema.get("items", {}), root) for _ in range(count)]
        if kind == "string":
            return self._string(schema)
        if kind == "boolean":
            return self.chance(0.5)
        return self._random.randint(0, 100_000)

    def _string(self, schema: Mapping[str, Any]) -> str:
        if "enum" in schema:
            return str(self._random.choice(schema["enum"]))
        if schema.get("format") == "date-time":
            return self._random.choice(TIMES[:2])
        if schema.get("format") == "uri":
            return "ftp://example.org/a"
        longest = min(schema.get("maxLength", 30), 30)
        return "".join(self._random.choices(string.ascii_letters + string.digits, k=self._random.randint(1, longest)))

    def _wrong(self, payload: Any) -> Any:
        """The payload with one thing changed, somewhere."""
        if isinstance(payload, dict) and payload and self.chance(0.85):
            key = self._random.choice(sorted(payload))
            return self._wrong_field(payload, key)
        if isinstance(payload, list) and payload and self.chance(0.7):
            at = self._random.randrange(len(payload))
            return [self._wrong(item) if index == at else item for index, item in enumerate(payload)]
        return self._random.choice(
            (
                self._random.choice(ANYTHING), self._random.choice(TIMES), [payload], {"x": payload}, f"{payload}"[:99],
                f"{payload}"[:500] * 30, float(payload) if isinstance(payload, int) else payload,
            )
        )  # fmt: skip

    def _wrong_field(self, payload: dict[str, Any], key: str) -> dict[str, Any]:
        change = self._random.randrange(6)
        if change == 0:
            return {name: item for name, item in payload.items() if name != key}
        if change == 1:
            return payload | {
                self._random.choice(("x", "", "\0", "transactionId", "idTag")): self._random.choice(ANYTHING)
            }
        item = payload[key]
        if change == 2 and isinstance(item, list) and item:
            return payload | {key: item[0]}
        return payload | {key: self._wrong(item)}

    # --- texts ---

    def _golden_frame(self) -> bytes:
        frame = self._random.choice(self._golden)
        return self._bytes_changed(frame) if self.chance(0.3) else frame

    def _bytes_changed(self, frame: bytes) -> bytes:
        at = self._random.randrange(len(frame) + 1)
        change = self._random.randrange(6)
        if change == 0:
            return frame[:at]
        if change == 1:
            return frame[:at] + self._random.randbytes(self._random.randint(1, 4)) + frame[at:]
        if change == 2:
            return frame[:at] + frame[at + self._random.randint(1, 9) :]
        if change == 3:
            return frame[:at] + self._random.choice(RAW).encode() + frame[at:]
        if change == 4:
            return frame + frame[at:]
        return frame.replace(b":", b":" + self._random.choice(RAW).encode() + b"," * self.chance(0.5), 1)

    def _other_envelope(self) -> bytes:
        elements: list[Any] = [2, "e", self._random.choice(self._actions), {}]
        change = self._random.randrange(5)
        if change == 0:
            elements[self._random.randrange(4)] = self._random.choice(ANYTHING)
        elif change == 1:
            del elements[self._random.randrange(4)]
        elif change == 2:
            elements.insert(self._random.randrange(5), self._random.choice(ANYTHING))
        elif change == 3:
            elements[1] = "i" * self._random.choice((36, 37, 255, 256, 5000))
        else:
            elements[2] = self._random.choice(
                (*sorted(TO_CHARGE_POINT), "TransactionEvent", "heartbeat", "", "a" * 999)
            )
        return _text(elements)

    def _answer(self) -> bytes:
        kind = self._random.choice((3, 4))
        return _text([kind, self._random.choice(("f1", "-1", "", 7)), *self._random.sample(ANYTHING, k=kind - 2)])

    def _evil(self) -> bytes:
        depth = self._random.choice((100, 5_000, 60_000))
        return self._random.choice(
            (
                b"[" * depth,
                b'[2,"d","DataTransfer",' + b"[" * depth + b"]" * depth + b"]",
                b'[2,"d","DataTransfer",{"vendorId":"v","data":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}]",
                _text([2, "big", "DataTransfer", {"vendorId": "v", "data": "x" * self._random.choice(SIZES)}]),
                b'[2,"n","StartTransaction",{"connectorId":' + b"9" * 20_000 + b"}]",
                b'[2,"u","Authorize",{"idTag":"' + self._random.randbytes(10) + b'"}]',
                b'[2,"k","Heartbeat",{' + b",".join(b'"k%d":1' % n for n in range(500)) + b"}]",
                b" " * 2000 + b'[2,"s","Heartbeat",{}]',
                b"",
            )
        )


def _text(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
