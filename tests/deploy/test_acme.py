"""A certificate from a local ACME server takes the place of the self-signed one while a wallbox stays connected."""

import asyncio
import contextlib
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from ocpp.v16 import call

from tests.deploy.compose import DOMAIN, Production
from tests.harness.person import Person
from tests.harness.stack import eventually
from tests.harness.wallbox import Wallbox

PEBBLE = "voltuj-ci-pebble"
ACME = {"ACME_EMAIL": "operator@example.net", "ACME_DIRECTORY": "https://pebble:14000/dir"}


def docker(*arguments: str) -> str:
    """The output of a docker command that must succeed."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout


@contextlib.contextmanager
def acme(production: Production, config: str = "config.json") -> Iterator[None]:
    """Pebble beside the production stack, and Apache told to ask it for its first certificates."""
    docker("build", "--quiet", "--tag", PEBBLE, str(Path(__file__).parent / "pebble"))
    [apache] = production.containers("apache")
    network = f"{production.name}_outside"
    address = apache["NetworkSettings"]["Networks"][network]["IPAddress"]
    docker("run", "--detach", "--name", PEBBLE, "--network", network, "--network-alias", "pebble",
           "--add-host", f"{DOMAIN}:{address}", PEBBLE, "pebble", "-config", f"/pebble/{config}")  # fmt: skip
    try:
        authority = docker("exec", PEBBLE, "cat", "/pebble/cert.pem")
        production.put("/certificates/acme-ca.pem", authority)
        production.compose("up", "--detach", "--no-deps", "--wait", "apache", environment=ACME)
        yield
    finally:
        production.compose("up", "--detach", "--no-deps", "--wait", "apache")
        production.compose("exec", "-T", "apache", "rm", "-rf", "/certificates/acme")
        docker("rm", "--force", PEBBLE)


def _shown(port: int) -> list[x509.Certificate]:
    """What a client of RSA and one of ECDSA are shown."""
    found = []
    for suite in ("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(suite)
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=DOMAIN) as secure,
        ):
            found.append(x509.load_der_x509_certificate(secure.getpeercert(binary_form=True) or b""))
    return found


def _issuers(port: int) -> set[str]:
    """Who signed them."""
    return {each.issuer.rfc4514_string() for each in _shown(port)}


@pytest.mark.slow
async def test_a_certificate_is_issued_and_taken(production: Production, owner: Person) -> None:
    created = await owner.wallbox()
    insecure = ssl.create_default_context()
    insecure.check_hostname, insecure.verify_mode = False, ssl.CERT_NONE
    with acme(production):
        async with Wallbox(production.ocpp_url, created["identity"], created["key"], tls=insecure) as wallbox:
            await wallbox.boot()
            await eventually(lambda: _are_issued(production), "certificates of the ACME server on both ports", 90)
            await wallbox.call(call.Heartbeat())
            assert wallbox.closes == []


async def _are_issued(production: Production) -> bool:
    ports = (production.ocpp_port, production.https_port)
    issuers = set().union(*[await asyncio.to_thread(_issuers, port) for port in ports])
    return all("Pebble" in issuer for issuer in issuers)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_certificates_are_renewed_before_they_end(production: Production, owner: Person) -> None:
    """The server's certificates live for 150 seconds."""
    created = await owner.wallbox()
    insecure = ssl.create_default_context()
    insecure.check_hostname, insecure.verify_mode = False, ssl.CERT_NONE
    with acme(production, "short-lived.json"):
        async with Wallbox(production.ocpp_url, created["identity"], created["key"], tls=insecure) as wallbox:
            await wallbox.boot()
            await eventually(lambda: _are_issued(production), "certificates of the ACME server on both ports", 90)
            first = {each.serial_number for each in _shown(production.ocpp_port)}

            async def are_renewed() -> bool:
                shown = await asyncio.to_thread(_shown, production.ocpp_port)
                return not first & {each.serial_number for each in shown}

            await eventually(are_renewed, "both certificates to be renewed", 400)
            assert await _are_issued(production)
            await wallbox.call(call.Heartbeat())
            assert wallbox.closes == []
