"""HTTP of groups: people with whom an owner shares as one."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api.errors import BadRequest, Conflict, InProgress, KeyReused, NotFound
from api.identity.caller import CurrentCaller
from api.identity.email import Email
from api.identity.once import Once
from api.paging import Page, Paging
from api.problems import problem_docs
from api.request import Body, Name, Now, Transaction
from api.sharing import groups

router = APIRouter(prefix="/api/v1/groups", tags=["sharing"])

GROUP_EXAMPLE: dict[str, Any] = {
    "id": "6b1d7a0c-9d4e-4f3a-8e52-0a7c3b1d2e4f",
    "name": "Family",
    "created_at": "2026-05-04T08:30:00Z",
}
MEMBER_EXAMPLE: dict[str, Any] = {
    "user_id": "7f0c9a4e-3b77-4c0f-8f0e-6a2d3a1f9c11",
    "email": "petr@example.com",
    "display_name": "Petr",
    "created_at": "2026-05-04T08:30:00Z",
}


class NewGroup(Body):
    """A name for people."""

    model_config = ConfigDict(json_schema_extra={"example": {"name": "Family"}})

    name: Name


class NewMember(Body):
    """Who is to be in the group."""

    model_config = ConfigDict(json_schema_extra={"example": {"email": "petr@example.com"}})

    email: Email = Field(description="the e-mail of the person's account")


class Group(BaseModel):
    """People with whom its owner shares as one."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": GROUP_EXAMPLE})

    id: UUID
    name: str
    created_at: datetime


class GroupPage(Page[Group]):
    """Groups, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [GROUP_EXAMPLE], "next_cursor": None}})


class Member(BaseModel):
    """A person in a group."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": MEMBER_EXAMPLE})

    user_id: UUID
    email: str
    display_name: str
    created_at: datetime = Field(description="when the person was taken in")


class MemberPage(Page[Member]):
    """Members, who came last first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [MEMBER_EXAMPLE], "next_cursor": None}})


@router.post("", status_code=201, summary="Make a group", responses=problem_docs(BadRequest, InProgress, KeyReused))
async def create_group(
    *, body: NewGroup, caller: CurrentCaller, transaction: Transaction, once: Once, now: Now
) -> Group:
    """A group of the caller's, without members. Nobody else sees it, its members neither."""
    if (earlier := await once.earlier(Group)) is not None:
        return earlier
    return await once.remember(Group.model_validate(await groups.create(transaction, caller.user_id, body.name, now)))


@router.get("", summary="List groups", responses=problem_docs())
async def list_groups(*, caller: CurrentCaller, transaction: Transaction, paging: Paging) -> GroupPage:
    """The caller's groups, newest first."""
    rows, cursor = await groups.list_own(transaction, caller.user_id, paging)
    return GroupPage(items=[Group.model_validate(row) for row in rows], next_cursor=cursor)


@router.patch("/{group_id}", summary="Rename a group", responses=problem_docs(BadRequest, NotFound))
async def rename_group(*, group_id: UUID, body: NewGroup, caller: CurrentCaller, transaction: Transaction) -> Group:
    """Another name; members and grants stay."""
    return Group.model_validate(await groups.rename(transaction, caller.user_id, group_id, body.name))


@router.delete("/{group_id}", status_code=204, summary="Delete a group", responses=problem_docs(NotFound))
async def delete_group(*, group_id: UUID, caller: CurrentCaller, transaction: Transaction, now: Now) -> None:
    """Its grants are revoked at once."""
    await groups.remove(transaction, caller.user_id, group_id, now)


@router.get("/{group_id}/members", summary="List members", responses=problem_docs(NotFound))
async def list_members(
    *, group_id: UUID, caller: CurrentCaller, transaction: Transaction, paging: Paging
) -> MemberPage:
    """Who is in the group, who came last first."""
    rows, cursor = await groups.list_members(transaction, caller.user_id, group_id, paging)
    return MemberPage(items=[Member.model_validate(row) for row in rows], next_cursor=cursor)


@router.post(
    "/{group_id}/members",
    status_code=201,
    summary="Add a member",
    responses=problem_docs(BadRequest, NotFound, Conflict, InProgress, KeyReused),
)
async def add_member(
    *,
    group_id: UUID,
    body: NewMember,
    caller: CurrentCaller,
    transaction: Transaction,
    once: Once,
    now: Now,
) -> Member:
    """The grants of the group are theirs at once. The person needs an account."""
    if (earlier := await once.earlier(Member)) is not None:
        return earlier
    created = Member.model_validate(await groups.add_member(transaction, caller.user_id, group_id, body.email, now))
    return await once.remember(created)


@router.delete(
    "/{group_id}/members/{user_id}", status_code=204, summary="Remove a member", responses=problem_docs(NotFound)
)
async def remove_member(*, group_id: UUID, user_id: UUID, caller: CurrentCaller, transaction: Transaction) -> None:
    """The grants of the group are no longer theirs, at once; a running session goes on."""
    await groups.remove_member(transaction, caller.user_id, group_id, user_id)
