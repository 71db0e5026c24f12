"""Codec of OCPP-J frames: text to Call, CallResult, CallError or Unreadable, and back. Pure, and blind to payloads.

A payload stays the exact bytes that arrived (but `null` is `{}`); whether it fits its action, `validation` says.

What makes a frame unreadable, and how it is answered (J 4.2; codes of J 4.2.3, table 7):

| frame                                                        | answer                              |
|--------------------------------------------------------------|-------------------------------------|
| not JSON, not UTF-8, not an array, nested too deeply         | FormationViolation                  |
| message type neither 2, 3 nor 4                              | ProtocolError                       |
| CALL without a payload ("Payload for Action is incomplete")  | ProtocolError                       |
| CALL with more than four elements                            | FormationViolation                  |
| CALL whose message id is no string, or over 36 characters    | FormationViolation                  |
| CALL whose action is no string                               | FormationViolation                  |
| CALLRESULT or CALLERROR of another shape                     | none: an answer is never answered   |

The CALLERROR carries the message id wherever one can be made out, even in what is not JSON as a whole, else "-1".
"""

import json
import re
from typing import Final, NoReturn

import msgspec
import orjson

MAX_FRAME_BYTES: Final = 512 * 1024
"""A StopTransaction brings the transactionData of a whole night; one that is refused for its size comes for ever."""
LONGEST_MESSAGE_ID: Final = 36
"""J 4.1.4, so that a GUID fits."""
LONGEST_ECHOED_ID: Final = 255
LONGEST_DESCRIPTION: Final = 255
"""J 4.2.3: errorDescription."""
NO_MESSAGE_ID: Final = "-1"

CALL, CALL_RESULT, CALL_ERROR = 2, 3, 4


class Call(msgspec.Struct, frozen=True):
    """`[2, message id, action, payload]` (J 4.2.1)."""

    message_id: str
    action: str
    payload: bytes


class CallResult(msgspec.Struct, frozen=True):
    """`[3, message id, payload]` (J 4.2.2)."""

    message_id: str
    payload: bytes


class CallError(msgspec.Struct, frozen=True):
    """`[4, message id, code, description, details]` (J 4.2.3)."""

    message_id: str
    code: str
    description: str = ""


class Unreadable(msgspec.Struct, frozen=True):
    """A frame that cannot be served, with what could be made out of it."""

    code: str
    description: str
    message_id: str = NO_MESSAGE_ID
    action: str = ""
    payload: bytes = b""
    answerable: bool = True
    """False for what looks like an answer: answering it could go on for ever."""


Frame = Call | CallResult | CallError | Unreadable


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_call_decoder = msgspec.json.Decoder(tuple[int, str, str, msgspec.Raw])
_scan = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_no_constant)
"""Finds where a JSON value ends, without ever converting a number: their digits cost nothing."""
_WHITESPACE = re.compile(r"[ \t\n\r]*")


def parse(data: bytes) -> Frame:
    """Reads one frame. Never raises."""
    try:
        message_type, message_id, action, payload = _call_decoder.decode(data)
        if message_type == CALL and len(message_id) <= LONGEST_MESSAGE_ID:
            return Call(message_id, action, _payload(bytes(payload)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    elements, flaw = _split(data)
    return _Elements(elements, flaw).frame()


def call_frame(message_id: str, action: str, payload: bytes) -> bytes:
    """A CALL of ours; `payload` is JSON text."""
    return orjson.dumps([CALL, message_id, action, orjson.Fragment(payload)])


def call_result_frame(message_id: str, payload: bytes) -> bytes:
    """A CALLRESULT of ours; `payload` is JSON text."""
    return orjson.dumps([CALL_RESULT, message_id, orjson.Fragment(payload)])


def call_error_frame(message_id: str, code: str, description: str) -> bytes:
    """A CALLERROR of ours; a description that JSON cannot carry is made to fit."""
    text = description.encode(errors="replace").decode()[:LONGEST_DESCRIPTION]
    return orjson.dumps([CALL_ERROR, message_id, code, text, {}])


def _payload(raw: bytes) -> bytes:
    """ "A null payload is allowed": it means the empty object (J 4.2.1)."""
    return b"{}" if raw == b"null" else raw


class _Elements:
    """The elements of a frame that is no plain CALL, as far as they could be told apart."""

    def __init__(self, elements: list[bytes], flaw: str) -> None:
        self.elements = elements
        self.flaw = flaw
        """Why the frame as a whole is not JSON; empty where it is."""

    def frame(self) -> Frame:
        if not self.elements:
            return Unreadable("FormationViolation", self.flaw or "not a JSON array of a message type and more")
        if self.elements[0] == b"2":
            return self._call()
        if self.elements[0] in {b"3", b"4"}:
            return self._answer()
        if self.flaw:
            return self._unreadable("FormationViolation", self.flaw)
        return self._unreadable("ProtocolError", "the message type is not 2, 3 or 4")

    def _call(self) -> Frame:
        message_id, action = self._text(1), self._text(2)
        if self.flaw:
            return self._unreadable("FormationViolation", self.flaw)
        if message_id is None or len(message_id) > LONGEST_MESSAGE_ID:
            return self._unreadable("FormationViolation", "the message id is not a string of at most 36 characters")
        if len(self.elements) < 4:
            return self._unreadable("ProtocolError", "a CALL has a message id, an action and a payload")
        if action is None:
            return self._unreadable("FormationViolation", "the action is not a string")
        if len(self.elements) > 4:
            return self._unreadable("FormationViolation", "a CALL has four elements")
        return Call(message_id, action, _payload(self.elements[3]))

    def _answer(self) -> Frame:
        message_id = self._text(1)
        if self.flaw or message_id is None:
            return self._unreadable("FormationViolation", self.flaw or "an answer without a message id")
        if self.elements[0] == b"3" and len(self.elements) == 3:
            return CallResult(message_id, _payload(self.elements[2]))
        if self.elements[0] == b"4" and len(self.elements) >= 3:
            return CallError(message_id, self._text(2) or "GenericError", self._text(3) or "")
        return self._unreadable("ProtocolError", "an answer of another shape")

    def _unreadable(self, code: str, description: str) -> Unreadable:
        message_id = self._text(1)
        if message_id is None or len(message_id) > LONGEST_ECHOED_ID:
            message_id = NO_MESSAGE_ID
        answerable = self.elements[0] not in {b"3", b"4"}
        payload = self.elements[3] if len(self.elements) > 3 else b""
        return Unreadable(code, description, message_id, self._text(2) or "", payload, answerable)

    def _text(self, index: int) -> str | None:
        """The element at `index` where it is a string that can be sent back."""
        try:
            value = orjson.loads(self.elements[index])
        except (IndexError, orjson.JSONDecodeError):
            return None
        return value if isinstance(value, str) else None


def _split(data: bytes) -> tuple[list[bytes], str]:
    """The raw elements of a JSON array, and what is wrong with the text where something is.

    Read as Latin-1, in which a character is a byte: JSON's own signs are ASCII, so every position holds. Where a
    payload breaks off, the rest of the frame is taken as that payload.
    """
    text = data.decode("latin-1")
    position = _skip(text, 0)
    if text[position : position + 1] != "[":
        return [], "not a JSON array"
    position = _skip(text, position + 1)
    elements: list[bytes] = []
    while elements or text[position : position + 1] != "]":
        try:
            end = _scan.raw_decode(text, position)[1]
        except (ValueError, RecursionError) as error:
            flaw = "nested too deeply" if isinstance(error, RecursionError) else f"not JSON: {error}"
            return [*elements, data[position:].rstrip().removesuffix(b"]")], flaw
        elements.append(data[position:end])
        position = _skip(text, end)
        if text[position : position + 1] != ",":
            break
        position = _skip(text, position + 1)
    return elements, _ending_flaw(data, text, position)


def _skip(text: str, position: int) -> int:
    found = _WHITESPACE.match(text, position)
    return found.end() if found else position


def _ending_flaw(data: bytes, text: str, position: int) -> str:
    if text[position : position + 1] != "]":
        return "not JSON: the array does not end"
    if _skip(text, position + 1) != len(text):
        return "not JSON: text after the array"
    try:
        data.decode()
    except UnicodeDecodeError:
        return "not UTF-8"
    return ""
