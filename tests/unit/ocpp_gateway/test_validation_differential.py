"""Our verdict on a payload is that of Draft-4 jsonschema with format checking, on payloads grown from the schemas.

Payloads are made from each schema and then damaged. Lenient on purpose is only what is JSON but fits no value of ours
(a lone surrogate, 1e400000, thousands of digits): it passes unjudged, as `test_validation` says.
"""

import importlib.util
import json
import random
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ocpp_gateway.validation import FROM_CHARGE_POINT, TO_CHARGE_POINT, Flaw, call_flaw, result_flaw

PAYLOADS_A_SCHEMA = 60
MOST_DAMAGES = 3
RFC_3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt]((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)(?:\.\d+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
TIMES = [
    *("2026-01-01T00:00:00Z", "2026-01-01t00:00:00.123456789z", "2026-01-01T00:00:00+02:00", "2026-02-30T00:00:00Z"),
    *(
        "2026-01-01T00:00:00",
        "2026-01-01 00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01",
        "",
        "2026-01-01T00:00:00+02",
    ),
    *("0001-01-01T00:00:00Z", "2024-02-29T23:59:59-23:59", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00.Z", "now"),
]
ODD_VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 12.0, 1.5, -0.0, 10**20, 1e300, 2**63, "", "x", "x" * 21, "x" * 600, "ß" * 20),
    *("\U0001f50c" * 21, [], [{}], {}, {"x": 1}, [None]),
    *TIMES,
]


def is_date_time(value: object) -> bool:
    """RFC 3339 5.6, without leap seconds."""
    if not isinstance(value, str):
        return True
    match = RFC_3339.fullmatch(value)
    if match is None:
        return False
    try:
        datetime.fromisoformat(f"{match[1]}T{match[2]}")
    except ValueError:
        return False
    return True


checker = jsonschema.FormatChecker(formats=())
checker.checks("date-time")(is_date_time)


def schema_of(name: str) -> dict[str, Any]:
    package = importlib.util.find_spec("ocpp")
    assert package is not None
    assert package.origin is not None
    file = Path(package.origin).parent / "v16" / "schemas" / f"{name}.json"
    schema: dict[str, Any] = json.loads(file.read_text("utf-8-sig"), parse_float=Decimal)
    return schema


def grown(schema: dict[str, Any], rng: random.Random, definitions: dict[str, Any] | None = None) -> Any:
    """A payload that fits the schema, or nearly."""
    definitions = schema.get("definitions", {}) if definitions is None else definitions
    if "$ref" in schema:
        return grown(definitions[schema["$ref"].rpartition("/")[2]], rng, definitions)
    if "enum" in schema:
        return rng.choice(schema["enum"])
    kind = schema.get("type")
    if kind == "object":
        required = schema.get("required", [])
        names = [name for name in schema.get("properties", {}) if name in required or rng.random() < 0.7]
        return {name: grown(schema["properties"][name], rng, definitions) for name in names}
    if kind == "array":
        return [grown(schema["items"], rng, definitions) for _ in range(rng.randint(1, 3))]
    if kind == "string":
        return (
            TIMES[0]
            if schema.get("format") == "date-time"
            else "x" * min(schema.get("maxLength", 9), rng.randint(1, 30))
        )
    return {"integer": rng.randint(-5, 10**6), "number": rng.randint(0, 100) / 10, "boolean": True}.get(str(kind), "x")


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a payload, with one of its keys."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])


def damage(payload: Any, rng: random.Random) -> None:
    found = list(places(payload))
    if not found or rng.random() < 0.1:
        payload[rng.choice(["x", "connectorId", "IdTag", ""])] = rng.choice(ODD_VALUES)
        return
    container, key = rng.choice(found)
    act = rng.randrange(4)
    if act == 0:
        del container[key]
    elif act == 1 and isinstance(container[key], str):
        container[key] += rng.choice([" ", "x" * 30, "Z", "é"])
    elif act == 2 and isinstance(container[key], dict):
        container[key]["unknown"] = 1
    else:
        container[key] = rng.choice(ODD_VALUES)


def disagreements(name: str, judge: Callable[[bytes], Flaw | None]) -> tuple[list[str], set[bool]]:
    schema, rng = schema_of(name), random.Random(name)
    reference = jsonschema.Draft4Validator(schema, format_checker=checker)
    found, verdicts = [], set()
    for number in range(PAYLOADS_A_SCHEMA):
        payload = grown(schema, rng)
        for _ in range(number % (MOST_DAMAGES + 1)):
            damage(payload, rng)
        raw = json.dumps(payload).encode()
        expected = reference.is_valid(json.loads(raw, parse_float=Decimal))
        flaw = judge(raw)
        verdicts.add(expected)
        if (flaw is None) != expected:
            found.append(f"jsonschema: {expected}, ours: {flaw}, payload: {raw.decode()[:300]}")
    return found, verdicts


@pytest.mark.parametrize("action", sorted(FROM_CHARGE_POINT))
def test_calls(action: str) -> None:
    found, verdicts = disagreements(action, lambda raw: call_flaw(action, raw))
    assert found == []
    assert verdicts == {True, False}, "the corpus holds both kinds"


@pytest.mark.parametrize("action", sorted(TO_CHARGE_POINT))
def test_results(action: str) -> None:
    found, verdicts = disagreements(f"{action}Response", lambda raw: result_flaw(action, raw))
    assert found == []
    assert verdicts == {True, False}, "the corpus holds both kinds"


@pytest.mark.parametrize("text", TIMES)
def test_times(text: str) -> None:
    payload = {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": text}
    assert (call_flaw("StartTransaction", json.dumps(payload).encode()) is None) == is_date_time(text)
