"""Signed links by which a charge point fetches or leaves one file (HMAC-SHA256, with an expiry). Pure.

A charge point has no log-in over HTTP; the link is its right to one file and nothing else.
"""

import base64
import binascii
import hashlib
import hmac
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal
from uuid import UUID

Purpose = Literal["download", "upload"]
_PURPOSES: Final[tuple[Purpose, ...]] = ("download", "upload")
_LAYOUT: Final = struct.Struct("!B16s16sQ")
_SIGNATURE_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Link:
    """What a link is good for; `subject` is the file of a download, and a number used once of an upload."""

    purpose: Purpose
    charge_point_id: UUID
    subject: UUID
    expires_at: datetime


def signing_key(secret: str) -> bytes:
    """The key of these links, from the secret that signs log-ins but never the same."""
    return hmac.digest(secret.encode(), b"voltuj file links", hashlib.sha256)


def make_token(key: bytes, link: Link) -> str:
    """The link as a part of a URL."""
    expires = int(link.expires_at.timestamp())
    body = _LAYOUT.pack(_PURPOSES.index(link.purpose), link.charge_point_id.bytes, link.subject.bytes, expires)
    return base64.urlsafe_b64encode(body + hmac.digest(key, body, hashlib.sha256)).decode().rstrip("=")


def read_token(key: bytes, token: str, purpose: Purpose, now: datetime) -> Link | None:
    """The link of a token that we made for this purpose and that has not expired; else None."""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    body, signature = raw[:-_SIGNATURE_BYTES], raw[-_SIGNATURE_BYTES:]
    if len(body) != _LAYOUT.size or not hmac.compare_digest(hmac.digest(key, body, hashlib.sha256), signature):
        return None
    number, charge_point, subject, expires = _LAYOUT.unpack(body)
    link = Link(_PURPOSES[number], UUID(bytes=charge_point), UUID(bytes=subject), datetime.fromtimestamp(expires, UTC))
    return link if link.purpose == purpose and now < link.expires_at else None
