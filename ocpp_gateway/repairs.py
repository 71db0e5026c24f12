"""Repairs a payload that departs from its schema, as far as named quirks allow, and says what it repaired. Pure.

It walks the payload along its JSON schema, so that a repair happens only where the schema is broken. Whether the result
is valid, `validation` says; numbers keep their digits.
"""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec
import orjson

from wire.quirks import (
    DECIMAL_INTEGERS,
    EMPTY_OPTIONALS,
    LONG_ID_TAGS,
    LONG_STRINGS,
    MISSING_VALUES,
    NUMBERS_FOR_STRINGS,
    OBJECTS_FOR_LISTS,
    STRINGS_FOR_NUMBERS,
    TIMESTAMP_SHORT_OFFSET,
    TIMESTAMP_WITHOUT_ZONE,
    UNKNOWN_ERROR_CODES,
    UNKNOWN_UNITS,
)

MOST_NOTES: Final = 20
"""Repairs that are told one by one; a night of meter values may need hundreds of the same."""
LONGEST_QUOTE: Final = 60
ID_TAGS: Final = frozenset({"idTag", "parentIdTag"})
LONGEST_VENDOR_ERROR: Final = 50
"""StatusNotification.req (6.43)."""

_NUMBER: Final = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_INTEGER: Final = re.compile(r"(-?(?:0|[1-9]\d*))\.0+")
_TIME: Final = r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d(?:\.\d+)?)"
_WITHOUT_ZONE: Final = re.compile(_TIME)
_SHORT_OFFSET: Final = re.compile(_TIME + r"([+-]\d\d)(\d\d)?")
_KEY_WITHOUT_VALUE: Final = re.compile(r'"(?:[^"\\]|\\.)*"|:(\s*)(?=[,}])')
_NO_VALUE: Final = "NaN"
"""Stands for a missing value: Python reads it, and JSON has none like it."""


class Repaired(msgspec.Struct, frozen=True):
    """A payload after repair: which quirks it took, and a sentence for each repair."""

    payload: bytes
    quirks: tuple[str, ...]
    notes: tuple[str, ...]


class _Number(str):
    """A JSON number by its text."""

    __slots__ = ()


class _Absent:
    """A value that is not there, or shall be left out."""


_ABSENT: Final = _Absent()


def repair(schema: Mapping[str, Any], payload: bytes, quirks: Collection[str]) -> Repaired | None:
    """The payload with everything repaired that `quirks` allow; None where nothing was, or it cannot be read."""
    try:
        value = json.loads(payload, parse_int=_Number, parse_float=_Number, parse_constant=_refuse)
        walk = _Walk(schema, frozenset(quirks))
        repaired = walk.value(value, schema, "", optional=False)
        if not walk.used:
            return None
        return Repaired(_dump(repaired), tuple(sorted(walk.used)), walk.told())
    except (ValueError, TypeError, RecursionError):
        return None


def fill_missing_values(action: str, text: bytes) -> Repaired | None:
    """JSON out of a payload in which keys have no value; None where that is not what is wrong with it.

    The keys are left out; without its transactionId a StopTransaction names 0, which no transaction has.
    """
    absent: list[str] = []
    try:
        marked = _KEY_WITHOUT_VALUE.sub(
            lambda found: ":" + _NO_VALUE if found[0][0] == ":" else found[0], text.decode()
        )
        value = json.loads(marked, parse_int=_Number, parse_float=_Number, parse_constant=lambda _: _ABSENT)
        kept = _without_absent(value, "", absent)
        if not absent or not isinstance(kept, dict):
            return None
        if action == "StopTransaction":
            kept.setdefault("transactionId", _Number("0"))
        notes = [f"{MISSING_VALUES}: {path} has no value" for path in absent]
        return Repaired(_dump(kept), (MISSING_VALUES,), _bounded(notes))
    except (ValueError, TypeError, RecursionError):
        return None


def _without_absent(value: object, path: str, absent: list[str]) -> object:
    if isinstance(value, list):
        return [_without_absent(item, f"{path}/{index}", absent) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    absent += [f"{path}/{key}".lstrip("/") for key, item in value.items() if item is _ABSENT]
    return {key: _without_absent(item, f"{path}/{key}", absent) for key, item in value.items() if item is not _ABSENT}


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _dump(value: object) -> bytes:
    """JSON text; an absent value, or a string that is no UTF-8, cannot be dumped (TypeError)."""
    return orjson.dumps(_fragments(value))


def _fragments(value: object) -> object:
    if isinstance(value, _Number):
        return orjson.Fragment(value.encode())
    if isinstance(value, list):
        return [_fragments(item) for item in value]
    if isinstance(value, dict):
        return {key: _fragments(item) for key, item in value.items()}
    return value


def _bounded(notes: list[str]) -> tuple[str, ...]:
    """What JSON and PostgreSQL can carry, the first of many."""
    more = [f"and {len(notes) - MOST_NOTES} more"] if len(notes) > MOST_NOTES else []
    return tuple(
        note.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
        for note in [*notes[:MOST_NOTES], *more]
    )


class _Walk:
    """One pass over a payload."""

    def __init__(self, root: Mapping[str, Any], quirks: frozenset[str]) -> None:
        self.used: set[str] = set()
        self._root = root
        self._quirks = quirks
        self._notes: list[str] = []

    def told(self) -> tuple[str, ...]:
        """A sentence for each repair."""
        return _bounded(self._notes)

    def value(self, value: object, schema: Mapping[str, Any], path: str, *, optional: bool) -> object:
        """`value`, repaired; `_ABSENT` where the field is to be left out."""
        schema = self._resolved(schema)
        kind = schema.get("type")
        if optional and self._is_empty(value, schema) and self._may(EMPTY_OPTIONALS, path, value, "left out"):
            return _ABSENT
        if kind == "array":
            return self._list(value, schema, path)
        if kind == "object":
            return self._object(value, schema, path) if isinstance(value, dict) else value
        if kind == "string":
            return self._string(value, schema, path)
        return self._number(value, path, kind) if kind in {"integer", "number"} else value

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema
        found: Any = self._root
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
        return found  # type: ignore[no-any-return]

    @staticmethod
    def _is_empty(value: object, schema: Mapping[str, Any]) -> bool:
        return value is None or (value == "" and not isinstance(value, _Number) and "enum" in schema)

    def _list(self, value: object, schema: Mapping[str, Any], path: str) -> object:
        if isinstance(value, dict) and self._may(OBJECTS_FOR_LISTS, path, "an object", "a list of one"):
            value = [value]
        if not isinstance(value, list):
            return value
        items = schema.get("items", {})
        return [self.value(item, items, f"{path}/{index}", optional=False) for index, item in enumerate(value)]

    def _object(self, value: dict[str, Any], schema: Mapping[str, Any], path: str) -> dict[str, Any]:
        properties, required = schema.get("properties", {}), schema.get("required", ())
        repaired = {}
        for key, item in value.items():
            place = f"{path}/{key}" if path else key
            result = self.value(item, properties.get(key, {}), place, optional=key not in required)
            if result is not _ABSENT:
                repaired[key] = result
        if "vendorErrorCode" in properties:
            self._keep_error_code(value, repaired)
        return repaired

    def _keep_error_code(self, value: Mapping[str, Any], repaired: dict[str, Any]) -> None:
        """4.9: what is not in the list of errors goes into vendorErrorCode."""
        if value.get("errorCode") != repaired.get("errorCode"):
            repaired.setdefault("vendorErrorCode", str(value["errorCode"])[:LONGEST_VENDOR_ERROR])

    def _string(self, value: object, schema: Mapping[str, Any], path: str) -> object:
        if isinstance(value, _Number) and self._may(NUMBERS_FOR_STRINGS, path, value, "its text"):
            value = str(value)
        if isinstance(value, _Number) or not isinstance(value, str):
            return value
        if schema.get("format") == "date-time":
            return self._time(value, path)
        name = path.rpartition("/")[2]
        if "enum" in schema and value not in schema["enum"]:
            return self._enumerated(value, name, path)
        longest = schema.get("maxLength", len(value))
        quirk = LONG_ID_TAGS if name in ID_TAGS else LONG_STRINGS
        if len(value) > longest and self._may(quirk, path, value, f"its first {longest} characters"):
            return value[:longest]
        return value

    def _enumerated(self, value: str, name: str, path: str) -> str:
        if name == "errorCode" and self._may(UNKNOWN_ERROR_CODES, path, value, "OtherError"):
            return "OtherError"
        if name == "unit":
            self._may(UNKNOWN_UNITS, path, value, "kept")
        return value

    def _time(self, value: str, path: str) -> str:
        text = value.strip()
        if (found := _WITHOUT_ZONE.fullmatch(text)) and self._may(TIMESTAMP_WITHOUT_ZONE, path, value, "UTC"):
            return f"{found[1]}T{found[2]}Z"
        if found := _SHORT_OFFSET.fullmatch(text):
            whole = f"{found[1]}T{found[2]}{found[3]}:{found[4] or '00'}"
            return whole if self._may(TIMESTAMP_SHORT_OFFSET, path, value, whole) else value
        return value

    def _number(self, value: object, path: str, kind: str) -> object:
        if isinstance(value, str) and not isinstance(value, _Number):
            text = value.strip()
            if _NUMBER.fullmatch(text) and self._may(STRINGS_FOR_NUMBERS, path, value, "the number"):
                value = _Number(text)
        if kind == "integer" and isinstance(value, _Number) and (found := _INTEGER.fullmatch(value)):
            return _Number(found[1]) if self._may(DECIMAL_INTEGERS, path, value, found[1]) else value
        return value

    def _may(self, quirk: str, path: str, found: object, taken_as: str) -> bool:
        """Whether the quirk is set; then its repair is noted."""
        if quirk not in self._quirks:
            return False
        self.used.add(quirk)
        quoted = found if isinstance(found, str) else json.dumps(found)
        self._notes.append(f"{quirk}: {path} {quoted[:LONGEST_QUOTE]!r} taken as {taken_as}")
        return True
