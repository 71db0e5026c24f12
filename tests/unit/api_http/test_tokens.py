"""Access tokens: RFC 8725, one trap each."""

import base64
import hmac
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from jose import jwe, jwt

from api.errors import Unauthenticated
from api.identity.tokens import MOST_VERIFIED, AccessClaims, AccessTokens, Previous, check_secret
from api.settings import SettingsError
from standalone.databases import REPOSITORY

SECRET = "for-these-tests-only-7Jq2vX9pLm4Rz8Wb"
CLAIMS = AccessClaims(UUID(int=1), UUID(int=2))
TOKENS = AccessTokens(SECRET, "https://voltuj.test", timedelta(minutes=15))


def body(**changes: Any) -> dict[str, Any]:
    now = int(datetime.now(UTC).timestamp())
    made = {
        "iss": "https://voltuj.test",
        "aud": "voltuj-api",
        "sub": str(CLAIMS.user_id),
        "sid": str(CLAIMS.session_id),
        "jti": "8a9e",
        "iat": now,
        "exp": now + 300,
        **changes,
    }
    return {name: value for name, value in made.items() if value is not None}


def sign(claims: dict[str, Any], secret: str = SECRET, algorithm: str = "HS256", **header: Any) -> str:
    return str(jwt.encode(claims, secret, algorithm=algorithm, headers={"typ": "at+jwt", **header}))


def unsigned(claims: dict[str, Any], algorithm: str) -> str:
    parts = ({"alg": algorithm, "typ": "at+jwt"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


def test_ours_is_read_back() -> None:
    assert TOKENS.read(TOKENS.issue(CLAIMS, datetime.now(UTC))) == CLAIMS


def test_one_made_by_hand_is_read_too() -> None:
    """Every refused one below differs from this one in one thing."""
    assert TOKENS.read(sign(body())) == CLAIMS


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "another-api"},
        {"aud": None},
        {"aud": []},
        {"iss": "https://elsewhere.test"},
        {"iss": None},
        {"exp": 1_000_000_000},
        {"exp": None},
        {"exp": "soon"},
        {"iat": None},
        {"jti": None},
        {"sub": None},
        {"sub": "42"},
        {"sub": 42},
        {"sid": None},
        {"sid": "42"},
        {"sid": 42},
    ],
    ids=str,
)
def test_wrong_or_missing_claims_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        TOKENS.read(sign(body(**changes)))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS256", "RS256", ""])
def test_no_signature_is_refused(algorithm: str) -> None:
    with pytest.raises(Unauthenticated):
        TOKENS.read(unsigned(body(), algorithm))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_another_algorithm_is_refused_though_the_secret_is_right(algorithm: str) -> None:
    with pytest.raises(Unauthenticated):
        TOKENS.read(sign(body(), algorithm=algorithm))


@pytest.mark.parametrize("kind", ["JWT", "rt+jwt", "", None, 1])
def test_a_token_of_another_kind_is_refused(kind: object) -> None:
    """RFC 8725 3.11: signed by us and with the same claims, but not an access token."""
    with pytest.raises(Unauthenticated):
        TOKENS.read(sign(body(), typ=kind))


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "....", "\u00e9", "eyJhbGciOiJIUzI1NiJ9.W10.x", "\ud800"])
def test_nonsense_is_refused(token: str) -> None:
    with pytest.raises(Unauthenticated):
        TOKENS.read(token)


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c", "kid"])
def test_a_key_that_the_token_brings_along_is_not_used(name: str) -> None:
    """RFC 8725 3.1, 3.10: what the header claims about keys is never followed."""
    theirs = "a-secret-of-the-attacker-4Hs8Kq1Z"
    encoded = base64.urlsafe_b64encode(theirs.encode()).decode().rstrip("=")
    values = {"jwk": {"kty": "oct", "k": encoded}, "x5c": [encoded], "kid": "../../dev/null"}
    headers: dict[str, Any] = {name: values.get(name, "https://evil.example/keys")}
    with pytest.raises(Unauthenticated):
        TOKENS.read(sign(body(), theirs, **headers))


@pytest.mark.parametrize("secret", ["", "null", "None", "0", "secret"])
def test_a_guessed_secret_opens_nothing(secret: str) -> None:
    with pytest.raises(Unauthenticated):
        TOKENS.read(sign(body(), secret))


def test_a_compressed_or_encrypted_token_is_not_even_unpacked() -> None:
    """CVE-2024-33664 of python-jose: a JWE that unpacks to gigabytes. We call only `jwt.decode`, which knows none."""
    bomb = str(jwe.encrypt(b"0" * 1_000_000, "k" * 16, algorithm="dir", encryption="A128GCM", zip="DEF").decode())
    assert len(bomb) < 10_000
    with pytest.raises(Unauthenticated):
        TOKENS.read(bomb)
    assert "jwe" not in (REPOSITORY / "api/identity/tokens.py").read_text()


def test_a_public_key_is_no_secret() -> None:
    """CVE-2024-33663 of python-jose: a public key in a form that it does not know was taken as an HMAC secret."""
    for key in ("ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY= x", "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END"):
        with pytest.raises(Unauthenticated):
            TOKENS.read(sign_raw(body(), key))


def sign_raw(claims: dict[str, Any], key: str) -> str:
    """As an attacker signs, whom no library keeps from using a public key as a secret."""
    signed = unsigned(claims, "HS256").rstrip(".")
    digest = hmac.digest(key.encode(), signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def test_signed_by_hand_with_our_secret_is_read() -> None:
    """So that what `sign_raw` makes is refused for its key and nothing else."""
    assert TOKENS.read(sign_raw(body(), SECRET)) == CLAIMS


@pytest.mark.parametrize(
    "changes", [{"nbf": 4_000_000_000}, {"exp": True}, {"exp": [1]}, {"iss": ["https://voltuj.test"]}]
)
def test_times_and_issuers_of_the_wrong_kind(changes: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        TOKENS.read(sign_raw(body(**changes), SECRET))


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_changed_byte_is_noticed(part: int) -> None:
    parts = TOKENS.issue(CLAIMS, datetime.now(UTC)).split(".")
    parts[part] = ("A" if parts[part][0] != "A" else "B") + parts[part][1:]
    with pytest.raises(Unauthenticated):
        TOKENS.read(".".join(parts))


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "short",
        "x" * 64,
        "ab" * 32,
        "please-change-me-please-change-me-1234",
        "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    ],
)
def test_a_weak_secret_is_refused_by_name(secret: str) -> None:
    with pytest.raises(SettingsError, match="JWT_SECRET"):
        check_secret(secret)


def test_a_good_secret_is_accepted() -> None:
    check_secret(SECRET)


OLDER = "the-one-before-8Hn3wQz6Tb1Ys5Kd"


def rotated(until: datetime) -> AccessTokens:
    return AccessTokens(SECRET, "https://voltuj.test", timedelta(minutes=15), Previous(OLDER, until))


def test_tokens_of_the_previous_secret_count_while_they_live() -> None:
    tokens = rotated(datetime.now(UTC) + timedelta(minutes=15))
    assert tokens.read(sign(body(), OLDER)) == CLAIMS
    assert tokens.read(sign(body())) == CLAIMS
    assert tokens.read(tokens.issue(CLAIMS, datetime.now(UTC))) == TOKENS.read(tokens.issue(CLAIMS, datetime.now(UTC)))


@pytest.mark.parametrize("changes", [{"exp": int(datetime.now(UTC).timestamp()) + 3600}, {"aud": "x"}, {"exp": 1}])
def test_the_previous_secret_makes_no_new_tokens(changes: dict[str, Any]) -> None:
    """Whoever still has it cannot sign one that lasts."""
    with pytest.raises(Unauthenticated):
        rotated(datetime.now(UTC) + timedelta(minutes=15)).read(sign(body(**changes), OLDER))


def expiring(tokens: AccessTokens, in_s: int) -> str:
    return tokens.issue(CLAIMS, datetime.now(UTC) + timedelta(seconds=in_s) - tokens.lifetime)


def test_a_token_that_was_verified_stops_to_count_when_it_expires() -> None:
    token = expiring(TOKENS, 1)
    with pytest.raises(Unauthenticated):
        read_for(token, seconds=10)


def read_for(token: str, seconds: float) -> None:
    """Again and again."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert TOKENS.read(token) == CLAIMS


def test_what_was_verified_says_nothing_about_other_tokens() -> None:
    """Neither the same claims under another signature count, nor the same token under another secret."""
    token = TOKENS.issue(CLAIMS, datetime.now(UTC))
    assert TOKENS.read(token) == TOKENS.read(token) == CLAIMS
    for other in (token[:-1], token + "A", token.rpartition(".")[0] + ".", token.upper()):
        with pytest.raises(Unauthenticated):
            TOKENS.read(other)
    with pytest.raises(Unauthenticated):
        AccessTokens(OLDER, TOKENS.issuer, TOKENS.lifetime).read(token)


def test_only_so_many_verified_tokens_are_kept() -> None:
    tokens = AccessTokens(SECRET, "https://voltuj.test", timedelta(minutes=15))
    now = datetime.now(UTC)
    first = tokens.issue(CLAIMS, now)
    assert tokens.read(first) == CLAIMS
    for _ in range(MOST_VERIFIED + 10):
        assert tokens.read(tokens.issue(CLAIMS, now)) == CLAIMS
    for _ in range(100):
        with pytest.raises(Unauthenticated):
            tokens.read(sign(body(), OLDER))
    assert len(tokens._verified) == MOST_VERIFIED
    assert tokens.read(first) == CLAIMS
