"""HTTP of what a connector is: its plug and its power, as its owner says it."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path

from api.charge_points import connector_specs
from api.charge_points.bodies import ConnectorSpec, NewConnectorSpec
from api.errors import BadRequest, NotAllowed, NotFound
from api.identity.caller import CurrentCaller
from api.problems import problem_docs
from api.request import Now, Transaction
from api.sharing.access import find_controlled

router = APIRouter(prefix="/api/v1/charge-points/{charge_point_id}/connectors", tags=["charge points"])

ConnectorId = Annotated[int, Path(ge=1, le=2**31 - 1)]


@router.put(
    "/{connector_id}/spec", summary="Describe a connector", responses=problem_docs(BadRequest, NotAllowed, NotFound)
)
async def put_connector_spec(
    *,
    charge_point_id: UUID,
    connector_id: ConnectorId,
    body: NewConnectorSpec,
    caller: CurrentCaller,
    transaction: Transaction,
    now: Now,
) -> ConnectorSpec:
    """For the owner: which plug it has and what it can deliver. Also before the wallbox connects for the first time."""
    await find_controlled(transaction, caller, charge_point_id, now)
    row = await connector_specs.put(transaction, charge_point_id, connector_id, body.model_dump())
    return ConnectorSpec.model_validate(row)


@router.delete(
    "/{connector_id}/spec",
    status_code=204,
    summary="Forget the description of a connector",
    responses=problem_docs(NotAllowed, NotFound),
)
async def delete_connector_spec(
    *, charge_point_id: UUID, connector_id: ConnectorId, caller: CurrentCaller, transaction: Transaction, now: Now
) -> None:
    """For the owner. The connector itself stays as the wallbox reports it."""
    await find_controlled(transaction, caller, charge_point_id, now)
    await connector_specs.remove(transaction, charge_point_id, connector_id)
