"""Who is asking: from the bearer token to a Caller, checked against the log-in on each request."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

import structlog
from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer
from fastapi.security.utils import get_authorization_scheme_param
from starlette.datastructures import Headers
from starlette.types import Scope

from api.database import Database
from api.errors import Unauthenticated
from api.identity import operations
from api.identity.tokens import AccessTokens
from api.rate_limits import RateLimits

_bearer = OAuth2PasswordBearer(
    tokenUrl="/api/v1/auth/token",
    refreshUrl="/api/v1/auth/refresh",
    scheme_name="password",
    description="E-mail as user name, and password. Access tokens are short-lived; refresh them.",
    auto_error=False,
)


@dataclass(frozen=True, slots=True)
class Caller:
    """A person whose log-in stands."""

    user_id: UUID
    session_id: UUID
    role: str

    @property
    def is_operator(self) -> bool:
        """Operators run the installation and see everything in it."""
        return self.role == "operator"


async def access_tokens(request: Request) -> AccessTokens:
    """The tokens of this installation."""
    tokens: AccessTokens = request.app.state.access_tokens
    return tokens


def account_of(tokens: AccessTokens, scope: Scope) -> str | None:
    """Whose token a request shows, where it was read before: who sends one after the other costs no signatures here."""
    scheme, token = get_authorization_scheme_param(Headers(scope=scope).get("authorization"))
    claims = tokens.known(token) if scheme.lower() == "bearer" else None
    return None if claims is None else str(claims.user_id)


async def _authenticate(request: Request, token: Annotated[str | None, Depends(_bearer)]) -> Caller:
    """What it needs it takes from the application itself: dependencies FastAPI solves anew for each request."""
    if token is None:
        raise Unauthenticated
    tokens: AccessTokens = request.app.state.access_tokens
    limits: RateLimits = request.app.state.rate_limits
    database: Database = request.app.state.database
    claims = tokens.read(token)
    account = str(claims.user_id)
    if request.scope["state"].get("counted_account") != account:
        await limits.take(limits.account, account)
    async with database.reading() as connection:
        role = await operations.find_caller(connection, claims.user_id, claims.session_id)
    if role is None:
        raise Unauthenticated
    structlog.contextvars.bind_contextvars(user_id=account)
    return Caller(claims.user_id, claims.session_id, role)


CurrentCaller = Annotated[Caller, Depends(_authenticate)]


async def _token_expiry(
    token: Annotated[str | None, Depends(_bearer)], tokens: Annotated[AccessTokens, Depends(access_tokens)]
) -> datetime:
    if token is None:
        raise Unauthenticated
    return tokens.expires_at(token)


TokenExpiry = Annotated[datetime, Depends(_token_expiry)]
"""Until when an answer that goes on and on may go on."""
