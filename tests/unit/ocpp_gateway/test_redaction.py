"""No AuthorizationKey reaches the message log (WP A00)."""

import json

import pytest

from ocpp_gateway.redaction import redacted


@pytest.mark.parametrize("name", ["AuthorizationKey", "authorizationkey", "AUTHORIZATIONKEY"])
def test_change_configuration(name: str) -> None:
    frame = json.dumps([2, "id", "ChangeConfiguration", {"key": name, "value": "secret"}]).encode()
    assert json.loads(redacted(frame)) == [2, "id", "ChangeConfiguration", {"key": name, "value": "***"}]


def test_a_charge_point_that_tells() -> None:
    entries = [{"key": "AuthorizationKey", "readonly": False, "value": "secret"}, {"key": "Other", "value": "kept"}]
    frame = redacted(json.dumps([3, "id", {"configurationKey": entries}]).encode())
    assert b"secret" not in frame
    assert b"kept" in frame


@pytest.mark.parametrize(
    "frame",
    [
        b'[2,"id","x",{"key":"AuthorizationKey","value":"secret"',
        b'["AuthorizationKey","secret",' + b"[" * 1000 + b"]" * 1001,
    ],
)
def test_what_cannot_be_read_is_left_out(frame: bytes) -> None:
    assert b"secret" not in redacted(frame)


def test_other_frames_stay_as_they_are() -> None:
    frame = b'[2, "id", "Heartbeat", {}]'
    assert redacted(frame) is frame
