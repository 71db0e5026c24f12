"""The CALL that tells a charge point its new key (WP A01), and that the new key opens the door from then on.

Neither the command's row nor the message log has the key.
"""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from api.charge_points import commands, operations
from api.charge_points.command_rules import CHANGE_CONFIGURATION
from api.charge_points.sending import Sender
from api.errors import Conflict, Invalid
from api.schema import charge_points
from api.sharing.access import find_controlled

KEY_BYTES: Final = range(16, 21)
"""WP: an AuthorizationKey has 16 to 20 bytes, sent as hexadecimal digits."""


def read_key(payload: dict[str, Any]) -> bytes:
    """The key that somebody brings along.

    Raises:
        Invalid: not 16 to 20 bytes in hexadecimal digits.
    """
    try:
        key = bytes.fromhex(str(payload.get("value", "")))
    except ValueError:
        key = b""
    if len(key) not in KEY_BYTES:
        raise Invalid.field("body.payload.value", "must be 32 to 40 hexadecimal digits: a key of 16 to 20 bytes")
    return key


async def tell_key(transaction: AsyncConnection, sender: Sender, charge_point_id: UUID, key: bytes) -> commands.Call:
    """The CALL with the key, which is expected from now on.

    Raises:
        Conflict: another rotation is under way.
        NotFound, NotAllowed: the caller does not control the charge point.
    """
    charge_point = await find_controlled(transaction, sender.caller, charge_point_id, sender.now)
    await _expect(transaction, charge_point_id, key)
    secret = {"key": "AuthorizationKey", "value": key.hex()}
    return commands.Call(charge_point, CHANGE_CONFIGURATION, {**secret, "value": "***"}, secret_payload=secret)


async def _expect(transaction: AsyncConnection, charge_point_id: UUID, key: bytes) -> None:
    values: dict[str, Any] = {"next_key_digest": operations.key_digest(key)}
    this = (charge_points.c.id == charge_point_id, charge_points.c.next_key_digest.is_(None))
    if (await transaction.execute(update(charge_points).where(*this).values(values))).rowcount == 0:
        raise Conflict(
            "The charge point was told another key, and it is not known whether it took it: wait until it connects "
            "again, or make a key to type in."
        )
