"""HTTP of what mails confirm: registrations, new passwords, new e-mail addresses; and the change of a password.

Who asks for a mail is answered the same, whether anybody has the address or not.
"""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from api.database import Database
from api.errors import BadRequest, Conflict, LinkExpired, WrongPassword
from api.identity import operations, recovery, registration
from api.identity.caller import Caller, CurrentCaller
from api.identity.email import Email
from api.identity.passwords import CurrentPasswords, OldPassword, Password, Passwords
from api.identity.routes import User
from api.problems import problem_docs
from api.rate_limits import MAILS, CurrentLimits, RateLimits
from api.request import Body, CurrentDatabase, CurrentSettings, FilledText, Now, Transaction

router = APIRouter(prefix="/api/v1", tags=["accounts"])

TOKEN_EXAMPLE = "mC0eGQ0l8N0m0T7yq3o0XkQ3n7V0m3b1l0g9bqk2c4E"  # noqa: S105 - an example


def _example(**fields: Any) -> ConfigDict:  # noqa: ANN401 - whatever JSON holds
    return ConfigDict(json_schema_extra={"example": fields})


class Address(Body):
    """Where a mail should go."""

    model_config = _example(email="jana@example.com")

    email: Email


class Confirmation(Body):
    """The secret that a mail brought."""

    model_config = _example(token=TOKEN_EXAMPLE)

    token: FilledText = Field(max_length=256, description="what stands behind the # of the link, or the code")


class NewPassword(Confirmation):
    """The secret that a mail brought, and the password to log in with from now on."""

    model_config = _example(token=TOKEN_EXAMPLE, password="a new battery staple")  # noqa: S106 - an example

    password: Password


class PasswordChange(Body):
    """The old password and the new one."""

    model_config = _example(old_password="correct horse battery", new_password="a new battery staple")  # noqa: S106

    old_password: OldPassword
    new_password: Password


class EmailChange(Body):
    """The new address, and the password once more."""

    model_config = _example(email="jana@example.org", password="correct horse battery")  # noqa: S106

    email: Email
    password: OldPassword


class MailSent(BaseModel):
    """What follows."""

    model_config = _example(detail="If this address can be used here, a mail is on its way to it.")

    detail: str = "If this address can be used here, a mail is on its way to it."


@router.post(
    "/auth/register/verify",
    status_code=201,
    summary="Confirm a registration",
    responses=problem_docs(BadRequest, Conflict, LinkExpired, public=True),
)
async def confirm_registration(body: Confirmation, transaction: Transaction, now: Now) -> User:
    """Makes the account that was asked for. The secret counts once, for 24 hours. Log in next."""
    return User.model_validate(await registration.confirm(transaction, body.token, now))


@router.post(
    "/auth/register/resend",
    status_code=202,
    summary="Mail the secret of a registration again",
    responses=problem_docs(BadRequest, public=True),
)
async def resend_registration(
    *, body: Address, limits: CurrentLimits, transaction: Transaction, settings: CurrentSettings, now: Now
) -> MailSent:
    """For whom the mail has not reached. At most three mails in ten minutes go to one address."""
    await limits.take(MAILS, body.email)
    await registration.send_again(transaction, body.email, settings.links_url, now)
    return MailSent()


@router.post(
    "/auth/reset-request",
    status_code=202,
    summary="Ask for a new password",
    responses=problem_docs(BadRequest, public=True),
)
async def request_reset(
    *, body: Address, limits: CurrentLimits, transaction: Transaction, settings: CurrentSettings, now: Now
) -> MailSent:
    """Mails a secret with which to choose a new password, if somebody has this address."""
    await limits.take(MAILS, body.email)
    await recovery.ask_for_reset(transaction, body.email, settings.links_url, now)
    return MailSent()


@router.post(
    "/auth/reset",
    status_code=204,
    summary="Choose a new password",
    responses=problem_docs(BadRequest, LinkExpired, public=True),
)
async def reset_password(body: NewPassword, passwords: CurrentPasswords, database: CurrentDatabase, now: Now) -> None:
    """With the secret of a mail, which counts once, for an hour. Ends every log-in of the account."""
    password_hash = await passwords.choose(body.password)
    async with database.transaction() as connection:
        await recovery.reset(connection, body.token, password_hash, now)


@router.post(
    "/auth/change-email",
    status_code=204,
    summary="Confirm a new e-mail address",
    responses=problem_docs(BadRequest, Conflict, LinkExpired, public=True),
)
async def confirm_email(body: Confirmation, transaction: Transaction, now: Now) -> None:
    """With the secret that went to the new address; it counts once, for 24 hours. The old address is told."""
    await recovery.change_email(transaction, body.token, now)


@router.post(
    "/me/password", status_code=204, summary="Change the password", responses=problem_docs(BadRequest, WrongPassword)
)
async def change_password(
    *,
    body: PasswordChange,
    caller: CurrentCaller,
    passwords: CurrentPasswords,
    database: CurrentDatabase,
    limits: CurrentLimits,
    now: Now,
) -> None:
    """Replaces the password; every other log-in of the account ends."""
    user = await check_password(body.old_password, caller, passwords, database, limits)
    about = (user.email, user.display_name)
    password_hash = await passwords.choose(body.new_password, *about, field="body.new_password")
    async with database.transaction() as connection:
        if not await operations.is_unchanged(connection, user):
            raise WrongPassword
        await recovery.change_password(connection, caller.user_id, caller.session_id, password_hash, now)


@router.post(
    "/me/email",
    status_code=202,
    summary="Ask for a new e-mail address",
    responses=problem_docs(BadRequest, WrongPassword),
)
async def request_email(
    *,
    body: EmailChange,
    caller: CurrentCaller,
    passwords: CurrentPasswords,
    database: CurrentDatabase,
    limits: CurrentLimits,
    settings: CurrentSettings,
    now: Now,
) -> MailSent:
    """Mails a secret to the new address; the old one stays until it is confirmed."""
    await check_password(body.password, caller, passwords, database, limits)
    await limits.take(MAILS, body.email)
    async with database.transaction() as connection:
        user = await operations.find_user(connection, caller.user_id)
        await recovery.ask_for_email(connection, user, body.email, settings.links_url, now)
    return MailSent()


async def check_password(
    password: str, caller: Caller, passwords: Passwords, database: Database, limits: RateLimits
) -> Row[Any]:
    """Asks for the password once more; wrong ones are counted as wrong log-ins of the account. Returns the user.

    Raises:
        WrongPassword: it is not the caller's.
        TooManyRequests: there were too many attempts.
    """
    async with database.transaction() as connection:
        user = await operations.find_user(connection, caller.user_id)
    await limits.take(limits.log_in_account, user.email)
    if not await passwords.verify(password, user.password_hash):
        raise WrongPassword
    await limits.forgive(limits.log_in_account, user.email)
    return user
