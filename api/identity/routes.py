"""HTTP of accounts: register, log in, refresh, log out, and the caller's own data."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import structlog
from fastapi import APIRouter, Depends, Header, Response
from fastapi.security import OAuth2PasswordRequestForm
from pydantic import BaseModel, ConfigDict, Field

from api.errors import BadRequest, Conflict, Unauthenticated, WrongCredentials
from api.identity import operations, registration
from api.identity.caller import CurrentCaller, access_tokens
from api.identity.email import Email, normalise_email
from api.identity.passwords import LONGEST_PASSWORD, CurrentPasswords, Password, needs_update
from api.identity.tokens import AccessClaims, AccessTokens
from api.mail.notices import NOTICES, Notice
from api.problems import problem_docs
from api.rate_limits import MAILS, ClientAddress, CurrentLimits
from api.request import Body, CurrentDatabase, CurrentSettings, FilledText, Name, Now, Transaction, made, storable
from api.settings import Settings

router = APIRouter(prefix="/api/v1")

USER_EXAMPLE: dict[str, Any] = {
    "id": "7f0c9a4e-3b77-4c0f-8f0e-6a2d3a1f9c11",
    "email": "jana@example.com",
    "display_name": "Jana",
    "role": "user",
    "language": "cs",
    "mail_notices": ["security", "held", "payout", "top_up", "grant"],
    "created_at": "2026-05-04T08:30:00Z",
}
TOKENS_EXAMPLE: dict[str, Any] = {
    "access_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI3ZjBjIn0.signature",
    "token_type": "bearer",
    "expires_in": 900,
    "refresh_token": "mC0eGQ0l8N0m0T7yq3o0XkQ3n7V0m3b1l0g9bqk2c4E",
}


Language = Literal["cs", "en"]


class Registration(Body):
    """A new account."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "email": "jana@example.com",
                "password": "correct horse battery",
                "display_name": "Jana",
                "language": "cs",
            }
        }
    )

    email: Email = Field(description="case does not matter")
    password: Password
    display_name: Name = Field(description="shown to people with whom wallboxes are shared")
    language: Language = Field(default="en", description="`cs` or `en`; used for mails and receipts")


class ProfileChange(Body):
    """What of the account is to change; the rest stays."""

    model_config = ConfigDict(json_schema_extra={"example": {"display_name": "Jana N."}})

    display_name: Name = Field(default_factory=str, description="shown to people with whom wallboxes are shared")
    language: Language = Field(default="en", description="`cs` or `en`")
    mail_notices: list[Notice] = Field(
        default_factory=list, max_length=len(NOTICES), description="which notices are mailed; an empty list: none"
    )


class RefreshRequest(Body):
    """The newest refresh token of a log-in."""

    model_config = ConfigDict(json_schema_extra={"example": {"refresh_token": TOKENS_EXAMPLE["refresh_token"]}})

    refresh_token: FilledText = Field(max_length=256)


class User(BaseModel):
    """An account."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": USER_EXAMPLE})

    id: UUID
    email: str
    display_name: str
    role: str = Field(description="`user` (owner, driver or both) or `operator` of the installation")
    language: str
    mail_notices: list[str] = Field(description="which notices are mailed")
    created_at: datetime


class Registered(BaseModel):
    """The registration waits for the secret that was mailed."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"email": "jana@example.com", "status": "verification_sent"}}
    )

    email: str
    status: Literal["verification_sent"] = "verification_sent"


class Tokens(BaseModel):
    """An access token for the header `Authorization: Bearer`, and the token that gets the next one."""

    model_config = ConfigDict(json_schema_extra={"example": TOKENS_EXAMPLE})

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - RFC 6749, 5.1
    expires_in: int = Field(description="seconds until the access token expires")
    refresh_token: str = Field(description="counts once: each refresh returns the next one")


CurrentTokens = Annotated[AccessTokens, Depends(access_tokens)]


def _tokens(tokens: AccessTokens, session: operations.OpenSession, now: datetime) -> Tokens:
    access = tokens.issue(AccessClaims(session.user_id, session.session_id), now)
    expires_in = int(tokens.lifetime.total_seconds())
    return Tokens(access_token=access, expires_in=expires_in, refresh_token=session.refresh_token)


def _refresh_lifetime(settings: Settings) -> timedelta:
    return timedelta(days=settings.refresh_token_days)


@router.post(
    "/auth/register",
    status_code=201,
    tags=["accounts"],
    summary="Make an account",
    responses={
        **problem_docs(BadRequest, Conflict, public=True),
        202: {"model": Registered, "description": "A mail is on its way: see `POST /auth/register/verify`."},
    },
)
async def register(
    *,
    body: Registration,
    passwords: CurrentPasswords,
    database: CurrentDatabase,
    settings: CurrentSettings,
    limits: CurrentLimits,
    response: Response,
    now: Now,
) -> User | Registered:
    """Makes an account once its e-mail address is confirmed: 202, and the answer is the same for an address that has
    one already. Where the installation asks for no confirmation (`EMAIL_VERIFICATION=off`), the account is made at
    once: 201, or 409. With it comes an id tag for starting sessions from the app."""
    if settings.email_verification == "required":
        await limits.take(MAILS, body.email)
    password_hash = await passwords.choose(body.password, body.email, body.display_name)
    fields = {**body.model_dump(exclude={"password"}), "password_hash": password_hash}
    async with database.transaction() as connection:
        if settings.email_verification == "off":
            user = await registration.admit(connection, **fields, now=now)
            return User.model_validate(user)
        await registration.ask(connection, **fields, public_url=settings.links_url, now=now)
    response.status_code = 202
    return Registered(email=body.email)


@router.post(
    "/auth/token",
    tags=["accounts"],
    summary="Log in",
    responses=problem_docs(BadRequest, WrongCredentials, public=True),
)
async def log_in(
    *,
    form: Annotated[OAuth2PasswordRequestForm, Depends(made(OAuth2PasswordRequestForm))],
    passwords: CurrentPasswords,
    tokens: CurrentTokens,
    database: CurrentDatabase,
    settings: CurrentSettings,
    limits: CurrentLimits,
    address: ClientAddress,
    now: Now,
    user_agent: Annotated[str, Header(include_in_schema=False)] = "",
) -> Tokens:
    """OAuth2 password grant (RFC 6749, 4.3): `username` is the e-mail. Unknown e-mail and wrong password look alike."""
    email, password = _credentials(form)
    await limits.take(limits.log_in_address, address)
    await limits.take(limits.log_in_account, email)
    async with database.transaction() as connection:
        user = await operations.find_by_email(connection, email)
    if user is not None:
        structlog.contextvars.bind_contextvars(user_id=str(user.id))
    if not await passwords.verify(password, user.password_hash if user else None) or user is None:
        raise WrongCredentials
    await limits.forgive(limits.log_in_account, email)
    newer_hash = await passwords.hash(password) if needs_update(user.password_hash) else None
    async with database.transaction() as connection:
        if not await operations.is_unchanged(connection, user):
            raise WrongCredentials
        if newer_hash:
            await operations.store_password_hash(connection, user.id, newer_hash)
        agent = user_agent.encode("ascii", "replace").decode()
        session = await operations.open_session(connection, user.id, agent, now, _refresh_lifetime(settings))
    return _tokens(tokens, session, now)


def _credentials(form: OAuth2PasswordRequestForm) -> tuple[str, str]:
    """What can be looked up; nonsense becomes an e-mail and a password that nobody has."""
    try:
        if len(form.password) > LONGEST_PASSWORD:
            return "", ""
        return normalise_email(storable(form.username)), storable(form.password)
    except ValueError:
        return "", ""


@router.post(
    "/auth/refresh",
    tags=["accounts"],
    summary="Get the next access token",
    responses=problem_docs(BadRequest, Unauthenticated, public=True),
)
async def refresh(
    *, body: RefreshRequest, tokens: CurrentTokens, database: CurrentDatabase, settings: CurrentSettings, now: Now
) -> Tokens:
    """Exchanges a refresh token for new tokens. One that is used a second time ends the whole log-in."""
    longest = timedelta(days=settings.log_in_days)
    async with database.transaction() as connection:
        session = await operations.rotate(connection, body.refresh_token, now, _refresh_lifetime(settings), longest)
    if session is None:
        raise Unauthenticated("The refresh token is unknown, used, expired or revoked. Log in again.")
    return _tokens(tokens, session, now)


@router.post("/auth/logout", status_code=204, tags=["accounts"], summary="Log out", responses=problem_docs())
async def log_out(caller: CurrentCaller, transaction: Transaction, now: Now) -> None:
    """Ends the log-in that the access token belongs to, with all its tokens."""
    await operations.revoke_session(transaction, caller.session_id, now)


@router.get("/me", tags=["accounts"], summary="Read the own account", responses=problem_docs())
async def read_me(caller: CurrentCaller, transaction: Transaction) -> User:
    """The caller's account."""
    return User.model_validate(await operations.find_user(transaction, caller.user_id))


@router.patch("/me", tags=["accounts"], summary="Change the own account", responses=problem_docs(BadRequest))
async def edit_me(body: ProfileChange, caller: CurrentCaller, transaction: Transaction) -> User:
    """Changes the display name, the language, or which notices are mailed; fields that are left out stay."""
    changes = body.model_dump(exclude_unset=True)
    return User.model_validate(await operations.edit_user(transaction, caller.user_id, changes))
