"""The configuration of a charge point as it was read, and what it accepted of our changes. Effects of commands only.

Keys are case-insensitive (OCPP 1.6 7.28 CiString50). The AuthorizationKey is never stored: answers come redacted.
"""

from typing import Any, Final

import asyncpg

from api.charge_points import keys, security_profile
from api.charge_points.command_rules import AUTHORIZATION_KEY
from api.charge_points.ended import Ended

READ: Final = """
insert into configuration_keys as known (charge_point_id, name, key, value, is_readonly, is_known, read_at)
select $1, lower(new.key), new.key, new.value, new.is_readonly, new.is_known, $6
from unnest($2::text[], $3::text[], $4::boolean[], $5::boolean[]) as new (key, value, is_readonly, is_known)
on conflict (charge_point_id, name) do update
set key = excluded.key, value = excluded.value, is_readonly = excluded.is_readonly, is_known = excluded.is_known,
    read_at = excluded.read_at
"""
CHANGED: Final = """
insert into configuration_keys as known (charge_point_id, name, key, value, set_value, set_at, needs_reboot)
values ($1, lower($2), $2, case when $4 then null else $3 end, $3, $5, $4)
on conflict (charge_point_id, name) do update
set set_value = $3, set_at = $5, needs_reboot = $4, is_known = true, value = case when $4 then known.value else $3 end
"""
UNKNOWN: Final = """
insert into configuration_keys as known (charge_point_id, name, key, is_known) values ($1, lower($2), $2, false)
on conflict (charge_point_id, name) do update set is_known = false
"""
REBOOTED: Final = """
update configuration_keys set value = set_value, needs_reboot = false where charge_point_id = $1 and needs_reboot
"""


async def read(connection: asyncpg.Connection, ended: Ended) -> None:
    """GetConfiguration: keeps every key that was told, and which were unknown (5.8)."""
    if not ended.accepted:
        return
    told: dict[str, tuple[Any, ...]] = {}
    for item in ended.response.get("configurationKey", []):
        told[item["key"].lower()] = (item["key"], item.get("value"), item.get("readonly"), True)
    for key in ended.response.get("unknownKey", []):
        told.setdefault(key.lower(), (key, None, None, False))
    if told:
        columns = [list(column) for column in zip(*told.values(), strict=True)]
        await connection.execute(READ, ended.charge_point_id, *columns, ended.at)


async def changed(connection: asyncpg.Connection, ended: Ended) -> None:
    """ChangeConfiguration: the new value holds at once, or after a reboot (5.3)."""
    key, value = ended.payload["key"], ended.payload["value"]
    if key.lower() == AUTHORIZATION_KEY:
        await keys.answered(connection, ended)
    elif ended.accepted:
        needs_reboot = ended.response.get("status") == "RebootRequired"
        await connection.execute(CHANGED, ended.charge_point_id, key, value, needs_reboot, ended.at)
        if key.lower() == security_profile.KEY:
            await security_profile.raised(connection, ended)
    elif ended.response.get("status") == "NotSupported":
        await connection.execute(UNKNOWN, ended.charge_point_id, key)


async def rebooted(connection: asyncpg.Connection, charge_point_id: str) -> None:
    """What needed a reboot holds now."""
    await connection.execute(REBOOTED, charge_point_id)
