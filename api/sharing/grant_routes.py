"""HTTP of grants: giving, reading, changing and revoking them, and what the caller was given."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from sqlalchemy.ext.asyncio import AsyncConnection

from api.errors import BadRequest, Conflict, InProgress, KeyReused, NotAllowed, NotFound
from api.identity.caller import Caller, CurrentCaller
from api.identity.once import Once
from api.paging import Paging
from api.problems import problem_docs
from api.request import Now, Transaction
from api.sharing import invitations, locations, operations
from api.sharing.access import find_controlled
from api.sharing.grant_bodies import Grant, GrantChange, GrantPage, NewPlaceGrant
from api.sharing.post import CurrentPost

router = APIRouter(prefix="/api/v1/grants", tags=["sharing"])


@router.post(
    "",
    status_code=201,
    summary="Give a grant",
    responses=problem_docs(BadRequest, NotAllowed, NotFound, InProgress, KeyReused),
)
async def give_grant(
    *,
    body: NewPlaceGrant,
    caller: CurrentCaller,
    transaction: Transaction,
    once: Once,
    post: CurrentPost,
    now: Now,
) -> Grant:
    """Shares a charge point, one connector of it, or a location with a person, a group, or anybody.

    A person gets a mail, at most one a day from the same owner. Who has no account is invited by it: the invitation
    becomes the grant when the e-mail registers.
    """
    spot = await _find_spot(transaction, caller, body, now)
    if (earlier := await once.earlier(Grant)) is not None:
        return earlier
    grantee = await operations.name_grantee(
        transaction, spot, email=body.email, group_id=body.group_id, may_invite=True
    )
    row = await operations.create_grant(transaction, spot, grantee, body.columns(), now)
    await invitations.tell_of_grant(transaction, post, row, now)
    return await once.remember(Grant.model_validate(row))


async def _find_spot(transaction: AsyncConnection, caller: Caller, body: NewPlaceGrant, now: Now) -> operations.Spot:
    if body.charge_point_id is not None:
        charge_point = await find_controlled(transaction, caller, body.charge_point_id, now)
        return operations.Spot(charge_point.owner_id, charge_point.id, body.connector_id)
    assert body.location_id is not None  # noqa: S101 - the body has one of the two
    location = await locations.find(transaction, caller, body.location_id)
    return operations.Spot(location.owner_id, location_id=location.id)


@router.get("", summary="List the grants that the caller gave", responses=problem_docs())
async def list_given_grants(
    *,
    caller: CurrentCaller,
    transaction: Transaction,
    paging: Paging,
    charge_point_id: Annotated[UUID | None, Query(description="only for this charge point itself")] = None,
    location_id: Annotated[UUID | None, Query(description="only for this location")] = None,
) -> GrantPage:
    """Grants and invitations for the caller's charge points and locations, ended ones too, newest first."""
    rows, cursor = await operations.list_grants(
        transaction, caller, paging, charge_point_id=charge_point_id, location_id=location_id
    )
    return GrantPage(items=[Grant.model_validate(row) for row in rows], next_cursor=cursor)


@router.get("/received", summary="List the grants that the caller was given", responses=problem_docs())
async def list_received_grants(*, caller: CurrentCaller, transaction: Transaction, paging: Paging) -> GrantPage:
    """Where the caller may charge and on which terms, by name or as a member of a group, newest first."""
    rows, cursor = await operations.list_received(transaction, caller, paging)
    return GrantPage(items=[Grant.model_validate(row) for row in rows], next_cursor=cursor)


@router.get("/{grant_id}", summary="Read a grant", responses=problem_docs(NotFound))
async def read_grant(*, grant_id: UUID, caller: CurrentCaller, transaction: Transaction) -> Grant:
    """One grant. For its owner and for who was given it."""
    return Grant.model_validate(await operations.find_either(transaction, caller, grant_id))


@router.patch("/{grant_id}", summary="Change a grant", responses=problem_docs(BadRequest, NotFound, Conflict))
async def change_grant(
    *, grant_id: UUID, body: GrantChange, caller: CurrentCaller, transaction: Transaction, now: Now
) -> Grant:
    """Revokes this version and gives the next one of the series, with an id of its own, at once.

    Sessions keep the version under which they began; what was used up is counted over the whole series.
    """
    return Grant.model_validate(await operations.change_grant(transaction, caller, grant_id, body.columns(), now))


@router.delete("/{grant_id}", status_code=204, summary="Revoke any grant", responses=problem_docs(NotFound))
async def revoke_given_grant(*, grant_id: UUID, caller: CurrentCaller, transaction: Transaction, now: Now) -> None:
    """Ends the right to start sessions at once; a running session goes on. An invitation lapses."""
    await operations.revoke_given(transaction, caller, grant_id, now)
