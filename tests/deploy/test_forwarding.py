"""What Apache tells a gateway about a charge point, seen by a stand-in that answers with the request it got."""

import contextlib
import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.deploy.certificates import Certificate, make_certificate
from tests.deploy.compose import DOMAIN, Production
from tests.harness.stack import eventually

ECHO = """
import http.server, json
class Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"path": self.path, "headers": self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("", 9001), Echo).serve_forever()
"""
FORGED = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "http",
    "Forwarded": "for=203.0.113.9",
    "X-Real-IP": "203.0.113.9",
    "X-Client-Verify": "SUCCESS",
    "X-Client-CN": "forged",
    "X-Client-Serial": "forged",
    "X-Client-Certificate": "forged",
}


@contextlib.contextmanager
def echoing(production: Production) -> Iterator[None]:
    """The gateways stopped, and the stand-in under their name."""
    name = f"{production.name}-echo"
    production.compose("stop", "ocpp_gateway")
    network = ("--network", f"{production.name}_inside", "--network-alias", "ocpp_gateway")
    run = ["docker", "run", "--rm", "--detach", "--name", name, *network, "python:3.13-slim", "python", "-c", ECHO]
    subprocess.run(run, check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["docker", "rm", "--force", name], check=True, capture_output=True)
        production.compose("exec", "-T", "apache", "rm", "-rf", "/certificates/clients")
        production.compose("up", "--detach", "--no-recreate", "--wait", "ocpp_gateway")


def ask(production: Production, tls: ssl.SSLContext, path: str, **headers: str) -> dict[str, Any] | None:
    """The request as it arrived; None where Apache had nobody to hand it to."""
    with (
        socket.create_connection(("127.0.0.1", production.ocpp_port), timeout=15) as plain,
        tls.wrap_socket(plain, server_hostname=DOMAIN) as secure,
    ):
        lines = [f"GET {path} HTTP/1.1", "Host: x", "Connection: close", *(f"{n}: {v}" for n, v in headers.items())]
        secure.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = b"".join(iter(lambda: secure.recv(65536), b"")).decode()
    head, _, body = answer.partition("\r\n\r\n")
    if " 200 " not in head.split("\r\n")[0]:
        return None
    seen: dict[str, Any] = json.loads(body)
    seen["headers"] = {name.lower(): value for name, value in seen["headers"]}
    return seen


def presenting(production: Production, folder: Path, shown: Certificate) -> ssl.SSLContext:
    """A client that has this certificate."""
    tls, chain, key = production.tls, folder / "client.pem", folder / "client.key"
    chain.write_text(shown.pem)
    key.write_text(shown.key_pem)
    tls.load_cert_chain(chain, key)
    return tls


@pytest.mark.slow
async def test_identities_and_headers_arrive_as_they_must(production: Production, tmp_path: Path) -> None:
    authority, stranger = make_certificate("Charge point CA"), make_certificate("Another CA")
    with echoing(production):

        async def arrives() -> dict[str, Any] | None:
            return ask(production, production.tls, "/CP%3A1%2FA%20b", Authorization="Basic eDp5", **FORGED)

        seen = await eventually(arrives, "Apache to find the stand-in", 60)
        assert seen["path"] == "/CP%3A1%2FA%20b"
        headers = seen["headers"]
        assert headers["authorization"] == "Basic eDp5"
        assert headers["x-forwarded-proto"] == "https"
        assert headers["x-forwarded-for"].count(".") == 3
        assert "203.0.113.9" not in json.dumps(seen)
        assert "forged" not in json.dumps(seen)

        production.put("/certificates/clients/ca.pem", authority.pem)
        client = presenting(production, tmp_path, make_certificate("CP-0001", authority))

        async def is_verified() -> dict[str, Any] | None:
            try:
                seen = ask(production, client, "/CP-0001", **FORGED)
            except (ssl.SSLError, ConnectionError):
                return None  # Apache has not yet forgotten the authority of the test before
            return seen if seen and seen["headers"].get("x-client-verify") == "SUCCESS" else None

        headers = (await eventually(is_verified, "the client certificate to be asked for", 60))["headers"]
        assert headers["x-client-cn"] == "CP-0001"
        assert int(headers["x-client-serial"], 16) > 0
        assert unquote(headers["x-client-certificate"]).startswith("-----BEGIN CERTIFICATE-----\n")

        without = ask(production, production.tls, "/CP-0002", **FORGED)
        assert without is not None
        assert without["headers"]["x-client-verify"] == "NONE"
        assert not {"x-client-cn", "x-client-serial", "x-client-certificate"} & set(without["headers"])
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask(production, presenting(production, tmp_path, make_certificate("CP-0001", stranger)), "/CP-0001")
