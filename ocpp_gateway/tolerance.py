"""Judges what a charge point sends: valid, repaired by the quirks that are set, or refused, and what would help.

Pure: the rules of each repair are in `repairs`, the schemas in `validation`. A valid payload is never touched.
"""

from collections.abc import Collection
from typing import Final

import msgspec

from ocpp_gateway import repairs, validation
from ocpp_gateway.frames import Call, Unreadable
from ocpp_gateway.repairs import Repaired
from ocpp_gateway.validation import Flaw
from wire.quirks import MISSING_VALUES, QUIRKS, UNKNOWN_UNITS

OF_FRAMES: Final = frozenset(name for name, quirk in QUIRKS.items() if quirk.concerns == "frames")


class Judged(msgspec.Struct, frozen=True):
    """A CALL with what is wrong with it, and what was done about that."""

    call: Call
    flaw: Flaw | None
    original: bytes = b""
    """The payload as it arrived, where it was repaired."""
    notes: tuple[str, ...] = ()
    suggested: tuple[str, ...] = ()
    """The quirks that are not set and with which a refused call would have been taken."""
    repaired: bytes = b""
    """What a refused call would then be; empty where no quirk helps."""


def readable(frame: Unreadable, quirks: Collection[str]) -> Repaired | None:
    """The payload of a CALL that is not JSON, where a quirk that is set explains it."""
    return _filled(frame) if MISSING_VALUES in quirks else None


def judge(frame: Call | Unreadable, quirks: Collection[str]) -> Judged:
    """Judges a CALL; of an unreadable one, what it could have been."""
    if isinstance(frame, Unreadable):
        return _refused(frame, Flaw(frame.code, frame.description), quirks)
    flaw = validation.call_flaw(frame.action, frame.payload)
    if flaw is None:
        return Judged(frame, None)
    repaired = _repaired(frame.action, frame.payload, OF_FRAMES & frozenset(quirks))
    if repaired is not None:
        call = Call(frame.message_id, frame.action, repaired.payload)
        return Judged(call, None, frame.payload, repaired.notes)
    return _refused(frame, flaw, quirks)


def refuse(frame: Call | Unreadable, flaw: Flaw, quirks: Collection[str]) -> Judged:
    """A CALL that is refused for another reason than its payload, which may be good all the same."""
    if isinstance(frame, Call) and validation.call_flaw(frame.action, frame.payload) is None:
        return Judged(frame, flaw, repaired=frame.payload)
    return _refused(frame, flaw, quirks)


def repaired_result(action: str, payload: bytes, quirks: Collection[str]) -> Repaired | None:
    """The answer of a charge point to our CALL, where quirks that are set make it fit its schema."""
    schema = validation.RESULT_SCHEMAS.get(action)
    repaired = repairs.repair(schema, payload, quirks) if schema is not None and quirks else None
    fits = repaired is not None and validation.result_flaw(action, repaired.payload) is None
    return repaired if fits else None


def _refused(frame: Call | Unreadable, flaw: Flaw, quirks: Collection[str]) -> Judged:
    call = frame if isinstance(frame, Call) else Call(frame.message_id, frame.action, frame.payload)
    helped = _with_any_quirk(frame)
    if helped is None:
        return Judged(call, flaw)
    suggested = tuple(name for name in helped.quirks if name not in quirks)
    return Judged(call, flaw, suggested=suggested, repaired=helped.payload)


def _with_any_quirk(frame: Call | Unreadable) -> Repaired | None:
    """The payload as it would be taken if every quirk were set, and those that it needs."""
    if frame.action not in validation.FROM_CHARGE_POINT:
        return None
    if isinstance(frame, Call):
        return _repaired(frame.action, frame.payload, OF_FRAMES)
    filled = _filled(frame)
    if filled is None:
        return None
    if validation.call_flaw(frame.action, filled.payload) is None:
        return filled
    further = _repaired(frame.action, filled.payload, OF_FRAMES)
    if further is None:
        return None
    return Repaired(further.payload, (*filled.quirks, *further.quirks), (*filled.notes, *further.notes))


def _filled(frame: Unreadable) -> Repaired | None:
    if not frame.answerable or frame.message_id == "-1":
        return None
    return repairs.fill_missing_values(frame.action, frame.payload)


def _repaired(action: str, payload: bytes, quirks: Collection[str]) -> Repaired | None:
    schema = validation.CALL_SCHEMAS.get(action)
    if schema is None or not quirks:
        return None
    repaired = repairs.repair(schema, payload, quirks)
    if repaired is None:
        return None
    flaw = validation.call_flaw(action, repaired.payload, any_unit=UNKNOWN_UNITS in quirks)
    return repaired if flaw is None else None
