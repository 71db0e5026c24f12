"""The official JSON schemas of OCPP 1.6 and of the security whitepaper: checking a CALL and putting its keys in order.

Only what the schemas say lives here; rules that they cannot express are in `command_rules`.
"""

import json
from functools import cache
from importlib import resources
from typing import Any, Final

import jsonschema_rs
import orjson

from api.errors import Invalid

LARGEST_INTEGER: Final = 2**63 - 1


@cache
def _schema(action: str) -> dict[str, Any]:
    text = (resources.files("ocpp.v16") / "schemas" / f"{action}.json").read_text("utf-8-sig")
    schema: dict[str, Any] = json.loads(text)
    return schema


@cache
def _validator(action: str) -> jsonschema_rs.Draft4Validator:
    return jsonschema_rs.Draft4Validator(_schema(action), validate_formats=True)


def check_payload(action: str, payload: dict[str, Any]) -> None:
    """Whether a payload is valid by the schema of its action.

    Raises:
        Invalid: it is not.
    """
    _check_integers(payload, "body.payload")
    error = next(_validator(action).iter_errors(payload), None)
    if error is not None:
        raise Invalid.field(".".join(["body.payload", *map(str, error.instance_path)]), error.message)


def _check_integers(value: object, place: str) -> None:
    """The schemas set no bounds, and what is above 64 bits cannot be stored as it is."""
    if isinstance(value, dict):
        for name, part in value.items():
            _check_integers(part, f"{place}.{name}")
    elif isinstance(value, list):
        for index, part in enumerate(value):
            _check_integers(part, f"{place}.{index}")
    elif isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        raise Invalid.field(place, "must fit into 64 bits")


def encode_payload(action: str, payload: dict[str, Any]) -> bytes:
    """Compact JSON with its keys in the order of the schema (OCPP-J 4.2.1): jsonb forgets it, and some charge points
    read no other."""
    schema = _schema(action)
    return orjson.dumps(_in_order(payload, schema, schema.get("definitions", {})))


def _in_order(value: object, schema: dict[str, Any], definitions: dict[str, Any]) -> object:
    schema = definitions.get(schema.get("$ref", "").rpartition("/")[2], schema)
    if isinstance(value, list):
        return [_in_order(item, schema.get("items", {}), definitions) for item in value]
    if not isinstance(value, dict):
        return value
    properties = schema.get("properties", {})
    names = [*(name for name in properties if name in value), *(name for name in value if name not in properties)]
    return {name: _in_order(value[name], properties.get(name, {}), definitions) for name in names}
