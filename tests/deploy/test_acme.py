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
def acme(production: Production) -> Iterator[None]:
    """Pebble beside the production stack, and Apache told to ask it."""
    docker("build", "--quiet", "--tag", PEBBLE, str(Path(__file__).parent / "pebble"))
    [apache] = production.containers("apache")
    network = f"{production.name}_outside"
    address = apache["NetworkSettings"]["Networks"][network]["IPAddress"]
    docker("run", "--detach", "--name", PEBBLE, "--network", network, "--network-alias", "pebble",
           "--add-host", f"{DOMAIN}:{address}", PEBBLE)  # fmt: skip
    try:
        authority = docker("exec", PEBBLE, "cat", "/pebble/cert.pem")
        production.put("/certificates/acme-ca.pem", authority)
        production.compose("up", "--detach", "--no-deps", "--wait", "apache", environment=ACME)
        yield
    finally:
        production.compose("up", "--detach", "--no-deps", "--wait", "apache")
        docker("rm", "--force", PEBBLE)


def _issuers(port: int) -> set[str]:
    """Who signed the certificates that a client of RSA and one of ECDSA are shown."""
    issuers = set()
    for suite in ("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(suite)
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=DOMAIN) as secure,
        ):
            shown = x509.load_der_x509_certificate(secure.getpeercert(binary_form=True) or b"")
            issuers.add(shown.issuer.rfc4514_string())
    return issuers


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
