"""The charging profiles that a charge point holds, as far as it accepted them (OCPP 1.6 5.5, 5.16). Effects only."""

from typing import Any, Final

import asyncpg
import orjson

from api.charge_points.ended import Ended

REPLACED: Final = """
delete from charging_profiles where charge_point_id = $1
    and (charging_profile_id = $2 or (connector_id = $3 and stack_level = $4 and purpose = $5))
"""
STORED: Final = """
insert into charging_profiles
    (charge_point_id, charging_profile_id, connector_id, stack_level, purpose, profile, set_at)
values ($1, $2, $3, $4, $5, $6::text::jsonb, $7)
"""
CLEARED: Final = """
delete from charging_profiles where charge_point_id = $1
    and ($2::bigint is null or charging_profile_id = $2) and ($3::integer is null or connector_id = $3)
    and ($4::text is null or purpose = $4) and ($5::integer is null or stack_level = $5)
"""
TRANSACTIONS_ENDED: Final = """
delete from charging_profiles p using {ended} e
where p.charge_point_id = e.charge_point_id and p.connector_id = e.connector_id and p.purpose = 'TxProfile'
"""
"""A TxProfile lasts no longer than its transaction (3.13.1)."""


async def stored(connection: asyncpg.Connection, ended: Ended) -> None:
    """SetChargingProfile: replaces the one with its id, or with its stack level and purpose (5.16.2)."""
    if ended.accepted:
        await store(connection, ended, ended.payload["connectorId"], ended.payload["csChargingProfiles"])


async def store(connection: asyncpg.Connection, ended: Ended, connector_id: int, profile: dict[str, Any]) -> None:
    """Keeps a profile that the charge point has taken."""
    number, level, purpose = profile["chargingProfileId"], profile["stackLevel"], profile["chargingProfilePurpose"]
    await connection.execute(REPLACED, ended.charge_point_id, number, connector_id, level, purpose)
    text = orjson.dumps(profile).decode()
    await connection.execute(STORED, ended.charge_point_id, number, connector_id, level, purpose, text, ended.at)


async def cleared(connection: asyncpg.Connection, ended: Ended) -> None:
    """ClearChargingProfile: Unknown means that nothing fits any more, so what fits here is gone too (5.5)."""
    if ended.accepted or ended.response.get("status") == "Unknown":
        names = ("id", "connectorId", "chargingProfilePurpose", "stackLevel")
        await connection.execute(CLEARED, ended.charge_point_id, *(ended.payload.get(name) for name in names))
