"""HTTP of charge points: onboarding, editing, keys and connectors."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter
from sqlalchemy import Row

from api.accounting.money import parse_price_e4
from api.accounting.tariff import flat_tariff
from api.charge_points import connector_specs, gateways, onboarding, operations
from api.charge_points.bodies import (
    ChargePointChange,
    ChargePointDetail,
    ChargePointPage,
    Connector,
    ConnectorList,
    ConnectorSpec,
    CreatedChargePoint,
    NewChargePoint,
    Onboarding,
    RefusedHandshake,
    describe,
)
from api.charge_points.live import LiveConnector
from api.errors import BadRequest, Conflict, InProgress, KeyReused, NotAllowed, NotFound
from api.identity.caller import CurrentCaller
from api.identity.once import Once
from api.paging import Paging
from api.problems import problem_docs
from api.request import CurrentBus, CurrentDatabase, CurrentSettings, Now, Transaction
from api.sharing.access import GUEST, find_visible
from api.tariffs.operations import set_own_price

router = APIRouter(prefix="/api/v1/charge-points", tags=["charge points"])

SHOWN_ONCE = "Write the key down now: it is shown once."
NOT_SHOWN_AGAIN = "The key was shown in the first answer to this request and is not kept. Make a new one if it is lost."


@router.post(
    "",
    status_code=201,
    summary="Bring in a charge point",
    responses=problem_docs(BadRequest, Conflict, InProgress, KeyReused),
)
async def create_charge_point(
    *,
    body: NewChargePoint,
    caller: CurrentCaller,
    transaction: Transaction,
    settings: CurrentSettings,
    once: Once,
    now: Now,
) -> CreatedChargePoint:
    """Returns the identity, the exact URL and the key to type into the wallbox. The key is shown once."""
    if (earlier := await once.earlier(CreatedChargePoint)) is not None:
        return earlier
    fields = body.model_dump(exclude={"price_per_kwh", "currency"})
    charge_point_id, key = await operations.create(transaction, caller.user_id, **fields, now=now)
    if body.price_per_kwh is not None:
        tariff = flat_tariff(parse_price_e4(body.price_per_kwh), body.currency)
        await set_own_price(transaction, charge_point_id, tariff, now)
    row = await operations.find(transaction, caller, charge_point_id, now)
    shown = describe(row, online=False, public_ocpp_url=settings.public_ocpp_url).model_dump()
    created = CreatedChargePoint(**shown, key=key, note=SHOWN_ONCE)
    return await once.remember(created, kept=created.model_copy(update={"key": None, "note": NOT_SHOWN_AGAIN}))


@router.get("", summary="List charge points", responses=problem_docs())
async def list_charge_points(
    *,
    caller: CurrentCaller,
    database: CurrentDatabase,
    bus: CurrentBus,
    settings: CurrentSettings,
    paging: Paging,
    now: Now,
) -> ChargePointPage:
    """The caller's own charge points and those shared with them, newest first."""
    async with database.reading() as reading:
        rows, cursor = await operations.list_visible(reading, caller, now, paging)
    online = await gateways.online(bus, [row.id for row in rows])
    items = [describe(row, online[row.id], settings.public_ocpp_url) for row in rows]
    return ChargePointPage(items=items, next_cursor=cursor)


@router.get("/{charge_point_id}", summary="Read a charge point", responses=problem_docs(NotFound))
async def read_charge_point(
    *,
    charge_point_id: UUID,
    caller: CurrentCaller,
    transaction: Transaction,
    bus: CurrentBus,
    settings: CurrentSettings,
    now: Now,
) -> ChargePointDetail:
    """One charge point, with whether it is connected now, and why it was not let in where that happened."""
    row = await operations.find(transaction, caller, charge_point_id, now)
    online = await gateways.online(bus, [charge_point_id])
    shown = describe(row, online[charge_point_id], settings.public_ocpp_url).model_dump()
    refusals = [] if row.role == GUEST else await onboarding.last_refusals(transaction, charge_point_id)
    progress = Onboarding(
        state=onboarding.state(row),
        last_refused=[RefusedHandshake.model_validate(dict(refusal._mapping)) for refusal in refusals],
    )
    return ChargePointDetail(**shown, onboarding=progress)


@router.patch(
    "/{charge_point_id}", summary="Change a charge point", responses=problem_docs(BadRequest, NotAllowed, NotFound)
)
async def edit_charge_point(
    *,
    charge_point_id: UUID,
    body: ChargePointChange,
    caller: CurrentCaller,
    transaction: Transaction,
    bus: CurrentBus,
    settings: CurrentSettings,
    now: Now,
) -> ChargePointDetail:
    """Changes what is given; a new price makes a new version of the charge point's own tariff and assigns that.

    Running sessions keep theirs.
    """
    changes = body.model_dump(exclude_unset=True)
    price, currency = changes.pop("price_per_kwh", None), changes.pop("currency", None)
    price_e4 = parse_price_e4(price) if price is not None else None
    await operations.edit(transaction, caller, charge_point_id, changes, price_e4=price_e4, currency=currency, now=now)
    return await read_charge_point(
        charge_point_id=charge_point_id, caller=caller, transaction=transaction, bus=bus, settings=settings, now=now
    )


@router.delete(
    "/{charge_point_id}",
    status_code=204,
    summary="Take a charge point out of service",
    responses=problem_docs(NotAllowed, NotFound, Conflict),
)
async def delete_charge_point(
    *, charge_point_id: UUID, caller: CurrentCaller, database: CurrentDatabase, bus: CurrentBus, now: Now
) -> None:
    """For good: its connection is closed and its key refused. Its transactions stay. Not while a session runs."""
    async with database.transaction() as transaction:
        await operations.delete(transaction, caller, charge_point_id, now)
    await gateways.close_connection(bus, charge_point_id)


@router.get("/{charge_point_id}/connectors", summary="List connectors", responses=problem_docs(NotFound))
async def list_connectors(
    *, charge_point_id: UUID, caller: CurrentCaller, database: CurrentDatabase, bus: CurrentBus, now: Now
) -> ConnectorList:
    """Each connector's last status, its running transaction, and what it delivers now."""
    async with database.reading() as reading:
        charge_point = await find_visible(reading, caller, charge_point_id, now)
        statuses = {row.connector_id: row for row in await operations.list_connectors(reading, charge_point_id)}
        running = await operations.running_transactions(reading, caller, charge_point)
        specs = await connector_specs.read_all(reading, charge_point_id)
    live = (await gateways.live_state(bus, charge_point_id)).connectors
    items = [
        _connector(each, statuses.get(each), live.get(each, LiveConnector()), running.get(each), specs.get(each))
        for each in sorted({*statuses, *live, *running, *specs})
    ]
    return ConnectorList(items=items)


def _connector(
    connector_id: int,
    status: object | None,
    live: LiveConnector,
    transaction_id: UUID | None,
    spec: Row[Any] | None,
) -> Connector:
    """PostgreSQL has the status that was committed; Redis has what flows now."""
    names = ("info", "vendor_id", "vendor_error_code", "status_at")
    return Connector(
        connector_id=connector_id,
        status=getattr(status, "status", live.status),
        error_code=getattr(status, "error_code", live.error_code),
        **{name: getattr(status, name, None) for name in names},
        power_w=live.power_w,
        energy_wh=live.energy_wh,
        transaction_id=transaction_id,
        spec=ConnectorSpec.model_validate(spec) if spec is not None else None,
    )
