"""HTTP of a charge point's key: a new one to type in, or one that the connected charge point is told (WP A01)."""

from typing import Final, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.charge_points import commands, gateways, operations
from api.charge_points.bodies import CREDENTIALS_EXAMPLE, Credentials, charge_point_url
from api.charge_points.command_routes import SENDING, Command, WaitSeconds
from api.charge_points.key_change import tell_key
from api.charge_points.sending import CurrentSender, Sender
from api.idempotency import earlier_answer, remember_answer
from api.request import Body, CurrentBus, CurrentSettings
from api.sharing.access import find_controlled

router = APIRouter(prefix="/api/v1/charge-points", tags=["security"])

SHOWN_ONCE: Final = "Write the key down now: it is shown once."
NOT_SHOWN_AGAIN: Final = (
    "The key was shown in the first answer to this request and is not kept. Make a new one if it is lost."
)
KEPT: Final = "The charge point did not take the new key: the old one stays."
TAKEN: Final = "The charge point uses the new key from now on; the old one is dead. Nothing is to be typed in."
UNSURE: Final = "It is not known whether the charge point took the new key: both are valid until it uses the new one."


class NewKey(Body):
    """How the new key gets to the charge point."""

    model_config = ConfigDict(json_schema_extra={"example": {"mode": "live"}})

    mode: Literal["replace", "live"] = Field(
        default="replace",
        description="`replace`: somebody types it in, the old one is dead at once; `live`: the connected charge point "
        "is told by ChangeConfiguration, the old one is dead when it accepts",
    )
    wait_s: WaitSeconds = 30


class NewCredentials(Credentials):
    """A new key, and what the charge point said to it."""

    model_config = ConfigDict(json_schema_extra={"example": CREDENTIALS_EXAMPLE | {"command": None}})

    command: Command | None = Field(default=None, description="of a live rotation; its payload never has the key")


@router.post("/{charge_point_id}/key", status_code=201, summary="Make a new key", responses=SENDING)
async def replace_key(
    charge_point_id: UUID,
    sender: CurrentSender,
    bus: CurrentBus,
    settings: CurrentSettings,
    body: NewKey | None = None,
) -> NewCredentials:
    """For the owner: a key to type into the wallbox, which is disconnected, or one that it is told while connected."""
    request = body or NewKey()
    if request.mode == "live":
        return await _rotate(sender, charge_point_id, settings.public_ocpp_url, request.wait_s)
    async with sender.database.transaction() as transaction:
        row = await find_controlled(transaction, sender.caller, charge_point_id, sender.now)
        key = await _replace_once(transaction, sender, charge_point_id)
    if key is not None:
        await gateways.close_connection(bus, charge_point_id)
    url = charge_point_url(settings.public_ocpp_url, row.identity)
    return NewCredentials(identity=row.identity, url=url, key=key, note=SHOWN_ONCE if key else NOT_SHOWN_AGAIN)


async def _replace_once(transaction: AsyncConnection, sender: Sender, charge_point_id: UUID) -> str | None:
    user_id = sender.caller.user_id
    if await earlier_answer(transaction, sender.idempotency, user_id, sender.now) is not None:
        return None
    await remember_answer(transaction, sender.idempotency, user_id, sender.now, {})
    return await operations.replace_key(transaction, charge_point_id, sender.now)


async def _rotate(sender: Sender, charge_point_id: UUID, public_ocpp_url: str, wait_s: float) -> NewCredentials:
    """WP A01: 40 hex digits, the bytes of the key. Neither row nor log has them; a repeat sends nothing."""
    made: list[str] = []
    async with sender.database.transaction() as transaction:
        identity = (await find_controlled(transaction, sender.caller, charge_point_id, sender.now)).identity

    async def prepare(transaction: AsyncConnection) -> commands.Call:
        made.append(operations.new_key())
        return await tell_key(transaction, sender, charge_point_id, made[0].encode())

    row = await sender.send(charge_point_id, prepare, wait_s)
    command = Command.model_validate(row)
    note = {"accepted": TAKEN, "queued": UNSURE, "sent": UNSURE, "timeout": UNSURE, "unknown": UNSURE}.get(
        command.status, KEPT
    )
    key = made[0] if made and note != KEPT else None
    url = charge_point_url(public_ocpp_url, identity)
    return NewCredentials(identity=identity, url=url, key=key, note=note, command=command)
