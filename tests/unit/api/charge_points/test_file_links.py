"""Signed links: good for one purpose, until they expire, and not to be made by anybody else."""

import base64
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from api.charge_points.file_links import Link, make_token, read_token, signing_key

NOW = datetime(2026, 5, 4, 9, tzinfo=UTC)
KEY = signing_key("a secret of thirty-two characters")
LINK = Link("upload", uuid4(), uuid4(), NOW + timedelta(hours=1))


def test_a_link_is_read_back_until_it_expires() -> None:
    token = make_token(KEY, LINK)
    assert len(token) < 120
    assert read_token(KEY, token, "upload", NOW) == LINK
    assert read_token(KEY, token, "upload", LINK.expires_at) is None
    assert read_token(KEY, token, "download", NOW) is None
    assert read_token(signing_key("another secret of that length...."), token, "upload", NOW) is None


@pytest.mark.parametrize("index", range(0, 73, 6))
def test_a_changed_byte_breaks_it(index: int) -> None:
    token = make_token(KEY, LINK)
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    raw[index] ^= 1
    assert read_token(KEY, base64.urlsafe_b64encode(raw).decode().rstrip("="), "upload", NOW) is None


@pytest.mark.parametrize("token", ["", "x", "é", "AAAA", "A" * 98, "A" * 5000, "../../etc"])
def test_nonsense_is_no_link(token: str) -> None:
    assert read_token(KEY, token, "upload", NOW) is None
