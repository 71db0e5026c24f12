"""Where a request ends: nobody hides a second one in it, past Apache, or in front of somebody else's (ASVS 4.2.1)."""

import socket

import pytest

from tests.deploy.compose import DOMAIN, Production

HIDDEN = b"GET /metrics HTTP/1.1\r\nHost: inside\r\nX-Rest: "
CHUNKED = b"0\r\n\r\n" + HIDDEN
"""An empty body of chunks, and what stands behind it."""
FRAMINGS = {
    "length and chunks": b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n",
    "chunks and length": b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n",
    "chunks by a name with a space": b"Content-Length: %d\r\nTransfer-Encoding : chunked\r\n",
    "chunks on a folded line": b"Content-Length: %d\r\nTransfer-Encoding:\r\n chunked\r\n",
    "another coding": b"Content-Length: %d\r\nTransfer-Encoding: xchunked\r\n",
    "chunks and identity": b"Content-Length: %d\r\nTransfer-Encoding: chunked, identity\r\n",
    "two lengths": b"Content-Length: 5\r\nContent-Length: %d\r\n",
    "a signed length": b"Content-Length: +%d\r\n",
    "line feeds alone": b"Content-Length: %d\nTransfer-Encoding: chunked\r\n",
}
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


@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
def test_a_hidden_request_reaches_nobody(production: Production, framing: bytes) -> None:
    head = b"POST /api/v1/auth/refresh HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    hostile = head + (framing % len(CHUNKED)) + b"\r\n" + CHUNKED
    for _ in range(3):
        assert b"voltuj_" not in _answers(production, hostile)
    for _ in range(6):
        honest = _answers(production, HONEST)
        assert honest.startswith(b"HTTP/1.1 200 "), honest[:200]
        assert b"<title>" in honest
