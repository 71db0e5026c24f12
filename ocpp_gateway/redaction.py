"""Takes secrets out of frames before they go to the message log. Pure; frames on the socket are never touched.

The only secret in OCPP 1.6 payloads is the AuthorizationKey (WP A00): in ChangeConfiguration, and in a GetConfiguration
answer of a charge point that should not have told.
"""

import orjson

HIDDEN = "***"
_SECRET_KEY = "authorizationkey"  # noqa: S105 - the name of the setting


def redacted(frame: bytes) -> bytes:
    """`frame` without the value of AuthorizationKey; what cannot be read although it names that key is left out."""
    if _SECRET_KEY.encode() not in frame.lower():
        return frame
    try:
        return orjson.dumps(_hide(orjson.loads(frame)))
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError):
        return HIDDEN.encode()


def _hide(value: object) -> object:
    if isinstance(value, list):
        return [_hide(item) for item in value]
    if not isinstance(value, dict):
        return value
    named = any(isinstance(name, str) and name.lower() == _SECRET_KEY for name in value.values())
    return {key: HIDDEN if named and key == "value" else _hide(item) for key, item in value.items()}
