"""Does a payload fit its action? The OCPP 1.6 schemas, compiled once, and the CALLERROR code where one does not fit.

Pure, apart from reading the schema files of the `ocpp` package when it is imported. Nothing is repaired here.

The codes of J 4.2.3, table 7, in the order in which they are chosen where a payload has several flaws:

| flaw                                                                     | code                          |
|--------------------------------------------------------------------------|-------------------------------|
| action that OCPP 1.6 and its security extension do not have              | NotImplemented                |
| action that only a central system sends                                  | NotSupported                  |
| payload that is no object, not UTF-8, nested too deeply; unknown field   | FormationViolation            |
| required field missing, list with too few or too many items              | OccurenceConstraintViolation  |
| field of another type ("12" for 12, null, 12.0 for an integer)           | TypeConstraintViolation       |
| value not in the enumeration, too long, no dateTime, not a multiple      | PropertyConstraintViolation   |

What is JSON by its grammar but fits no number or string of ours (a lone surrogate,
1e400000) passes unjudged: the api sets it aside, so that no session is lost over it.
"""

import importlib.util
import json
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NoReturn

import jsonschema_rs
import msgspec
import orjson

TRANSACTION_RELATED: Final = frozenset({"StartTransaction", "MeterValues", "StopTransaction"})
"""What is committed even where it must be refused (3.7.1: a charge point gives up after some attempts)."""
FROM_CHARGE_POINT: Final = TRANSACTION_RELATED | {
    *("Authorize", "BootNotification", "DataTransfer", "DiagnosticsStatusNotification", "FirmwareStatusNotification"),
    *("Heartbeat", "LogStatusNotification", "SecurityEventNotification", "SignCertificate"),
    *("SignedFirmwareStatusNotification", "StatusNotification"),
}
TO_CHARGE_POINT: Final = frozenset(
    {
        *("CancelReservation", "CertificateSigned", "ChangeAvailability", "ChangeConfiguration", "ClearCache"),
        *(
            "ClearChargingProfile",
            "DataTransfer",
            "DeleteCertificate",
            "ExtendedTriggerMessage",
            "GetCompositeSchedule",
        ),
        *("GetConfiguration", "GetDiagnostics", "GetInstalledCertificateIds", "GetLocalListVersion", "GetLog"),
        *("InstallCertificate", "RemoteStartTransaction", "RemoteStopTransaction", "ReserveNow", "Reset"),
        *("SendLocalList", "SetChargingProfile", "SignedUpdateFirmware", "TriggerMessage", "UnlockConnector"),
        "UpdateFirmware",
    }
)

_CODES: Final = (
    ("FormationViolation", frozenset({"additionalProperties"})),
    ("OccurenceConstraintViolation", frozenset({"required", "minItems", "maxItems"})),
    ("TypeConstraintViolation", frozenset({"type"})),
)


class Flaw(msgspec.Struct, frozen=True):
    """Why a payload does not fit: a CALLERROR code and a sentence for the person who reads the log."""

    code: str
    description: str


def _read_schemas(actions: frozenset[str], suffix: str) -> dict[str, dict[str, Any]]:
    package = importlib.util.find_spec("ocpp")
    if package is None or package.origin is None:
        raise ImportError("the package ocpp, which brings the schemas, is not installed")
    folder = Path(package.origin).parent / "v16" / "schemas"
    return {action: orjson.loads((folder / f"{action}{suffix}.json").read_bytes()) for action in sorted(actions)}


def _compile(schemas: dict[str, dict[str, Any]]) -> dict[str, jsonschema_rs.Draft4Validator]:
    return {action: jsonschema_rs.Draft4Validator(schema, validate_formats=True) for action, schema in schemas.items()}


def _any_unit(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with every `unit` free text."""
    return {key: _any_unit(part) if isinstance(part, dict) else part for key, part in schema.items()} | (
        {"unit": {"type": "string"}} if "unit" in schema else {}
    )


CALL_SCHEMAS: Final = _read_schemas(FROM_CHARGE_POINT, "")
"""JSON schema by action, for what charge points send."""
RESULT_SCHEMAS: Final = _read_schemas(TO_CHARGE_POINT, "Response")
"""JSON schema by action, for what charge points answer."""
_calls: Final = _compile(CALL_SCHEMAS)
_calls_any_unit: Final = _compile({action: _any_unit(CALL_SCHEMAS[action]) for action in TRANSACTION_RELATED})
_results: Final = _compile(RESULT_SCHEMAS)


def call_flaw(action: str, payload: bytes, *, any_unit: bool = False) -> Flaw | None:
    """What is wrong with a CALL of a charge point; None where nothing is. `any_unit` lets samples have unknown ones."""
    validator = (_calls_any_unit.get(action) if any_unit else None) or _calls.get(action)
    if validator is None:
        if action in TO_CHARGE_POINT:
            return Flaw("NotSupported", f"{action} is sent by the central system only")
        return Flaw("NotImplemented", "this action is not part of OCPP 1.6")
    return _flaw(validator, payload)


def result_flaw(action: str, payload: bytes) -> Flaw | None:
    """What is wrong with the CALLRESULT of a charge point to our CALL of `action`; None where nothing is."""
    validator = _results.get(action)
    return None if validator is None else _flaw(validator, payload)


def _flaw(validator: jsonschema_rs.Draft4Validator, payload: bytes) -> Flaw | None:
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return _unjudged(payload)
    if validator.is_valid(value):
        return None
    if not isinstance(value, dict):
        return Flaw("FormationViolation", "the payload is not an object")
    return _exact_flaw(validator, payload)


def _unjudged(payload: bytes) -> Flaw | None:
    """For what orjson does not read: None where it is a JSON object all the same."""
    try:
        value = json.loads(payload.decode(), parse_int=str, parse_float=str, parse_constant=_no_constant)
    except UnicodeDecodeError:
        return Flaw("FormationViolation", "not UTF-8")
    except RecursionError:
        return Flaw("FormationViolation", "nested too deeply")
    except ValueError as error:
        return Flaw("FormationViolation", f"not JSON: {error}")
    return None if isinstance(value, dict) else Flaw("FormationViolation", "the payload is not an object")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _exact_flaw(validator: jsonschema_rs.Draft4Validator, payload: bytes) -> Flaw | None:
    """Judges again with exact numbers: orjson reads an integer of more than 64 bits as a float."""
    try:
        value: Any = json.loads(payload, parse_float=Decimal)
    except RecursionError:
        return Flaw("FormationViolation", "nested too deeply")
    errors = [(_code(error), error) for error in validator.iter_errors(value)]
    if not errors:
        return None
    code, error = min(errors, key=lambda pair: _RANKS[pair[0]])
    place = "/".join(str(step) for step in error.instance_path)
    return Flaw(code, f"{place}: {error.message}" if place else error.message)


def _code(error: jsonschema_rs.ValidationError) -> str:
    keyword = error.kind.name
    return next((code for code, keywords in _CODES if keyword in keywords), _OTHER)


_OTHER: Final = "PropertyConstraintViolation"
_RANKS: Final = {code: rank for rank, code in enumerate([*(code for code, _ in _CODES), _OTHER])}
