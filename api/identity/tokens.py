"""Access tokens (JWT) and refresh tokens (random). The only module that imports jose; it never touches the database.

RFC 8725 (JWT best current practices): the algorithm is pinned (3.1), issuer and audience are checked (3.8, 3.9), and
the token says which kind it is (3.11).
"""

import hashlib
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from jose import JWTError, jwt

from api.errors import Unauthenticated
from api.settings import Settings, SettingsError

ALGORITHM: Final = "HS256"
AUDIENCE: Final = "voltuj-api"
KIND: Final = "at+jwt"
"""RFC 9068, 2.1: an access token, and no JWT of another kind."""
SHORTEST_SECRET: Final = 32
FEWEST_CHARACTERS: Final = 8
"""A secret of fewer different characters was typed, not drawn."""
EXAMPLE_SECRETS: Final = frozenset(
    {
        "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",  # FastAPI's tutorial
        "your-256-bit-secret-your-256-bit-secret",
        "a-string-secret-at-least-256-bits-long",  # jwt.io
    }
)
EXAMPLE_WORDS: Final = ("change-me", "changeme", "change_me", "change-this", "changethis", "change_this", "replace")
ROLL_OUT: Final = timedelta(minutes=5)
"""After the first process with a new secret, others still sign with the old one until they are restarted too."""
REQUIRED_CLAIMS: Final = ("iss", "aud", "exp", "iat", "sub", "jti")


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """Whom a token is for, and the log-in that it belongs to."""

    user_id: UUID
    session_id: UUID


MOST_VERIFIED: Final = 4096
"""Tokens; the one that was verified first goes first."""
NOBODY: Final[tuple[None, int]] = (None, 0)


@dataclass(frozen=True, slots=True)
class Previous:
    """The secret that was replaced: it signs nothing, and nothing counts that expires after `until`."""

    secret: str
    until: datetime


@dataclass(frozen=True, slots=True)
class AccessTokens:
    """Issues access tokens under one secret, and reads those of the secret before it for as long as they live."""

    secret: str
    issuer: str
    lifetime: timedelta
    previous: Previous | None = None
    _verified: dict[bytes, tuple[AccessClaims, int]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """By digest: jose takes 0.15 ms for a signature. Whether the log-in stands is asked each time all the same."""

    def issue(self, claims: AccessClaims, now: datetime) -> str:
        """A signed token that counts until `now + lifetime`."""
        issued_at = int(now.timestamp())
        body = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": str(claims.user_id),
            "sid": str(claims.session_id),
            "jti": str(uuid4()),
            "iat": issued_at,
            "exp": issued_at + int(self.lifetime.total_seconds()),
        }
        return str(jwt.encode(body, self.secret, algorithm=ALGORITHM, headers={"typ": KIND}))

    def read(self, token: str) -> AccessClaims:
        """The claims of a token that is ours and has not expired.

        Raises:
            Unauthenticated: anything is wrong with it.
        """
        if (known := self.known(token)) is not None:
            return known
        try:
            body = self._decode(token)
            claims = AccessClaims(UUID(body["sub"]), UUID(body["sid"]))
            self._remember(digest(token), claims, int(body["exp"]))
        except (JWTError, KeyError, ValueError, TypeError, AttributeError, OverflowError):
            raise Unauthenticated from None
        return claims

    def known(self, token: str) -> AccessClaims | None:
        """The same of a token that was read before; None where it was not, or is not remembered any more."""
        claims, expires_at = self._verified.get(digest(token), NOBODY)
        return claims if expires_at >= int(time.time()) else None

    def _remember(self, known: bytes, claims: AccessClaims, expires_at: int) -> None:
        """Only what was verified: nobody pushes others out with tokens that do not count."""
        self._verified.pop(known, None)
        if len(self._verified) >= MOST_VERIFIED:
            del self._verified[next(iter(self._verified))]
        self._verified[known] = (claims, expires_at)

    def expires_at(self, token: str) -> datetime:
        """When a token that `read` accepts stops to count.

        Raises:
            Unauthenticated: anything is wrong with it.
        """
        try:
            return datetime.fromtimestamp(self._decode(token)["exp"], UTC)
        except (JWTError, KeyError, ValueError, TypeError, AttributeError, OverflowError):
            raise Unauthenticated from None

    def _decode(self, token: str) -> dict[str, Any]:
        try:
            return self._verify(token, self.secret)
        except JWTError:
            if self.previous is None:
                raise
            body = self._verify(token, self.previous.secret)
            if body["exp"] > self.previous.until.timestamp():
                raise
            return body

    def _verify(self, token: str, secret: str) -> dict[str, Any]:
        options = {f"require_{claim}": True for claim in REQUIRED_CLAIMS}
        body = jwt.decode(token, secret, algorithms=[ALGORITHM], audience=AUDIENCE, issuer=self.issuer, options=options)
        if jwt.get_unverified_header(token).get("typ") != KIND:
            raise JWTError
        return body


def make_access_tokens(settings: Settings, started_at: datetime) -> AccessTokens:
    """The tokens of this installation, for a process that starts at `started_at`.

    What the previous secret signed before then has expired a lifetime later; the roll-out may take a while.

    Raises:
        SettingsError: JWT_SECRET is missing, short, or a well-known example.
    """
    secret = settings.jwt_secret.get_secret_value()
    check_secret(secret)
    lifetime = timedelta(minutes=settings.access_token_minutes)
    old = settings.jwt_secret_previous.get_secret_value()
    previous = Previous(old, started_at + ROLL_OUT + lifetime) if old else None
    return AccessTokens(secret, settings.public_api_url, lifetime, previous)


def check_secret(secret: str) -> None:
    """Refuses a secret that others may know or guess.

    Raises:
        SettingsError: with the sentence to show.
    """
    advice = "Make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
    if len(secret) < SHORTEST_SECRET:
        raise SettingsError(f"JWT_SECRET must be at least {SHORTEST_SECRET} characters long. {advice}")
    example = secret in EXAMPLE_SECRETS or any(word in secret.lower() for word in EXAMPLE_WORDS)
    if example or len(set(secret)) < FEWEST_CHARACTERS:
        raise SettingsError(f"JWT_SECRET is an example value or easy to guess. {advice}")


def new_refresh_token() -> str:
    """256 random bits as URL-safe text."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    """What is stored of a refresh token; 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
