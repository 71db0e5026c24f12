"""HTTP of replaying a message that was set aside."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path

from api.charge_points.message_routes import UnprocessedMessage, read_unprocessed
from api.database import driver_transaction
from api.errors import Conflict, NotAllowed, NotFound
from api.identity.caller import CurrentCaller
from api.problems import problem_docs
from api.request import CurrentDatabase, CurrentSettings, Now
from api.sharing.access import find_controlled
from api.transactions.replaying import replay

router = APIRouter(prefix="/api/v1/charge-points/{charge_point_id}/unprocessed", tags=["message log"])


@router.post(
    "/{unprocessed_id}/replay",
    summary="Replay a message set aside",
    responses=problem_docs(NotAllowed, NotFound, Conflict),
)
async def replay_unprocessed(
    *,
    charge_point_id: UUID,
    unprocessed_id: Annotated[int, Path(ge=1, le=2**63 - 1)],
    caller: CurrentCaller,
    database: CurrentDatabase,
    settings: CurrentSettings,
    now: Now,
) -> UnprocessedMessage:
    """Processes a StartTransaction, MeterValues or StopTransaction that was refused or could not be processed.

    The quirks that it needs must be set first. Nothing goes back to the charge point; a session that was held only for
    this message is held no longer.
    """
    async with database.transaction() as transaction:
        await find_controlled(transaction, caller, charge_point_id, now)
    async with driver_transaction(settings) as connection:
        await replay(connection, charge_point_id, unprocessed_id, now)
    async with database.transaction() as transaction:
        return await read_unprocessed(transaction, charge_point_id, unprocessed_id)
