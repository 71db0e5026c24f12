"""Security profiles of the whitepaper: 0 open, 1 Basic, 2 TLS with Basic, 3 TLS with a client certificate.

A profile only rises; after a rise the lower one is refused (WP A05).
"""

from typing import Final

import asyncpg

from api.charge_points.ended import Ended

KEY: Final = "securityprofile"
RAISED: Final = "update charge_points set security_profile = $2 where id = $1 and security_profile < $2"


async def raised(connection: asyncpg.Connection, ended: Ended) -> None:
    """The charge point accepted a higher profile: from now on it must use it."""
    await connection.execute(RAISED, ended.charge_point_id, int(ended.payload["value"]))
