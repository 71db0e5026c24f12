"""What is checked on every frame that the central system sends: schema, key order, form. Pure."""

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any, Final

LONGEST_MESSAGE_ID: Final = 36
_MOMENT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


@cache
def schema(name: str) -> dict[str, Any]:
    """The official schema of `Action` or `ActionResponse`."""
    text = files("ocpp.v16.schemas").joinpath(f"{name}.json").read_text("utf-8-sig")
    found: dict[str, Any] = json.loads(text)
    return found


def flaws(raw: str, action: str) -> list[str]:
    """What is wrong with a CALL or CALLRESULT of the central system; the schema itself is the client's to check."""
    message = json.loads(raw)
    found = []
    if json.dumps(message, separators=(",", ":"), ensure_ascii=False) != raw:
        found.append(f"not compact: {raw}")
    if len(message[1]) > LONGEST_MESSAGE_ID:
        found.append(f"message id of {len(message[1])} characters (J 4.1.4)")
    payload = message[3] if message[0] == 2 else message[2]
    whole = schema(action if message[0] == 2 else f"{action}Response")
    found += _out_of_order(payload, whole, whole.get("definitions", {}), action)
    found += _times_without_z(payload, action)
    return found


def _out_of_order(value: Any, part: dict[str, Any], definitions: dict[str, Any], where: str) -> list[str]:
    """Some charge points read keys in no other order than the schema's."""
    if "$ref" in part:
        part = definitions[part["$ref"].rpartition("/")[2]]
    if isinstance(value, list):
        items = part.get("items", {})
        return [flaw for item in value for flaw in _out_of_order(item, items, definitions, where)]
    if not isinstance(value, dict):
        return []
    properties = part.get("properties", {})
    expected = [name for name in properties if name in value]
    found = [f"{where}: keys {list(value)}, the schema has {expected}"] if list(value) != expected else []
    for name, inner in value.items():
        found += _out_of_order(inner, properties.get(name, {}), definitions, f"{where}.{name}")
    return found


def _times_without_z(value: Any, where: str) -> list[str]:
    if isinstance(value, dict):
        return [flaw for name, inner in value.items() for flaw in _times_without_z(inner, f"{where}.{name}")]
    if isinstance(value, list):
        return [flaw for inner in value for flaw in _times_without_z(inner, where)]
    if isinstance(value, str) and _MOMENT.match(value) and not value.endswith("Z"):
        return [f"{where}: the time {value} does not end in Z"]
    return []
