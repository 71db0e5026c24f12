"""Where the identity goes in the URL (J 3.1.1), and the header of Basic authentication."""

import base64

import pytest

from simulator.address import RefusalError, make_address


@pytest.mark.parametrize(
    ("url", "identity", "expected"),
    [
        ("ws://h:9001", "CP1", "ws://h:9001/CP1"),
        ("ws://h:9001/", "CP1", "ws://h:9001/CP1"),
        ("wss://h/ocpp", "CP 1/ä", "wss://h/ocpp/CP%201%2F%C3%A4"),
        ("ws://h:9001/CP1", "CP1", "ws://h:9001/CP1"),
        ("ws://h:9001/CP%201/", "CP 1", "ws://h:9001/CP%201"),
        ("ws://h:9001/CP%201", "", "ws://h:9001/CP%201"),
    ],
)
def test_the_identity_is_appended_once(url: str, identity: str, expected: str) -> None:
    address = make_address(url, identity, None)
    assert address.url == expected
    assert address.identity == (identity or "CP 1")


@pytest.mark.parametrize(("url", "identity"), [("http://h/x", "x"), ("h:9001", "x"), ("ws://", "x"), ("ws://h/", "")])
def test_what_cannot_be_used_is_refused(url: str, identity: str) -> None:
    with pytest.raises(RefusalError):
        make_address(url, identity, None)


def test_basic_authentication() -> None:
    token = make_address("ws://h", "CP1", "klíč").headers["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(token).decode() == "CP1:klíč"
    assert make_address("ws://h", "CP1", None).headers == {}
