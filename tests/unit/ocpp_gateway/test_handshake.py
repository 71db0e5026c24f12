"""Paths, subprotocols, credentials and forwarding headers of opening requests."""

import base64
from base64 import b64encode
from hashlib import sha256
from ipaddress import ip_network
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpp_gateway.handshake import (
    BAD_SUBPROTOCOL,
    UNKNOWN_PATH,
    WRONG_KEY,
    Knock,
    check,
    client_certificate,
    identity_of,
    key_digests,
    origin,
)

IDENTITIES = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="/"), min_size=1, max_size=48)


def basic(login: bytes) -> list[str]:
    return ["Basic " + b64encode(login).decode()]


class TestPath:
    """J 3.1.1: the identity is the last part of the path, percent-encoded."""

    @given(IDENTITIES, st.sampled_from(["", "/", "?x=1", "/?x=1"]), st.sampled_from(["", "/ocpp", "/a/b"]))
    def test_decoded(self, identity: str, end: str, prefix: str) -> None:
        assert identity_of(f"{prefix}/{quote(identity, safe='')}{end}", prefix) == identity

    @pytest.mark.parametrize(
        "path",
        [
            "",
            "/",
            "//",
            "/a//",
            "CP1",
            "/a/b",
            "/%2F",
            "/a%2Fb",
            "/%00",
            "/CP%0A",
            "/%7F",
            "/%FF",
            "/%",
            "/%4",
            "/" + "x" * 49,
        ],
    )
    def test_no_identity(self, path: str) -> None:
        assert identity_of(path) is None

    def test_under_a_prefix_and_without(self) -> None:
        assert identity_of("/ocpp/CP1/", "/ocpp") == "CP1"
        assert identity_of("/CP1", "/ocpp") == "CP1"
        assert identity_of("/other/CP1", "/ocpp") is None

    @given(st.text(max_size=60))
    def test_any_text(self, path: str) -> None:
        identity = identity_of(path)
        assert identity is None or 1 <= len(identity) <= 48


class TestSubprotocol:
    """J 3.1.2."""

    def test_others_only(self) -> None:
        assert check("/CP1", ["ocpp2.0.1", "ocpp1.5"], []) is BAD_SUBPROTOCOL

    def test_among_others(self) -> None:
        assert check("/CP1", ["ocpp2.0.1", "ocpp1.6"], []) == Knock("CP1", (), offered_subprotocol=True)

    def test_none_is_for_the_api(self) -> None:
        assert check("/CP1", [], []) == Knock("CP1", (), offered_subprotocol=False)

    def test_the_path_comes_first(self) -> None:
        assert check("/a/b", ["x"], []) is UNKNOWN_PATH


class TestKey:
    """J 6.2 and WP A00: Basic, the identity as user name, the key as text or bytes."""

    @given(IDENTITIES, st.binary(max_size=64))
    def test_raw_bytes(self, identity: str, key: bytes) -> None:
        knock = check("/" + quote(identity, safe=""), [], basic(identity.encode() + b":" + key))
        assert isinstance(knock, Knock)
        assert knock.key_digests == key_digests(key)
        assert knock.key_digests[0] == sha256(key).digest()

    def test_forty_hex_digits_are_bytes_too(self) -> None:
        key = b"0123456789abcdefghij"
        assert key_digests(key.hex().encode()) == (sha256(key.hex().encode()).digest(), sha256(key).digest())
        assert len(key_digests(key.hex().upper().encode())) == 2
        assert len(key_digests(key.hex().encode()[:-1])) == 1
        assert len(key_digests(b"g" * 40)) == 1

    @pytest.mark.parametrize(
        "authorization",
        [
            basic(b"CP2:key"),
            basic(b"cp1:key"),
            basic(b"CP1"),
            ["Basic"],
            ["Basic ???"],
            ["Basic \xe9"],
            ["Bearer abc"],
            basic(b"CP1:key") * 2,
            [""],
        ],
    )
    def test_refused(self, authorization: list[str]) -> None:
        assert check("/CP1", ["ocpp1.6"], authorization) is WRONG_KEY

    def test_no_key_is_shown(self) -> None:
        knock = check("/CP1", [], basic(b"CP1:topsecretkey"))
        assert "topsecretkey" not in repr(knock)


class TestOrigin:
    """Forwarding headers are believed from a trusted proxy only."""

    PROXIES = (ip_network("10.0.0.0/8"), ip_network("::1"))

    @pytest.mark.parametrize(
        ("peer", "forwarded_for", "proto", "expected"),
        [
            ("192.0.2.1", ["1.1.1.1"], ["https"], ("192.0.2.1", False)),
            ("10.0.0.1", ["1.1.1.1"], ["https"], ("1.1.1.1", True)),
            ("10.0.0.1", ["6.6.6.6, 1.1.1.1, 10.0.0.2"], ["wss"], ("1.1.1.1", True)),
            ("10.0.0.1", ["6.6.6.6", "1.1.1.1"], ["https, http"], ("1.1.1.1", False)),
            ("10.0.0.1", ["not an address"], [], ("10.0.0.1", False)),
            ("10.0.0.1", [], ["HTTPS"], ("10.0.0.1", True)),
            ("::1", ["2001:db8::1"], ["https"], ("2001:db8::1", True)),
            ("", ["1.1.1.1"], ["https"], ("", False)),
        ],
    )
    def test_cases(self, peer: str, forwarded_for: list[str], proto: list[str], expected: tuple[str, bool]) -> None:
        assert origin(peer, forwarded_for, proto, self.PROXIES) == expected


class TestClientCertificate:
    """WP 2.6: only what a trusted proxy has verified counts."""

    PROXIES = (ip_network("10.0.0.0/8"),)
    DER = bytes(range(200))
    LINES = base64.encodebytes(DER).decode()
    PEM = f"-----BEGIN CERTIFICATE-----\n{LINES}-----END CERTIFICATE-----\n"

    @pytest.mark.parametrize("text", [quote(PEM), PEM.replace("\n", " "), quote(PEM + PEM, safe="")])
    def test_its_fingerprint(self, text: str) -> None:
        assert client_certificate("10.0.0.1", ["SUCCESS"], [text], self.PROXIES) == sha256(self.DER).digest()

    @pytest.mark.parametrize(
        ("peer", "verified", "certificate"),
        [
            ("192.0.2.1", ["SUCCESS"], [PEM]),
            ("10.0.0.1", ["NONE"], [PEM]),
            ("10.0.0.1", ["FAILED:expired"], [PEM]),
            ("10.0.0.1", ["SUCCESS", "SUCCESS"], [PEM]),
            ("10.0.0.1", [], [PEM]),
            ("10.0.0.1", ["SUCCESS"], []),
            ("10.0.0.1", ["SUCCESS"], [PEM, PEM]),
            ("10.0.0.1", ["SUCCESS"], ["nonsense"]),
            ("10.0.0.1", ["SUCCESS"], ["-----BEGIN CERTIFICATE-----%00???-----END CERTIFICATE-----"]),
        ],
    )
    def test_anything_else_is_none(self, peer: str, verified: list[str], certificate: list[str]) -> None:
        assert client_certificate(peer, verified, certificate, self.PROXIES) == b""
