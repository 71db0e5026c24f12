"""What the HTTP side asks through Redis: who is connected, what flows now, and to close a connection.

Answers are hints: nothing is decided by them, and a Redis that is down makes them unknown, never an error.
"""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import structlog
from redis.exceptions import RedisError

from api.bus import Bus
from api.charge_points.live import LiveState, read_live
from wire.messages import ChargePointChanged

log = structlog.get_logger(__name__)

PATIENCE_S = 1.0
"""What is shown beside committed data is not worth a longer wait."""


async def online(bus: Bus, charge_point_ids: Sequence[UUID]) -> dict[UUID, bool | None]:
    """Whether each charge point is connected now; None where Redis does not say."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            connections = await bus.connections_of([str(each) for each in charge_point_ids])
    except (RedisError, TimeoutError) as error:
        log.warning("redis is away", error=type(error).__name__)
        return dict.fromkeys(charge_point_ids)
    return {each: str(each) in connections for each in charge_point_ids}


async def live_state(bus: Bus, charge_point_id: UUID) -> LiveState:
    """What is true of a charge point now; empty where Redis does not say."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await read_live(bus.redis, bus.channels, str(charge_point_id))
    except (RedisError, TimeoutError) as error:
        log.warning("redis is away", error=type(error).__name__)
        return LiveState()


async def close_connection(bus: Bus, charge_point_id: UUID) -> None:
    """Tells every gateway to close the connection of this charge point: its key counts no more."""
    await push(bus, ChargePointChanged(str(charge_point_id), close=True))


async def push(bus: Bus, message: ChargePointChanged) -> None:
    """Tells every gateway what changed.

    Where Redis is down the connection goes on as it was until it ends by itself; its next handshake knows.
    """
    try:
        for gateway in await bus.subscribed(bus.channels.gateway_inboxes):
            await bus.publish(gateway, [message])
    except RedisError as error:
        log.error("gateways not told", charge_point_id=message.charge_point_id, error=type(error).__name__)
