"""The way in as a wallbox and a browser take it: port, certificate chain, first answer. Never asks the database."""

import base64
import http.client
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from api.administration.verdicts import Finding, broken, doubtful, healthy

TIMEOUT_S: Final = 5.0
RENEW_DAYS: Final = 14
"""Let's Encrypt's certificates are renewed a month before their end: less left means that renewal fails."""
PORTS: Final = {"https": 443, "http": 80, "wss": 443, "ws": 80}
INSIDE_PORTS: Final = {"https": 443, "wss": 9000}
"""Of our Apache; HTTPS_PORT and OCPP_PORT may publish them as others."""
SELF_SIGNED: Final = frozenset({18, 19, 20, 21})
"""OpenSSL's X509_V_ERR codes for a chain that ends at an authority that is not known here."""


def examine_way_in(
    setting: str, url: str, now: datetime, *, through: str = "", authority: Path | None = None
) -> list[Finding]:
    """Port, certificate and first answer of `url`.

    `through` is the host to connect to instead of the URL's own, at the same port or where our Apache has it inside;
    `authority` is a PEM file to trust besides the system's.
    """
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        return [broken(setting, f"{url} is no address", "see .env-example")]
    port = parts.port or PORTS[parts.scheme]
    subject = f"{setting} {parts.hostname}:{port}"
    try:
        with _connect(parts, port, through) as plain:
            if parts.scheme in {"https", "wss"}:
                return _examine_tls(subject, parts, plain, now, authority)
            readable = doubtful(subject, "open, without TLS", "keys travel readable: production uses wss and https")
            return [readable, _examine_answer(subject, parts, plain)]
    except OSError as error:
        advice = "is the port published, and no firewall before it? Inside a container try --through apache"
        return [broken(subject, f"cannot be reached: {error}", advice)]


def _connect(parts: SplitResult, port: int, through: str) -> socket.socket:
    try:
        return socket.create_connection((through or parts.hostname, port), TIMEOUT_S)
    except ConnectionRefusedError:
        inside = INSIDE_PORTS.get(parts.scheme)
        if not through or inside is None:
            raise
        return socket.create_connection((through, inside), TIMEOUT_S)


def _examine_tls(
    subject: str, parts: SplitResult, plain: socket.socket, now: datetime, authority: Path | None
) -> list[Finding]:
    context = ssl.create_default_context()
    if authority is not None:
        context.load_verify_locations(authority)
    try:
        with context.wrap_socket(plain, server_hostname=parts.hostname) as secure:
            return [_examine_end(subject, secure, now), _examine_answer(subject, parts, secure)]
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in SELF_SIGNED:
            advice = (
                "wallboxes must be given that authority, or get a public certificate (docs/production.md); --authority"
            )
            return [doubtful(subject, "its certificate comes from an authority that is not known here", advice)]
        return [broken(subject, f"wallboxes refuse its certificate: {error.verify_message}", "see docs/production.md")]
    except ssl.SSLError as error:
        return [broken(subject, f"no TLS: {error.reason}", "does Apache stand there?")]


def _examine_end(subject: str, secure: ssl.SSLSocket, now: datetime) -> Finding:
    certificate = secure.getpeercert() or {}
    end = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
    found = f"{secure.version()}, the certificate holds until {end:%Y-%m-%d}"
    if end - now < timedelta(days=RENEW_DAYS):
        return doubtful(f"{subject} certificate", found, "renew it; docker compose logs apache says why it was not")
    return healthy(f"{subject} certificate", found)


def _examine_answer(subject: str, parts: SplitResult, connected: socket.socket) -> Finding:
    """The gateway answers 401 where user name and identity differ (J 6.2); the api describes itself to everybody."""
    is_ocpp = parts.scheme in {"ws", "wss"}
    connected.settimeout(TIMEOUT_S)
    path = parts.path.rstrip("/") + ("/voltuj-doctor" if is_ocpp else "/api/v1/openapi.json")
    status = _ask(connected, parts.netloc.rpartition("@")[2], path, upgrade=is_ocpp)
    expected, who = (401, "the gateway") if is_ocpp else (200, "the api")
    if status != expected:
        advice = "503: none is up or it is not ready; anything else: another program stands there"
        return broken(f"{subject} answer", f"{status} instead of {expected}", advice)
    return healthy(f"{subject} answer", f"{who} is there")


def _ask(connected: socket.socket, host: str, path: str, *, upgrade: bool) -> int:
    headers = {"Host": host, "Connection": "Upgrade" if upgrade else "close"}
    if upgrade:
        headers |= {
            "Authorization": f"Basic {base64.b64encode(b'nobody:voltuj-doctor').decode()}",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dm9sdHVqLWRvY3Rvci0xMg==",
            "Sec-WebSocket-Protocol": "ocpp1.6",
        }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    connected.sendall(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
    answer = http.client.HTTPResponse(connected)
    try:
        answer.begin()
    except http.client.HTTPException:
        return 0
    finally:
        answer.close()
    return answer.status
