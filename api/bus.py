"""The api's end of Redis: publishing wire messages, receiving them, and reading which gateway holds a charge point.

Redis may lose anything at any time; whatever must last is committed before it is published (DESIGN 2).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from api.settings import Settings
from wire.channels import Channels
from wire.messages import Message, WireError, decode, encode
from wire.redis_client import make_client

log = structlog.get_logger(__name__)

CONNECT_TIMEOUT_S = 2.0
REPLY_TIMEOUT_S = 5.0
CANCEL_AGAIN_S = 0.2


@dataclass(frozen=True, slots=True)
class LiveConnection:
    """The connection of a charge point as the gateways' registry shows it now."""

    gateway_id: str
    epoch: int
    since: float


class Bus:
    """One process's connection pool to Redis and the channel names of this installation."""

    def __init__(self, redis: Redis, channels: Channels) -> None:
        self.redis = redis
        self.channels = channels

    async def publish(self, channel: str, messages: list[Message]) -> int:
        """Publishes one batch; returns how many subscribers received it.

        Raises:
            redis.RedisError: Redis is down.
        """
        return int(await self.redis.publish(channel, encode(messages)))

    async def receive(self, channel: str, until: asyncio.Event | None = None) -> AsyncIterator[list[Message]]:
        """Batches that arrive on `channel`, from the moment of subscription, until Redis goes away.

        The first item is an empty batch: it says that the subscription stands. Once `until` is set, the channel is
        given up, and what had arrived by then is still delivered.

        Raises:
            redis.RedisError: Redis is down or went away; call again to subscribe anew.
        """
        async with self.redis.pubsub() as subscription:
            await subscription.subscribe(channel)
            leaving = asyncio.create_task(_unsubscribe(subscription, until)) if until is not None else None
            try:
                async for item in subscription.listen():
                    if item["type"] == "subscribe":
                        yield []
                    elif item["type"] == "message":
                        try:
                            yield decode(item["data"])
                        except WireError as error:
                            log.error("unreadable batch dropped", channel=channel, error=str(error))
            finally:
                if leaving is not None:
                    leaving.cancel()

    async def connection_of(self, charge_point_id: str) -> LiveConnection | None:
        """Which gateway holds this charge point now; None where it is offline.

        Raises:
            redis.RedisError: Redis is down.
        """
        gateway, epoch, since = await self.redis.hmget(
            self.channels.connection(charge_point_id), ["gateway", "epoch", "since"]
        )
        if gateway is None or epoch is None:
            return None
        return LiveConnection(_text(gateway), int(epoch), float(since or 0))

    async def connections_of(self, charge_point_ids: Sequence[str]) -> dict[str, LiveConnection]:
        """The same for many at once; those that are offline are left out.

        Raises:
            redis.RedisError: Redis is down.
        """
        async with self.redis.pipeline(transaction=False) as pipeline:
            for each in charge_point_ids:
                pipeline.hmget(self.channels.connection(each), ["gateway", "epoch", "since"])
            answers = await pipeline.execute() if charge_point_ids else []
        return {
            each: LiveConnection(_text(gateway), int(epoch), float(since or 0))
            for each, (gateway, epoch, since) in zip(charge_point_ids, answers, strict=True)
            if gateway is not None and epoch is not None
        }

    async def subscribed(self, pattern: str) -> list[str]:
        """The channels matching `pattern` that somebody receives now.

        Raises:
            redis.RedisError: Redis is down.
        """
        return sorted(_text(channel) for channel in await self.redis.pubsub_channels(pattern))

    async def close(self) -> None:
        """Closes every pooled connection."""
        await self.redis.aclose()


async def end_tasks(*tasks: asyncio.Task[None]) -> None:
    """Cancels until all have ended: redis-py loses a cancellation that comes while it opens a connection."""
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=CANCEL_AGAIN_S)


async def _unsubscribe(subscription: PubSub, until: asyncio.Event) -> None:
    """`listen()` ends by itself when Redis confirms; where Redis says nothing, the connection is cut."""
    await until.wait()
    with contextlib.suppress(RedisError, OSError):
        await subscription.unsubscribe()
        await asyncio.sleep(REPLY_TIMEOUT_S)
        if subscription.connection is not None:
            await subscription.connection.disconnect(nowait=True)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def make_bus(settings: Settings) -> Bus:
    """A bus that connects at its first use.

    After a restart of Redis every pooled connection is dead and says so at its next use: that use is tried once more
    on a new connection. A publish may then arrive twice, and every wire message may be repeated (DESIGN 2.2).
    """
    once = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
    url = settings.redis_url.get_secret_value()
    redis = make_client(url, once, connect_timeout_s=CONNECT_TIMEOUT_S, reply_timeout_s=REPLY_TIMEOUT_S)
    return Bus(redis, Channels(settings.redis_prefix))
