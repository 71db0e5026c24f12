"""DataTransfer: vendors' own messages (OCPP 1.6 4.3). None is known here, so that none is ever accepted blindly."""

from datetime import datetime

import asyncpg

from api.charge_points.answers import Answer, encode_payload
from wire.messages import ChargePointCall


async def data_transfer(connection: asyncpg.Connection, call: ChargePointCall, now: datetime) -> Answer:
    """UnknownVendorId; the message itself is kept in the message log."""
    return Answer(encode_payload({"status": "UnknownVendorId"}))
