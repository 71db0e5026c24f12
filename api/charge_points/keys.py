"""The rotation of a charge point's key while it is connected (WP A01): effects of the command, and of its use.

Until the charge point confirms a new key, the old one and the new one both open the door; the first use of the new
one, or its confirmation, ends the old one.
"""

from typing import Final

import asyncpg

from api.charge_points.ended import Ended

CONFIRMED: Final = """
update charge_points set key_digest = next_key_digest, key_changed_at = $2, next_key_digest = null
where id = $1 and next_key_digest is not null
"""
REFUSED: Final = "update charge_points set next_key_digest = null where id = $1"


async def answered(connection: asyncpg.Connection, ended: Ended) -> None:
    """Accepted: the old key is dead. Refused or never sent: it stays. Nobody knows: both stay until one is used."""
    if ended.accepted:
        await connection.execute(CONFIRMED, ended.charge_point_id, ended.at)
    elif not ended.may_have_arrived:
        await connection.execute(REFUSED, ended.charge_point_id)
