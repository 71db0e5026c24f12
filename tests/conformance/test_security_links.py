"""Certification cases of Security: keys, TLS, security profiles and the WebSocket handshake."""

import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from ocpp.v16 import call
from websockets.exceptions import InvalidStatus, NegotiationError

from tests.conformance import pki
from tests.conformance.case import Case
from tests.conformance.charge_point import ChargePoint
from tests.conformance.terminator import Terminator
from tests.conformance.test_remote import ACCEPTED, REJECTED
from tests.conformance.test_security_certificates import certificate_is, renew_certificate
from tests.harness.stack import eventually


@dataclass
class Proxy:
    """A TLS terminator and the root that its certificate is below of."""

    terminator: Terminator
    context: ssl.SSLContext
    root: str

    @property
    def url(self) -> str:
        """Where charge points connect."""
        return self.terminator.url

    def ask_for_certificates_of(self, root: str) -> None:
        """From now on it asks for client certificates below `root`; as at our proxy, they are not a must."""
        self.context.load_verify_locations(cadata=root)
        self.context.verify_mode = ssl.CERT_OPTIONAL


@pytest.fixture
async def proxy(case: Case, tmp_path: Path) -> AsyncIterator[Proxy]:
    """In front of the gateway, at an address that the gateway believes."""
    authority, key = pki.Authority("Voltuj test root"), pki.new_key()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    pki.load_chain(context, tmp_path, pki.pem(authority.issue("localhost", key.public_key())), key)
    async with Terminator(case.central.url, context) as terminator:
        yield Proxy(terminator, context, pki.pem(authority.certificate))
        await case.cp.disconnect()


async def is_refused(cp: ChargePoint, status: int) -> None:
    """The handshake ends with this HTTP status."""
    with pytest.raises(InvalidStatus) as refusal:
        await cp.connect()
    assert refusal.value.response.status_code == status


def like(cp: ChargePoint, url: str | None = None, *, identity: str = "", key: str | None = "") -> ChargePoint:
    """Another program with the same address and login, but for what is given; an empty key keeps the same."""
    return ChargePoint(url or cp.url, identity or cp.identity, cp.key if key == "" else key, tls=cp.tls)


async def test_tc_073_new_key(booted: Case) -> None:
    """WP A01: the key goes out as hex of 16 to 20 bytes. Once the charge point accepted it, only the new one opens;
    while it says Rejected, the old one stays. Nobody reads the key anywhere."""
    cp = booted.cp
    cp.will_answer("ChangeConfiguration", REJECTED, ACCEPTED)
    await booted.owner.post(f"{booted.path}/key", {"mode": "live"})
    refused = await cp.received("ChangeConfiguration")
    async with like(cp):
        await cp.closed()
    await cp.connect()
    await booted.owner.post(f"{booted.path}/key", {"mode": "live"})
    told = await cp.received("ChangeConfiguration")
    assert told["key"] == refused["key"] == "AuthorizationKey"
    key = bytes.fromhex(told["value"])
    assert 16 <= len(key) <= 20
    assert told["value"] != refused["value"]

    async def old_is_dead() -> bool:
        try:
            async with like(cp):
                return False
        except InvalidStatus as refusal:
            return refusal.response.status_code == 401

    await eventually(old_is_dead, "the old key to be refused")
    await is_refused(like(cp, key=bytes.fromhex(refused["value"]).decode()), 401)
    cp.key = key.decode()
    await cp.connect()
    assert (await cp.call(call.Heartbeat())).current_time.endswith("Z")
    messages = await booted.owner.http.get(f"{booted.path}/messages", params={"limit": 200})
    commands = await booted.owner.http.get(f"{booted.path}/commands", params={"limit": 200})
    for secret in (told["value"], cp.key):
        assert secret not in messages.text
        assert secret not in commands.text


async def test_tc_083_security_profile_raised(booted: Case, proxy: Proxy) -> None:
    """WP A05: the charge point accepts profile 2 and tries it; where that fails it falls back, so the old one is let
    in until it came over TLS. From then on without TLS it is refused. A profile is never lowered."""
    cp, plain = booted.cp, like(booted.cp)
    await booted.send("ChangeConfiguration", {"key": "SecurityProfile", "value": "2"}, ACCEPTED)
    await cp.disconnect()
    async with plain:
        assert (await plain.call(call.Heartbeat())).current_time.endswith("Z")
    cp.url, cp.tls = proxy.url, pki.client_context(proxy.root)
    await cp.connect()
    assert (await cp.boot()).status == "Accepted"
    assert (await booted.owner.get(f"{booted.path}/security-profile"))["security_profile"] == 2
    await is_refused(plain, 403)
    body = {"action": "ChangeConfiguration", "payload": {"key": "SecurityProfile", "value": "1"}}
    assert (await booted.owner.http.post(f"{booted.path}/commands", json=body)).status_code in {409, 422}


async def test_tc_085_basic_authentication(case: Case) -> None:
    """J 6.2, WP profile 1: user name is the identity, password the key. Anything else is 401 and an unknown identity
    404; the right one is served afterwards."""
    cp, other = case.cp, await case.owner.wallbox()
    await is_refused(like(cp, key="wrong-key-wrong-key1"), 401)
    await is_refused(like(cp, key=None), 401)
    await is_refused(like(cp, key=other["key"]), 401)
    await is_refused(like(cp, identity="NOBODY-0001"), 404)
    await cp.connect()
    assert (await cp.boot()).status == "Accepted"
    await case.is_online(True)


async def test_tc_086_server_certificate(case: Case, proxy: Proxy) -> None:
    """WP profile 2: the charge point verifies the certificate of the central system, and logs in with its key over
    TLS. One that does not trust the root goes away; a scheme that nobody trusted told is not believed."""
    cp = case.cp
    plain = like(cp)
    cp.url, cp.tls = proxy.url, pki.client_context(pki.pem(pki.Authority("Another root").certificate))
    with pytest.raises(ssl.SSLCertVerificationError):
        await cp.connect()
    cp.tls = pki.client_context(proxy.root)
    socket = await cp.connect()
    assert socket.transport.get_extra_info("ssl_object").version() in {"TLSv1.2", "TLSv1.3"}
    assert (await cp.boot()).status == "Accepted"
    await case.is_online(True)
    await is_refused(like(cp, key="wrong-key-wrong-key1"), 401)
    await case.send("ChangeConfiguration", {"key": "SecurityProfile", "value": "2"}, ACCEPTED)
    await cp.connect()
    assert (await cp.boot()).status == "Accepted"
    plain.local_address, plain.headers = "127.0.0.2", {"X-Forwarded-Proto": "https"}
    await is_refused(plain, 403)


async def test_tc_087_client_certificate(booted: Case, proxy: Proxy, tmp_path: Path) -> None:
    """WP profile 3: the charge point shows the certificate that our CA gave it, and needs no key. The certificate of
    another charge point does not open, nor does one that anybody but the proxy claims to have seen."""
    cp, plain = booted.cp, like(booted.cp)
    key, chain = await renew_certificate(booted)
    await certificate_is(booted, "accepted")
    root = pki.pem(x509.load_pem_x509_certificates(chain.encode())[-1])
    proxy.ask_for_certificates_of(root)
    await booted.send("ChangeConfiguration", {"key": "SecurityProfile", "value": "3"}, ACCEPTED)
    await cp.disconnect()
    cp.url, cp.tls, cp.key = proxy.url, pki.client_context(proxy.root), None
    pki.load_chain(cp.tls, tmp_path, chain, key)
    await cp.connect()
    assert (await cp.boot()).status == "Accepted"
    assert (await booted.owner.get(f"{booted.path}/security-profile"))["security_profile"] == 3
    with_key_only = like(plain, proxy.url)
    with_key_only.tls = pki.client_context(proxy.root)
    await is_refused(with_key_only, 401)
    await is_refused(plain, 403)
    other = await booted.owner.wallbox()
    await is_refused(like(cp, identity=other["identity"]), 401)
    liar = like(plain, key=None)
    leaf = x509.load_pem_x509_certificates(chain.encode())[0]
    liar.local_address, liar.headers = "127.0.0.2", pki.proxy_headers(leaf)
    with pytest.raises(InvalidStatus):
        await liar.connect()


async def test_tc_088_websocket_subprotocol(case: Case) -> None:
    """J 3.1.2, 3.2: of what the charge point offers, ocpp1.6 is chosen and named in the answer. Who offers only
    others, or none, is refused."""
    cp = case.cp
    for offered in (("ocpp1.2", "ocpp1.5"), ("ocpp2.0.1",), ()):
        cp.subprotocols = offered
        with pytest.raises((InvalidStatus, NegotiationError)):
            await cp.connect()
    cp.subprotocols = ("ocpp2.0.1", "ocpp1.6", "ocpp1.5")
    socket = await cp.connect()
    assert socket.subprotocol == "ocpp1.6"
    assert (await cp.boot()).status == "Accepted"
