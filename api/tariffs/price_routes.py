"""HTTP of prices at a charge point: which tariff holds there or for a grant, and what a session would cost."""

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from api.accounting.preview import preview
from api.errors import BadRequest, Conflict, Invalid, NotAllowed, NotFound
from api.identity.caller import CurrentCaller
from api.problems import problem_docs
from api.request import Instant, Now, Transaction
from api.sharing.access import find_controlled, find_visible
from api.sharing.operations import find_given
from api.tariffs import operations
from api.tariffs.bodies import Assignment, Cost, Price, describe_cost, describe_price
from api.tariffs.in_force import price_for

router = APIRouter(prefix="/api/v1/charge-points/{charge_point_id}", tags=["tariffs"])

grant_router = APIRouter(prefix="/api/v1/grants", tags=["tariffs"])

LONGEST_S = 7 * 86_400
FURTHEST = timedelta(days=366)
Seconds = Annotated[int, Query(ge=0, le=LONGEST_S)]


@router.get("/price", summary="Read the price", responses=problem_docs(NotFound))
async def read_price(charge_point_id: UUID, caller: CurrentCaller, transaction: Transaction, now: Now) -> Price:
    """The tariff of a session that the caller starts now: that of the caller's grant, else the charge point's.

    Give `tariff_version_id` to `POST .../start`, and this price is charged or the start refused.
    """
    await find_visible(transaction, caller, charge_point_id, now)
    return describe_price(await price_for(transaction, charge_point_id, caller.user_id, now))


@router.get("/price-preview", summary="Preview the cost", responses=problem_docs(NotFound, Conflict))
async def preview_price(
    *,
    charge_point_id: UUID,
    caller: CurrentCaller,
    transaction: Transaction,
    now: Now,
    energy_wh: Annotated[int, Query(ge=0, le=1_000_000, description="what the car will draw")],
    connected_s: Annotated[Seconds, Query(description="how long it will be connected")],
    charging_s: Annotated[Seconds | None, Query(description="how long it will charge; left out: all the time")] = None,
    started_at: Annotated[Instant | None, Query(alias="from", description="left out: now")] = None,
) -> Cost:
    """What a session of the caller would cost, by the tariff in force at its start; the rule of each line is named.

    The car is taken to draw the energy evenly while it charges. The tariff is binding once a session has started by
    it, the assumed energy and time are not.
    """
    charge_point = await find_visible(transaction, caller, charge_point_id, now)
    start = started_at or now
    _check_near(start, now)
    version = await price_for(transaction, charge_point_id, caller.user_id, start)
    if version is None:
        raise Conflict("Sessions have no price here at that time.")
    charging = connected_s if charging_s is None else charging_s
    try:
        record = preview(
            version.tariff,
            energy_wh=energy_wh,
            started_at=start,
            connected=timedelta(seconds=connected_s),
            charging=timedelta(seconds=charging),
            time_zone=charge_point.time_zone,
        )
    except ValueError as error:
        raise Invalid.field("query.charging_s", str(error)) from error
    return describe_cost(record, version.tariff, version.id)


def _check_near(start: datetime, now: datetime) -> None:
    if abs(start - now) > FURTHEST:
        raise Invalid.field("query.from", "must be within a year of now")


@router.put("/tariff", summary="Assign a tariff", responses=problem_docs(BadRequest, NotAllowed, NotFound))
async def assign_tariff(
    charge_point_id: UUID, body: Assignment, caller: CurrentCaller, transaction: Transaction, now: Now
) -> Price:
    """Makes a tariff that of the charge point from now on. For its owner. Running sessions keep theirs."""
    charge_point = await find_controlled(transaction, caller, charge_point_id, now)
    await operations.assign(transaction, charge_point, body.tariff_id, now)
    return describe_price(await price_for(transaction, charge_point_id, None, now))


@grant_router.put(
    "/{grant_id}/tariff",
    status_code=204,
    summary="Assign a tariff to a grant",
    responses=problem_docs(BadRequest, NotFound),
)
async def assign_grant_tariff(
    grant_id: UUID, body: Assignment, caller: CurrentCaller, transaction: Transaction
) -> None:
    """Makes a tariff that of the grant's holders from now on, null: the charge point's. For the owner."""
    grant = await find_given(transaction, caller, grant_id)
    await operations.assign_to_grant(transaction, grant, body.tariff_id)
