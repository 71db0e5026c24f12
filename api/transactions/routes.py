"""HTTP of transactions: reading them, their meter values, and stopping one."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from api.accounting.money import format_minor
from api.charge_points import commands
from api.charge_points.command_routes import SENDING, Command, WaitSeconds
from api.charge_points.command_rules import REMOTE_STOP
from api.charge_points.sending import CurrentSender
from api.database import raw
from api.errors import Conflict, NotFound
from api.identity.caller import CurrentCaller
from api.paging import Page, Paging
from api.problems import problem_docs
from api.request import Body, Instant, Now, Reading, Transaction
from api.schema import charge_points
from api.tariffs.bodies import Cost, describe_cost
from api.transactions import operations
from api.transactions.cost import cost_so_far
from api.transactions.limits import Reached, sentence

router = APIRouter(prefix="/api/v1/transactions", tags=["transactions"])

SUMMARY_EXAMPLE: dict[str, Any] = {
    "id": "b1a6b9b4-6d0e-4c3f-8b3f-1c7a5f0d9e21",
    "charge_point_id": "3f0f0a52-5a4d-4a8e-9c53-6d7f4f5a2b10",
    "charge_point_name": "Garage",
    "connector_id": 1,
    "ocpp_transaction_id": 731204477,
    "id_tag": "7K3M9QXA2B4C5D6E",
    "id_tag_status": "Accepted",
    "driver_id": "7f0c9a4e-3b77-4c0f-8f0e-6a2d3a1f9c11",
    "status": "stopped",
    "started_at": "2026-05-04T09:00:00Z",
    "stopped_at": "2026-05-04T11:00:00Z",
    "stop_reason": "EVDisconnected",
    "meter_start_wh": 1460000,
    "meter_stop_wh": 1482300,
    "energy_wh": 22300,
    "currency": "CZK",
    "total_minor": 12265,
    "total": "122.65",
    "held_reasons": [],
}
RECORD_EXAMPLE: dict[str, Any] = {
    "started_at": "2026-05-04T09:00:00+00:00",
    "stopped_at": "2026-05-04T11:00:00+00:00",
    "meter_start_wh": 1460000,
    "meter_stop_wh": 1482300,
    "energy_wh": 22300,
    "currency": "CZK",
    "lines": [
        {
            "type": "ENERGY",
            "element": 0,
            "used_wh": 22300,
            "volume_wh": 22300,
            "price_e4": 55000,
            "amount_minor": 12265,
        }
    ],
    "net_minor": 12265,
    "vat_minor": 0,
    "total_minor": 12265,
    "time_zone": "Europe/Prague",
    "segments": [
        {
            "started_at": "2026-05-04T09:00:00+00:00",
            "seconds": 7200,
            "energy_wh": 22300,
            "activity": "charging",
            "elements": {"ENERGY": 0},
        }
    ],
    "samples": [],
    "ignored_samples": {},
}
LIMITS_EXAMPLE: dict[str, Any] = {
    "energy_wh": None,
    "amount_minor": 10000,
    "credit_minor": 62000,
    "reached": "amount_cap_reached",
    "reached_at": "2026-05-04T10:40:00Z",
    "note": "Stopped by Voltuj: the grant allowed 100.00 CZK more when the session began.",
}
TRANSACTION_EXAMPLE: dict[str, Any] = SUMMARY_EXAMPLE | {
    "tariff": {
        "currency": "CZK",
        "elements": [{"price_components": [{"type": "ENERGY", "price_e4": 55000, "step_size": 1}]}],
    },
    "charge_detail_record": RECORD_EXAMPLE,
    "limits": LIMITS_EXAMPLE,
}
METER_VALUE_EXAMPLE: dict[str, Any] = {
    "sampled_at": "2026-05-04T09:01:00Z",
    "received_at": "2026-05-04T09:01:00.120000Z",
    "connector_id": 1,
    "energy_wh": 1460181,
    "power_w": 10870,
    "samples": [{"value": "1460181", "measurand": "Energy.Active.Import.Register", "unit": "Wh"}],
}
TransactionStatus = Literal["active", "stopped", "abandoned"]


class TransactionSummary(BaseModel):
    """A charging session."""

    model_config = ConfigDict(json_schema_extra={"example": SUMMARY_EXAMPLE})

    id: UUID
    charge_point_id: UUID
    charge_point_name: str
    connector_id: int
    ocpp_transaction_id: int = Field(description="transactionId on the wire")
    id_tag: str
    id_tag_status: str = Field(description="OCPP AuthorizationStatus that the start was answered with")
    driver_id: UUID | None
    status: TransactionStatus
    started_at: datetime
    stopped_at: datetime | None
    stop_reason: str | None = Field(description="OCPP Reason")
    meter_start_wh: int
    meter_stop_wh: int | None
    energy_wh: int | None = Field(description="null until it is stopped")
    currency: str | None
    total_minor: int | None = Field(description="in minor units of the currency; null until it is rated")
    total: str | None = Field(description="the same as decimal text")
    held_reasons: list[str] = Field(description="why a person must look at it before it is billed; empty: nothing")


class SessionLimits(BaseModel):
    """The most that a session may come to, frozen at its start; null: no limit. Amounts are in its currency."""

    model_config = ConfigDict(json_schema_extra={"example": LIMITS_EXAMPLE})

    energy_wh: int | None = Field(description="what the grant left")
    amount_minor: int | None = Field(description="what the grant left of its money")
    credit_minor: int | None = Field(description="what the driver had to charge with")
    reached: Reached | None = Field(description="which of them was reached: the charge point is told to stop")
    reached_at: datetime | None
    note: str | None = Field(description="the same as a sentence")


class TransactionDetail(TransactionSummary):
    """A charging session with its price."""

    model_config = ConfigDict(json_schema_extra={"example": TRANSACTION_EXAMPLE})

    tariff: dict[str, Any] | None = Field(description="frozen at its start; prices in 10^-4 currency units")
    charge_detail_record: dict[str, Any] | None = Field(description="the lines that add up to the total")
    limits: SessionLimits


class TransactionPage(Page[TransactionSummary]):
    """Transactions, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [SUMMARY_EXAMPLE], "next_cursor": None}})


class MeterValue(BaseModel):
    """What the meter showed at one moment."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": METER_VALUE_EXAMPLE})

    sampled_at: datetime
    received_at: datetime
    connector_id: int
    energy_wh: int | None = Field(description="register of the meter")
    power_w: int | None
    samples: list[Any] = Field(description="every sampledValue as OCPP defines it")


class MeterValuePage(Page[MeterValue]):
    """Meter values, oldest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [METER_VALUE_EXAMPLE], "next_cursor": None}})


class StopRequest(Body):
    """How long to wait."""

    model_config = ConfigDict(json_schema_extra={"example": {"wait_s": 30}})

    wait_s: WaitSeconds = 30


@router.get("", summary="List transactions", responses=problem_docs())
async def list_transactions(
    *,
    caller: CurrentCaller,
    reading: Reading,
    paging: Paging,
    charge_point_id: Annotated[UUID | None, Query(description="only this charge point")] = None,
    status: Annotated[TransactionStatus | None, Query(description="only this status")] = None,
    held: Annotated[bool | None, Query(description="only those that a person must look at, or only the others")] = None,
    since: Annotated[Instant | None, Query(alias="from", description="not started before")] = None,
    until: Annotated[Instant | None, Query(alias="to", description="started before")] = None,
) -> TransactionPage:
    """Sessions at the caller's charge points, and those that the caller charged elsewhere, newest first."""
    wanted = operations.TransactionFilter(charge_point_id, status, held, since, until)
    rows, cursor = await operations.list_visible(reading, caller, wanted, paging)
    return TransactionPage.model_validate({"items": [_fields(row) for row in rows], "next_cursor": cursor})


@router.get("/{transaction_id}", summary="Read a transaction", responses=problem_docs(NotFound))
async def read_transaction(transaction_id: UUID, caller: CurrentCaller, reading: Reading) -> TransactionDetail:
    """One session with its frozen tariff and its charge detail record. For its driver and the owner."""
    row = await operations.find(reading, caller, transaction_id)
    return TransactionDetail.model_validate(_fields(row) | {"limits": _limits(row)})


@router.get("/{transaction_id}/cost-so-far", summary="Read the cost so far", responses=problem_docs(NotFound, Conflict))
async def read_cost_so_far(transaction_id: UUID, caller: CurrentCaller, transaction: Transaction, now: Now) -> Cost:
    """What a running session would cost if it ended now, as far as its meter values tell; with the rule of each line.

    For its driver and the owner.
    """
    row = await operations.find(transaction, caller, transaction_id)
    driver = await raw(transaction)
    rated = await cost_so_far(driver, row.id, now)
    if rated is None:
        raise Conflict("This session is not running any more, or has no price.")
    record, tariff = rated
    return describe_cost(record, tariff, row.tariff_version_id)


@router.get("/{transaction_id}/meter-values", summary="Read meter values", responses=problem_docs(NotFound))
async def list_meter_values(
    *, transaction_id: UUID, caller: CurrentCaller, reading: Reading, paging: Paging
) -> MeterValuePage:
    """What the meter showed during the session, oldest first."""
    row = await operations.find(reading, caller, transaction_id)
    rows, cursor = await operations.list_meter_values(reading, row, paging)
    return MeterValuePage.model_validate({"items": [each._mapping for each in rows], "next_cursor": cursor})


@router.post("/{transaction_id}/stop", status_code=201, summary="Stop a session", responses=SENDING)
async def stop_transaction(transaction_id: UUID, sender: CurrentSender, body: StopRequest | None = None) -> Command:
    """For its driver and the owner: asks the charge point to stop. The transaction ends when it says so."""
    async with sender.database.transaction() as transaction:
        charge_point_id = (await operations.find(transaction, sender.caller, transaction_id)).charge_point_id

    async def prepare(transaction: AsyncConnection) -> commands.Call:
        row = await operations.find(transaction, sender.caller, transaction_id)
        if row.status != "active":
            raise Conflict("This session is not running any more.")
        this = select(charge_points).where(charge_points.c.id == charge_point_id)
        charge_point = (await transaction.execute(this)).one()
        return commands.Call(charge_point, REMOTE_STOP, {"transactionId": row.ocpp_transaction_id}, row.id)

    return Command.model_validate(await sender.send(charge_point_id, prepare, (body or StopRequest()).wait_s))


def _limits(row: Row[Any]) -> SessionLimits:
    return SessionLimits(
        energy_wh=row.limit_energy_wh,
        amount_minor=row.limit_amount_minor,
        credit_minor=row.limit_credit_minor,
        reached=row.limit_reached,
        reached_at=row.limit_reached_at,
        note=sentence({**row._mapping}),
    )


def _fields(row: Row[Any]) -> dict[str, Any]:
    """What is shown of a row, and more: models take what they name."""
    stored = dict(row._mapping)
    minor, currency = stored["total_minor"], stored["currency"]
    total = format_minor(minor, currency) if minor is not None and currency else None
    return {**stored, "id": stored["public_id"], "total": total}
