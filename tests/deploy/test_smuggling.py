"""Where a request ends: nobody hides a second one in it, past Apache, or in front of somebody else's (ASVS 4.2.1)."""

import socket

import pytest

from tests.deploy.compose import DOMAIN, Production
from tests.harness.framings import FRAMINGS

HIDDEN = b"GET /metrics HTTP/1.1\r\nHost: inside\r\nX-Rest: "
CHUNKED = b"0\r\n\r\n" + HIDDEN
"""An empty body of chunks, and what stands behind it."""
PAST_APACHE = (
    "length and chunks",
    "chunks and length",
    "chunks by a name with a space",
    "chunks on a folded line",
    "another coding",
    "chunks and identity",
    "two lengths",
    "a signed length",
    "line feeds alone",
)
"""Of `FRAMINGS` those that are tried: each takes seconds."""
HONEST = b"GET /docs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def _answers(production: Production, request: bytes) -> bytes:
    """All that comes back until the server closes or says nothing for two seconds."""
    with (
        socket.create_connection(("127.0.0.1", production.https_port), timeout=15) as plain,
        production.tls.wrap_socket(plain, server_hostname=DOMAIN) as secure,
    ):
        secure.sendall(request)
        secure.settimeout(2)
        answers = b""
        try:
            while received := secure.recv(65536):
                answers += received
        except TimeoutError:
            pass
        return answers


@pytest.mark.parametrize("framing", [FRAMINGS[name] for name in PAST_APACHE], ids=PAST_APACHE)
def test_a_hidden_request_reaches_nobody(production: Production, framing: bytes) -> None:
    head = b"POST /api/v1/auth/refresh HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    hostile = head + (framing % len(CHUNKED)) + b"\r\n" + CHUNKED
    for _ in range(3):
        assert b"voltuj_" not in _answers(production, hostile)
    for _ in range(6):
        honest = _answers(production, HONEST)
        assert honest.startswith(b"HTTP/1.1 200 "), honest[:200]
        assert b"<title>" in honest
