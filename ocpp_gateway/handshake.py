"""Who knocks, and may it come in: path, subprotocol and Basic credentials of a WebSocket opening request.

Pure: no socket, no clock, no secret kept or shown; only SHA-256 digests of an offered key leave this room.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from urllib.parse import unquote_to_bytes

SUBPROTOCOL = "ocpp1.6"
LONGEST_IDENTITY = 48
RETRY_AFTER_S = (10, 30)
"""From and to: many who are sent away together are not to come again together."""
_HEX_KEY = re.compile(rb"(?:[0-9A-Fa-f]{2}){16,20}")
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP answer that ends the handshake."""

    status: int
    result: str
    """One word for the metrics."""
    text: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Knock:
    """A well-formed opening request, for the api to decide about."""

    identity: str
    key_digests: tuple[bytes, ...]
    offered_subprotocol: bool


UNKNOWN_PATH = Refusal(
    404, "unknown_path", "This is an OCPP 1.6 central system: connect to /<charge point identity>.\n"
)
BAD_SUBPROTOCOL = Refusal(
    400, "wrong_subprotocol", f"This central system speaks only the WebSocket subprotocol {SUBPROTOCOL}.\n"
)
WRONG_KEY = Refusal(
    401,
    "wrong_key",
    "Basic authentication needed: the charge point identity as user name and its AuthorizationKey as password.\n",
    (("WWW-Authenticate", 'Basic realm="OCPP"'),),
)
UNAVAILABLE = Refusal(503, "unavailable", "The central system cannot serve you now, try again later.\n")
TOO_OFTEN = Refusal(429, "too_often", "Too many connection attempts, try again later.\n")
SATURATED = Refusal(503, "saturated", "The central system has too much to do now, try again later.\n")
REFUSALS: Mapping[str, Refusal] = {
    "unknown_identity": Refusal(404, "unknown_identity", "No charge point of this identity is known here.\n"),
    "wrong_key": WRONG_KEY,
    "no_subprotocol": Refusal(
        400, "no_subprotocol", f"No WebSocket subprotocol was offered; this central system speaks {SUBPROTOCOL}.\n"
    ),
    "insecure": Refusal(403, "insecure", "This charge point may connect only over TLS.\n"),
    "refused": Refusal(403, "refused", "This charge point may not connect now.\n"),
}
"""By `wire.ConnectOutcome.status`; a status that this release does not know is answered like "refused"."""


def retry_after(chance: float) -> tuple[str, str]:
    """The header that says when to come again; `chance` from 0 to 1 spreads it."""
    soonest_s, latest_s = RETRY_AFTER_S
    return "Retry-After", str(round(soonest_s + chance * (latest_s - soonest_s)))


def check(
    path: str, offered_subprotocols: Sequence[str], authorization: Sequence[str], *, prefix: str = ""
) -> Knock | Refusal:
    """Judges a request by what can be known without the api (J 3.1: path and subprotocol; J 6.2: credentials)."""
    identity = identity_of(path, prefix)
    if identity is None:
        return UNKNOWN_PATH
    if offered_subprotocols and SUBPROTOCOL not in offered_subprotocols:
        return BAD_SUBPROTOCOL
    digests: tuple[bytes, ...] = ()
    if authorization:
        key = _offered_key(authorization, identity)
        if key is None:
            return WRONG_KEY
        digests = key_digests(key)
    return Knock(identity, digests, bool(offered_subprotocols))


def identity_of(path: str, prefix: str = "") -> str | None:
    """The charge point identity in a request path, percent-decoded (J 3.1.1); None where there is none.

    The query is ignored, one trailing slash is tolerated, and the path may start with the configured prefix.
    """
    path = path.partition("?")[0]
    if prefix and path.startswith(prefix + "/"):
        path = path[len(prefix) :]
    encoded = path.removeprefix("/").removesuffix("/")
    if not path.startswith("/") or "/" in encoded or _BAD_ESCAPE.search(encoded):
        return None
    try:
        identity = unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError:
        return None
    return identity if is_identity(identity) else None


def is_identity(identity: str) -> bool:
    """1 to 48 printable characters without a slash; a NUL or another control character is not printable."""
    return 0 < len(identity) <= LONGEST_IDENTITY and identity.isprintable() and "/" not in identity


def key_digests(key: bytes) -> tuple[bytes, ...]:
    """SHA-256 of the key as offered and, where it is 32 to 40 hex digits, of the bytes that they stand for.

    A wallbox keeps the AuthorizationKey as text or as bytes, and sends either (J 6.2, WP A00).
    """
    digests = [hashlib.sha256(key).digest()]
    if _HEX_KEY.fullmatch(key):
        digests.append(hashlib.sha256(binascii.unhexlify(key)).digest())
    return tuple(digests)


def origin(
    peer: str,
    forwarded_for: Sequence[str],
    forwarded_proto: Sequence[str],
    trusted: Sequence[IPv4Network | IPv6Network],
) -> tuple[str, bool]:
    """The charge point's address and whether it came over TLS; forwarding headers count from a trusted proxy only.

    Proxies append to X-Forwarded-For, so the address is the last one that is not itself a trusted proxy.
    """
    if not _is_trusted(peer, trusted):
        return peer, False
    secure = bool(forwarded_proto) and forwarded_proto[-1].rpartition(",")[2].strip().lower() in {"https", "wss"}
    hops = [hop.strip() for value in forwarded_for for hop in value.split(",")]
    for hop in reversed(hops):
        if not _is_address(hop):
            break
        if not _is_trusted(hop, trusted):
            return hop, secure
    return peer, secure


def client_certificate(
    peer: str, verified: Sequence[str], certificate: Sequence[str], trusted: Sequence[IPv4Network | IPv6Network]
) -> bytes:
    """SHA-256 of the certificate (DER) that a trusted proxy has verified and passes on as PEM; else empty (WP 2.6).

    Line breaks cannot travel in a header, so whatever white space or escaping stands in their place is ignored.
    """
    if not _is_trusted(peer, trusted) or list(verified) != ["SUCCESS"] or len(certificate) != 1:
        return b""
    match = _PEM.search(unquote_to_bytes(certificate[0]))
    try:
        return hashlib.sha256(base64.b64decode(b"".join(match[1].split()), validate=True)).digest() if match else b""
    except (binascii.Error, ValueError):
        return b""


def _offered_key(authorization: Sequence[str], identity: str) -> bytes | None:
    """The password bytes, which need not be UTF-8; None for anything but Basic with the identity as user name (J 6.2).

    The identity is cut off as a whole, so one that contains a colon works too.
    """
    if len(authorization) != 1:
        return None
    scheme, _, encoded = authorization[0].partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        login = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    user = identity.encode() + b":"
    return login[len(user) :] if login.startswith(user) else None


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_trusted(address: str, trusted: Sequence[IPv4Network | IPv6Network]) -> bool:
    return _is_address(address) and any(ip_address(address) in network for network in trusted)
