"""What we may ask of a charge point: one table of every action, who may send it and which answers are a yes. Pure.

Rules of OCPP 1.6 that no schema expresses are here too; nothing here reads the database.
"""

from datetime import datetime
from itertools import pairwise
from typing import Any, Final, NamedTuple

from api.charge_points.timestamps import parse_timestamp
from api.errors import Conflict, Invalid
from api.sharing.access import GUEST, OPERATOR, OWNER

REMOTE_START: Final = "RemoteStartTransaction"
REMOTE_STOP: Final = "RemoteStopTransaction"
CHANGE_CONFIGURATION: Final = "ChangeConfiguration"
AUTHORIZATION_KEY: Final = "authorizationkey"
"""The configuration key that holds the charge point's key: write-only (WP), and case-insensitive as all are (7.28)."""
SESSION_ACTIONS: Final = frozenset({REMOTE_START, REMOTE_STOP})

EVERYBODY: Final = frozenset({OWNER, GUEST, OPERATOR})
OWNERS: Final = frozenset({OWNER, OPERATOR})
YES: Final = frozenset({"Accepted"})
NO_STATUS: Final[frozenset[str]] = frozenset()
"""The answer has no status: that it came is the yes."""


class Rule(NamedTuple):
    """Who may send an action, the statuses that mean yes, and whether it makes sense for many charge points."""

    roles: frozenset[str]
    positive: frozenset[str] = YES
    batch: bool = True


ACTIONS: Final[dict[str, Rule]] = {
    # core (a guest starts and stops by the routes made for it, and unlocks where the own session runs)
    "ChangeAvailability": Rule(OWNERS, YES | {"Scheduled"}),
    CHANGE_CONFIGURATION: Rule(OWNERS, YES | {"RebootRequired"}),
    "ClearCache": Rule(OWNERS),
    "DataTransfer": Rule(OWNERS),
    "GetConfiguration": Rule(OWNERS, NO_STATUS),
    REMOTE_START: Rule(OWNERS, batch=False),
    REMOTE_STOP: Rule(OWNERS, batch=False),
    "Reset": Rule(OWNERS),
    "UnlockConnector": Rule(EVERYBODY, frozenset({"Unlocked"})),
    # firmware management
    "GetDiagnostics": Rule(OWNERS, NO_STATUS, batch=False),
    "UpdateFirmware": Rule(OWNERS, NO_STATUS),
    # local authorization list management
    "GetLocalListVersion": Rule(OWNERS, NO_STATUS),
    "SendLocalList": Rule(OWNERS),
    # reservation
    "CancelReservation": Rule(OWNERS, batch=False),
    "ReserveNow": Rule(OWNERS, batch=False),
    # remote trigger
    "TriggerMessage": Rule(OWNERS),
    # smart charging
    "ClearChargingProfile": Rule(OWNERS),
    "GetCompositeSchedule": Rule(OWNERS),
    "SetChargingProfile": Rule(OWNERS),
    # security whitepaper
    "CertificateSigned": Rule(OWNERS, batch=False),
    "DeleteCertificate": Rule(OWNERS),
    "ExtendedTriggerMessage": Rule(OWNERS),
    "GetInstalledCertificateIds": Rule(OWNERS),
    "GetLog": Rule(OWNERS, YES | {"AcceptedCanceled"}, batch=False),
    "InstallCertificate": Rule(OWNERS),
    "SignedUpdateFirmware": Rule(OWNERS, YES | {"AcceptedCanceled"}),
}


def is_positive(action: str, payload: dict[str, Any]) -> bool:
    """Whether a CALLRESULT says that the charge point will do, or has done, what it was told."""
    positive = ACTIONS[action].positive
    return not positive or payload.get("status") in positive


def names_the_key(action: str, payload: dict[str, Any]) -> bool:
    """Whether a CALL would set the charge point's key."""
    return action == CHANGE_CONFIGURATION and str(payload.get("key", "")).lower() == AUTHORIZATION_KEY


def check_registration(action: str, payload: dict[str, Any], registration: str | None) -> None:
    """OCPP 1.6 4.2: nothing is sent while Rejected, no remote start or stop before Accepted, and after it a
    BootNotification is not triggered.

    Raises:
        Conflict: the charge point's registration forbids it.
    """
    if registration == "Rejected":
        raise Conflict("The charge point is Rejected: nothing is sent to it.")
    if registration != "Accepted" and action in SESSION_ACTIONS:
        state = registration or "waiting for its first BootNotification"
        raise Conflict(f"The charge point is not Accepted yet: it is {state}.")
    if registration == "Accepted" and payload.get("requestedMessage") == "BootNotification":
        raise Conflict("The charge point is Accepted already: a BootNotification is not triggered any more.")


def check_rules(action: str, payload: dict[str, Any], now: datetime) -> None:
    """What OCPP 1.6 asks of a payload beyond its schema.

    Raises:
        Invalid: it breaks a rule.
    """
    for name in ("connectorId", "id"):
        if payload.get(name, 0) < 0:
            raise _wrong(name, "must not be negative")
    if action in {REMOTE_START, "UnlockConnector"} and payload.get("connectorId") == 0:
        raise _wrong("connectorId", "must be a connector, not 0")
    check = _CHECKS.get(action)
    if check is not None:
        check(payload, now)


def _wrong(field: str, message: str) -> Invalid:
    return Invalid.field(f"body.payload.{field}", message)


def _check_remote_start(payload: dict[str, Any], now: datetime) -> None:
    """Errata 3.41: the profile of a remote start is a TxProfile without transactionId."""
    profile = payload.get("chargingProfile")
    if profile is None:
        return
    if profile["chargingProfilePurpose"] != "TxProfile" or "transactionId" in profile:
        raise _wrong("chargingProfile", "must be a TxProfile without transactionId (errata 3.41)")
    _check_profile(profile, "chargingProfile")


def _check_set_profile(payload: dict[str, Any], now: datetime) -> None:
    """5.16: which purpose may stand on which connector."""
    profile, connector_id = payload["csChargingProfiles"], payload["connectorId"]
    purpose = profile["chargingProfilePurpose"]
    if purpose == "ChargePointMaxProfile" and connector_id != 0:
        raise _wrong("connectorId", "must be 0: a ChargePointMaxProfile is for the charge point as a whole")
    if purpose == "TxProfile" and connector_id == 0:
        raise _wrong("connectorId", "must be a connector: a TxProfile is for its transaction")
    if purpose != "TxProfile" and "transactionId" in profile:
        raise _wrong("csChargingProfiles.transactionId", "only a TxProfile has one")
    _check_profile(profile, "csChargingProfiles")


def _check_profile(profile: dict[str, Any], field: str) -> None:
    kind, schedule = profile["chargingProfileKind"], profile["chargingSchedule"]
    if kind == "Recurring" and "recurrencyKind" not in profile:
        raise _wrong(f"{field}.recurrencyKind", "a Recurring profile needs one")
    if kind == "Relative" and "startSchedule" in schedule:
        raise _wrong(f"{field}.chargingSchedule.startSchedule", "a Relative profile has none (errata 3.41)")
    starts = [period["startPeriod"] for period in schedule["chargingSchedulePeriod"]]
    if not starts or starts[0] != 0:
        raise _wrong(f"{field}.chargingSchedule.chargingSchedulePeriod", "the first startPeriod must be 0")
    if any(later <= earlier for earlier, later in pairwise(starts)):
        raise _wrong(f"{field}.chargingSchedule.chargingSchedulePeriod", "each startPeriod must be later than the last")
    if any(period["limit"] < 0 for period in schedule["chargingSchedulePeriod"]):
        raise _wrong(f"{field}.chargingSchedule.chargingSchedulePeriod", "a limit must not be negative")


def _check_local_list(payload: dict[str, Any], now: datetime) -> None:
    """5.15: version 0 means an empty list and -1 one that is not supported, so we send neither."""
    if not 0 < payload["listVersion"] < 2**31:
        raise _wrong("listVersion", "must be between 1 and 2147483647")
    entries = payload.get("localAuthorizationList", [])
    tags = [entry["idTag"].upper() for entry in entries]
    if len(set(tags)) != len(tags):
        raise _wrong("localAuthorizationList", "names an id tag twice")
    if payload["updateType"] == "Full" and any("idTagInfo" not in entry for entry in entries):
        raise _wrong("localAuthorizationList", "every entry of a Full update needs its idTagInfo")


def _check_reserve_now(payload: dict[str, Any], now: datetime) -> None:
    if parse_timestamp(payload["expiryDate"]) <= now:
        raise _wrong("expiryDate", "must be in the future")
    if not 0 <= payload["reservationId"] < 2**31:
        raise _wrong("reservationId", "must be between 0 and 2147483647")


def _check_composite(payload: dict[str, Any], now: datetime) -> None:
    if payload["duration"] <= 0:
        raise _wrong("duration", "must be positive")


def _check_change_configuration(payload: dict[str, Any], now: datetime) -> None:
    if names_the_key(CHANGE_CONFIGURATION, payload):
        raise _wrong("key", "a key is made by us: POST /charge-points/{id}/key with mode live")


_CHECKS: Final = {
    REMOTE_START: _check_remote_start,
    CHANGE_CONFIGURATION: _check_change_configuration,
    "GetCompositeSchedule": _check_composite,
    "ReserveNow": _check_reserve_now,
    "SendLocalList": _check_local_list,
    "SetChargingProfile": _check_set_profile,
}
