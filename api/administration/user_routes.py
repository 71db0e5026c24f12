"""HTTP of the operators' user administration: accounts, registrations that wait, the audit log."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from api import audit
from api.administration import users
from api.charge_points.onboarding import check_operator
from api.errors import BadRequest, Conflict, NotFound
from api.identity import registration
from api.identity.caller import CurrentCaller
from api.paging import Page, Paging
from api.problems import problem_docs
from api.rate_limits import MAILS, CurrentLimits
from api.request import Body, CurrentSettings, Flag, Now, StorableText, Transaction

router = APIRouter(prefix="/api/v1/operator", tags=["system"])

Role = Literal["user", "operator"]
USER_EXAMPLE: dict[str, Any] = {
    "id": "7f0c9a4e-3b77-4c0f-8f0e-6a2d3a1f9c11",
    "email": "jana@example.com",
    "display_name": "Jana",
    "role": "user",
    "language": "cs",
    "email_verified_at": "2026-05-04T08:32:00Z",
    "disabled_at": None,
    "created_at": "2026-05-04T08:32:00Z",
}
PENDING_EXAMPLE: dict[str, Any] = {
    "id": "2b1f7f64-2f0b-4f39-8f7f-0d5b0c9d1a77",
    "email": "petr@example.com",
    "expires_at": "2026-05-05T08:30:00Z",
    "created_at": "2026-05-04T08:30:00Z",
}
ENTRY_EXAMPLE: dict[str, Any] = {
    "id": 12,
    "at": "2026-05-04T08:30:00Z",
    "actor_id": "1d0c9a4e-3b77-4c0f-8f0e-6a2d3a1f9c99",
    "action": "user.disabled",
    "subject_id": "7f0c9a4e-3b77-4c0f-8f0e-6a2d3a1f9c11",
    "details": {},
}


class AdministeredUser(BaseModel):
    """An account as operators see it."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": USER_EXAMPLE})

    id: UUID
    email: str
    display_name: str
    role: Role
    language: str
    email_verified_at: datetime | None = Field(description="null: nothing says that the address is theirs")
    disabled_at: datetime | None
    created_at: datetime


class AdministeredUserPage(Page[AdministeredUser]):
    """Accounts, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [USER_EXAMPLE], "next_cursor": None}})


class UserChange(Body):
    """What of the account is to change; the rest stays."""

    model_config = ConfigDict(json_schema_extra={"example": {"disabled": True}})

    role: Role | None = Field(default=None, description="null: stays")
    disabled: Flag | None = Field(default=None, description="who is disabled is logged out; null: stays")


class PendingRegistration(BaseModel):
    """A registration that waits for the secret of its mail."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": PENDING_EXAMPLE})

    id: UUID
    email: str
    expires_at: datetime
    created_at: datetime


class PendingRegistrationPage(Page[PendingRegistration]):
    """Registrations, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [PENDING_EXAMPLE], "next_cursor": None}})


class AuditEntry(BaseModel):
    """Who did what. People are opaque ids, which outlive an erasure."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": ENTRY_EXAMPLE})

    id: int
    at: datetime
    actor_id: UUID | None = Field(description="null: the command line")
    action: str
    subject_id: UUID | None = Field(description="the id of what the action names")
    details: dict[str, Any]


class AuditLogPage(Page[AuditEntry]):
    """Entries of the audit log, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [ENTRY_EXAMPLE], "next_cursor": None}})


@router.get("/users", summary="List accounts", responses=problem_docs(NotFound))
async def list_users(
    *,
    caller: CurrentCaller,
    transaction: Transaction,
    paging: Paging,
    search: Annotated[StorableText, Query(max_length=254, description="a part of the e-mail or the name")] = "",
    role: Annotated[Role | None, Query(description="only these")] = None,
    disabled: Annotated[bool | None, Query(description="only those that are, or are not")] = None,
) -> AdministeredUserPage:
    """Everybody's accounts, newest first. For operators."""
    check_operator(caller)
    rows, cursor = await users.list_users(transaction, search, role, disabled, paging)
    return AdministeredUserPage(items=[AdministeredUser.model_validate(row) for row in rows], next_cursor=cursor)


@router.get("/users/{user_id}", summary="Read an account", responses=problem_docs(NotFound))
async def read_user(user_id: UUID, caller: CurrentCaller, transaction: Transaction) -> AdministeredUser:
    """One account. For operators."""
    check_operator(caller)
    return AdministeredUser.model_validate(await users.find(transaction, user_id))


@router.patch("/users/{user_id}", summary="Change an account", responses=problem_docs(BadRequest, NotFound, Conflict))
async def edit_user(
    user_id: UUID, body: UserChange, caller: CurrentCaller, transaction: Transaction, now: Now
) -> AdministeredUser:
    """Makes an operator or a user of somebody, disables or enables an account. For operators; the audit log has it."""
    check_operator(caller)
    row = await users.edit(transaction, caller.user_id, user_id, now, role=body.role, disabled=body.disabled)
    return AdministeredUser.model_validate(row)


@router.delete(
    "/users/{user_id}/sessions", status_code=204, summary="Log somebody out", responses=problem_docs(NotFound)
)
async def end_sessions_of_user(user_id: UUID, caller: CurrentCaller, transaction: Transaction, now: Now) -> None:
    """Ends every log-in of an account. For operators; the audit log has it."""
    check_operator(caller)
    await users.end_sessions(transaction, caller.user_id, user_id, now)


@router.get("/registrations", summary="List registrations that wait", responses=problem_docs(NotFound))
async def list_registrations(
    *, caller: CurrentCaller, transaction: Transaction, paging: Paging, now: Now
) -> PendingRegistrationPage:
    """Registrations whose mail was not confirmed yet, newest first. For operators."""
    check_operator(caller)
    rows, cursor = await registration.list_pending(transaction, now, paging)
    return PendingRegistrationPage(items=[PendingRegistration.model_validate(row) for row in rows], next_cursor=cursor)


@router.post(
    "/registrations/{registration_id}/resend",
    status_code=204,
    summary="Mail the secret of a registration again, as an operator",
    responses=problem_docs(NotFound),
)
async def resend_registration_of_user(
    *,
    registration_id: UUID,
    caller: CurrentCaller,
    transaction: Transaction,
    settings: CurrentSettings,
    limits: CurrentLimits,
    now: Now,
) -> None:
    """Sends another mail, beside the earlier one. For operators; the audit log has it."""
    check_operator(caller)
    email = await registration.send_again_by_id(transaction, registration_id, settings.links_url, now)
    await limits.take(MAILS, email)
    await audit.record(transaction, caller.user_id, "registration.resent", registration_id, now)


@router.get("/audit-log", summary="Read the audit log", responses=problem_docs(NotFound))
async def list_audit_log(
    *,
    caller: CurrentCaller,
    transaction: Transaction,
    paging: Paging,
    actor_id: Annotated[UUID | None, Query(description="only what this person did")] = None,
    subject_id: Annotated[UUID | None, Query(description="only what was done to this")] = None,
) -> AuditLogPage:
    """Who did what, newest first. For operators; nobody can change or remove an entry."""
    check_operator(caller)
    rows, cursor = await users.list_audit_log(transaction, actor_id, subject_id, paging)
    return AuditLogPage(items=[AuditEntry.model_validate(row) for row in rows], next_cursor=cursor)
