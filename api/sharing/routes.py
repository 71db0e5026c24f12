"""HTTP of sharing one charge point with one person, the short way; `grant_routes` has the whole of grants."""

from uuid import UUID

from fastapi import APIRouter

from api.errors import BadRequest, InProgress, KeyReused, NotAllowed, NotFound
from api.identity.caller import CurrentCaller
from api.identity.once import Once
from api.paging import Paging
from api.problems import problem_docs
from api.request import Now, Transaction
from api.sharing import invitations, operations
from api.sharing.access import find_controlled
from api.sharing.grant_bodies import Grant, GrantPage, NewGrant
from api.sharing.post import CurrentPost

router = APIRouter(prefix="/api/v1/charge-points/{charge_point_id}", tags=["sharing"])


@router.get("/grants", summary="List the grants", responses=problem_docs(NotAllowed, NotFound))
async def list_grants(
    *, charge_point_id: UUID, caller: CurrentCaller, transaction: Transaction, paging: Paging, now: Now
) -> GrantPage:
    """With whom this charge point is or was shared, newest first. For its owner."""
    await find_controlled(transaction, caller, charge_point_id, now)
    rows, cursor = await operations.list_grants(transaction, caller, paging, charge_point_id=charge_point_id)
    return GrantPage(items=[Grant.model_validate(row) for row in rows], next_cursor=cursor)


@router.post(
    "/grants",
    status_code=201,
    summary="Share a charge point",
    responses=problem_docs(BadRequest, NotAllowed, NotFound, InProgress, KeyReused),
)
async def create_grant(
    *,
    charge_point_id: UUID,
    body: NewGrant,
    caller: CurrentCaller,
    transaction: Transaction,
    once: Once,
    post: CurrentPost,
    now: Now,
) -> Grant:
    """Lets a person charge here, at the price of the charge point. The person needs an account."""
    charge_point = await find_controlled(transaction, caller, charge_point_id, now)
    if (earlier := await once.earlier(Grant)) is not None:
        return earlier
    spot = operations.Spot(charge_point.owner_id, charge_point_id)
    grantee = await operations.name_grantee(transaction, spot, email=body.email, group_id=None, may_invite=False)
    terms = {"valid_from": body.valid_from or now, "valid_until": body.valid_until}
    row = await operations.create_grant(transaction, spot, grantee, terms, now)
    await invitations.tell_of_grant(transaction, post, row, now)
    return await once.remember(Grant.model_validate(row))


@router.delete(
    "/grants/{grant_id}", status_code=204, summary="Revoke a grant", responses=problem_docs(NotAllowed, NotFound)
)
async def revoke_grant(
    *, charge_point_id: UUID, grant_id: UUID, caller: CurrentCaller, transaction: Transaction, now: Now
) -> None:
    """Ends the right to start sessions at once; a running session goes on."""
    await find_controlled(transaction, caller, charge_point_id, now)
    await operations.revoke_grant(transaction, charge_point_id, grant_id, now)
