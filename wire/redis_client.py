"""The Redis client of both services: a connection that is closed at the wrong moment is Redis away, and nothing else.

Who publishes and subscribes is in their own rooms.
"""

from collections.abc import Iterable

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.exceptions import ConnectionError as RedisConnectionError


class _ClosedIsAway(AbstractConnection):
    """Where a connection is closed while it is being made, uvloop raises RuntimeError: nobody expects that of Redis."""

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        try:
            await super().send_packed_command(command, check_health)
        except RuntimeError as error:
            raise RedisConnectionError(str(error)) from error


def make_client(url: str, retry: Retry, *, connect_timeout_s: float, reply_timeout_s: float) -> Redis:
    """A client that connects at its first use; it raises redis.RedisError, OSError or TimeoutError while Redis is away.

    RESP 2, because redis-py makes a debug text of every message that RESP 3 pushes, also where nobody logs it.
    """
    redis = Redis.from_url(
        url,
        protocol=2,
        socket_connect_timeout=connect_timeout_s,
        socket_timeout=reply_timeout_s,
        retry=retry,
        health_check_interval=0,
    )
    pool = redis.connection_pool
    pool.connection_class = type("Connection", (_ClosedIsAway, pool.connection_class), {})
    return redis
