"""Security profiles of the whitepaper: 0 open, 1 Basic, 2 TLS with Basic, 3 TLS with a client certificate.

A profile only rises. The charge point falls back where the higher one does not work, so the lower one is refused only
after it has come with the higher one (WP A05).
"""

from typing import Final

import asyncpg

from api.charge_points.ended import Ended

KEY: Final = "securityprofile"
RAISED: Final = "update charge_points set next_security_profile = $2 where id = $1 and security_profile < $2"


async def raised(connection: asyncpg.Connection, ended: Ended) -> None:
    """The charge point accepted a higher profile, and will try it at its next connection."""
    await connection.execute(RAISED, ended.charge_point_id, int(ended.payload["value"]))
