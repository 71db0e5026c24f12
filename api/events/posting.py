"""One signed POST to a webhook: resolved and checked anew, over a connection to the checked address, never redirected.

What comes back is read as far as its status line, which is bounded; the whole has a time-out.
"""

import asyncio
import hashlib
import hmac
import re
import socket
import ssl
from collections.abc import Mapping
from typing import Final

from api.events.addresses import RefusedError, Target, check_addresses, parse_url

TIME_OUT_S: Final = 10.0
LONGEST_LINE: Final = 4096
STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] (\d{3})(?: |\r?\n)")


class UndeliveredError(Exception):
    """It was not accepted; the message says why, `status` what the receiver answered, None where nothing came."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """The value of Voltuj-Signature: HMAC-SHA256 over the timestamp, a full stop and the body."""
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


async def post(url: str, body: bytes, headers: Mapping[str, str], *, loopback: bool) -> int:
    """Delivers; the status, one of 2xx.

    Raises:
        UndeliveredError: refused, unreachable, too slow, or answered with another status.
    """
    try:
        async with asyncio.timeout(TIME_OUT_S):
            status = await _exchange(parse_url(url, loopback=loopback), body, headers, loopback=loopback)
    except TimeoutError:
        raise UndeliveredError(f"no answer within {TIME_OUT_S:g} s") from None
    except RefusedError as error:
        raise UndeliveredError(f"refused: {error}") from None
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, UnicodeError) as error:
        raise UndeliveredError(f"{type(error).__name__}: {error}"[:300]) from None
    if not 200 <= status < 300:
        raise UndeliveredError(f"answered {status}", status)
    return status


async def _exchange(target: Target, body: bytes, headers: Mapping[str, str], *, loopback: bool) -> int:
    found = await asyncio.get_running_loop().getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    address = check_addresses(target, [str(entry[4][0]) for entry in found], loopback=loopback)
    secure = ssl.create_default_context() if target.scheme == "https" else None
    reader, writer = await asyncio.open_connection(
        address, target.port, ssl=secure, server_hostname=target.host if secure else None, limit=LONGEST_LINE
    )
    try:
        writer.write(_request(target, body, headers))
        line = await reader.readuntil(b"\n")
        match = STATUS_LINE.match(line)
        if match is None:
            raise ValueError("the answer is not HTTP")
        return int(match[1])
    finally:
        writer.transport.abort()


def _request(target: Target, body: bytes, headers: Mapping[str, str]) -> bytes:
    fields = {
        "Host": target.host_header,
        "User-Agent": "Voltuj",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {target.path} HTTP/1.1\r\n{head}\r\n".encode("ascii") + body
