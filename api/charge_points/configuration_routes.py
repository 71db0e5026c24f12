"""HTTP of a charge point's configuration: what was read, what we set, what waits for a reboot."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import Row, select

from api.charge_points.command_routes import COMMAND_EXAMPLE, SENDING, Command, WaitSeconds
from api.charge_points.sending import CurrentSender
from api.errors import NotAllowed, NotFound
from api.idempotency import IdempotentRequest
from api.identity.caller import CurrentCaller
from api.problems import problem_docs
from api.request import Body, FilledText, Now, Transaction
from api.schema import configuration_keys
from api.sharing.access import find_controlled

router = APIRouter(prefix="/api/v1/charge-points/{charge_point_id}/configuration", tags=["commands"])

MOST_CHANGES = 50
KEY_EXAMPLE: dict[str, Any] = {
    "key": "MeterValueSampleInterval",
    "value": "60",
    "readonly": False,
    "is_known": True,
    "read_at": "2026-05-04T09:00:00Z",
    "set_value": "30",
    "set_at": "2026-05-04T09:10:00Z",
    "needs_reboot": True,
    "differs": False,
}
CHANGED_COMMAND: dict[str, Any] = COMMAND_EXAMPLE | {
    "action": "ChangeConfiguration",
    "payload": {"key": "MeterValueSampleInterval", "value": "30"},
    "response": {"status": "RebootRequired"},
}
KeyName = Annotated[FilledText, Field(max_length=50)]
Value = Annotated[str, StringConstraints(max_length=500, strip_whitespace=False)]


class ConfigurationKey(BaseModel):
    """One key as the charge point told it, and what it accepted from us."""

    model_config = ConfigDict(json_schema_extra={"example": KEY_EXAMPLE})

    key: str
    value: str | None
    readonly: bool | None = Field(description="null where it was never read")
    is_known: bool = Field(description="false: the charge point says that it has no such key")
    read_at: datetime | None
    set_value: str | None = Field(description="the last value that it accepted from us")
    set_at: datetime | None
    needs_reboot: bool = Field(description="the accepted value holds after its next boot")
    differs: bool = Field(description="it was read after it was set, and is not what was set")


class Configuration(BaseModel):
    """The configuration as it is known."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"items": [KEY_EXAMPLE], "needs_reboot": True, "read_at": "2026-05-04T09:00:00Z"}}
    )

    items: list[ConfigurationKey]
    needs_reboot: bool = Field(description="some accepted value waits for a reboot")
    read_at: datetime | None = Field(description="when something was read last; null: never")


class ReadRequest(Body):
    """Which keys to read."""

    model_config = ConfigDict(json_schema_extra={"example": {"keys": ["MeterValueSampleInterval"]}})

    keys: list[KeyName] = Field(default_factory=list, max_length=MOST_CHANGES, description="empty: all")
    wait_s: WaitSeconds = 30


class ConfigurationChange(Body):
    """Which keys are to have which values."""

    model_config = ConfigDict(
        str_strip_whitespace=False, json_schema_extra={"example": {"values": {"MeterValueSampleInterval": "30"}}}
    )

    values: Annotated[dict[KeyName, Value], Field(min_length=1, max_length=MOST_CHANGES)]
    wait_s: Annotated[int, Field(ge=1, le=60, description="how long to wait for each answer")] = 30


class ConfigurationOutcome(BaseModel):
    """What the charge point said to each change."""

    model_config = ConfigDict(json_schema_extra={"example": {"needs_reboot": True, "commands": [CHANGED_COMMAND]}})

    needs_reboot: bool = Field(description="an accepted value holds after its next boot only")
    commands: list[Command]


@router.get("", summary="Read the known configuration", responses=problem_docs(NotAllowed, NotFound))
async def read_configuration(
    *, charge_point_id: UUID, caller: CurrentCaller, transaction: Transaction, now: Now
) -> Configuration:
    """What the charge point told and accepted, without asking it. For its owner."""
    await find_controlled(transaction, caller, charge_point_id, now)
    query = select(configuration_keys).where(configuration_keys.c.charge_point_id == charge_point_id)
    items = [_key(row) for row in await transaction.execute(query.order_by(configuration_keys.c.name))]
    read_at = max((item.read_at for item in items if item.read_at is not None), default=None)
    return Configuration(items=items, needs_reboot=any(item.needs_reboot for item in items), read_at=read_at)


@router.post("/read", status_code=201, summary="Ask for the configuration", responses=SENDING)
async def ask_for_configuration(
    charge_point_id: UUID, sender: CurrentSender, body: ReadRequest | None = None
) -> Command:
    """Sends GetConfiguration; what is answered is kept. For the owner."""
    request = body or ReadRequest()
    payload = {"key": request.keys} if request.keys else {}
    return Command.model_validate(await sender.send_call(charge_point_id, "GetConfiguration", payload, request.wait_s))


@router.patch("", summary="Change the configuration", responses=SENDING)
async def change_configuration(
    charge_point_id: UUID, sender: CurrentSender, body: ConfigurationChange
) -> ConfigurationOutcome:
    """Sends one ChangeConfiguration after the other, also after one was refused. For the owner."""
    once = replace(sender, idempotency=IdempotentRequest(None, b""))
    commands = []
    for key, value in body.values.items():
        payload = {"key": key, "value": value}
        row = await once.send_call(charge_point_id, "ChangeConfiguration", payload, body.wait_s)
        commands.append(Command.model_validate(row))
    needs_reboot = any((each.response or {}).get("status") == "RebootRequired" for each in commands)
    return ConfigurationOutcome(needs_reboot=needs_reboot, commands=commands)


def _key(row: Row[Any]) -> ConfigurationKey:
    was_read = row.read_at is not None and row.set_at is not None and row.read_at > row.set_at
    return ConfigurationKey(
        key=row.key,
        value=row.value,
        readonly=row.is_readonly,
        is_known=row.is_known,
        read_at=row.read_at,
        set_value=row.set_value,
        set_at=row.set_at,
        needs_reboot=row.needs_reboot,
        differs=was_read and not row.needs_reboot and row.value != row.set_value,
    )
