"""SecurityEventNotification (WP A04): each event once, and whether the owner must hear of it."""

from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from api.charge_points.answers import Answer, received_at
from api.charge_points.timestamps import parse_timestamp
from wire.messages import ChargePointCall

CRITICAL: Final = frozenset(
    {
        *("FirmwareUpdated", "MemoryExhaustion", "ResetOrReboot", "SecurityLogWasCleared", "SettingSystemTime"),
        *("StartupOfTheDevice", "TamperDetectionActivated"),
    }
)
"""Those that the whitepaper's list of security events calls critical."""
ADD: Final = """
insert into security_events (charge_point_id, type, at, tech_info, is_critical, received_at)
values ($1, $2, $3, $4, $5, $6) on conflict do nothing
"""


class SecurityEventRequest(msgspec.Struct, rename="camel"):
    """SecurityEventNotification.req."""

    type: str
    timestamp: str
    tech_info: str = ""


_decoder = msgspec.json.Decoder(SecurityEventRequest, strict=False)


async def security_event(connection: asyncpg.Connection, call: ChargePointCall, now: datetime) -> Answer:
    """Stores the event; one that is sent again changes nothing."""
    request = _decoder.decode(call.payload)
    is_critical = request.type in CRITICAL
    await connection.execute(
        ADD,
        *(call.charge_point_id, request.type, parse_timestamp(request.timestamp), request.tech_info),
        *(is_critical, received_at(call)),
    )
    return Answer(about={"type": request.type, "is_critical": is_critical} if is_critical else {})
