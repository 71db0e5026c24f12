"""The gateway's end of Redis: publishing in batches, receiving on its own inbox, and asking who is up.

Nothing is decided here. A message that reached nobody is handed back at once; what is lost after that, nobody hears.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from ocpp_gateway.metrics import Metrics
from wire.channels import Channels
from wire.messages import Message, WireError, decode, encode
from wire.redis_client import make_client

log = structlog.get_logger(__name__)

CONNECT_TIMEOUT_S = 2.0
REPLY_TIMEOUT_S = 3.0
RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0)
MAX_OUTBOX = 50_000
"""Messages that wait for one PUBLISH; beyond it they count as unheard."""
CONGESTED = 5_000
"""From here on what nobody waits for leaves the room to what somebody waits for."""
MAX_BATCH = 500
"""Messages in one PUBLISH, so that none becomes too large for Redis or blocks a listener for long."""

FAILURES = (RedisError, OSError, TimeoutError)


def make_redis(url: str) -> Redis:
    """A client that connects at its first use. Nothing is retried blindly: a publish may have arrived."""
    never = Retry(NoBackoff(), 0)
    return make_client(url, never, connect_timeout_s=CONNECT_TIMEOUT_S, reply_timeout_s=REPLY_TIMEOUT_S)


class Bus:
    """One gateway's traffic over Redis. `run` it; `send` at any time from the same event loop."""

    def __init__(self, redis: Redis, channels: Channels, gateway_id: str, metrics: Metrics) -> None:
        self.redis = redis
        self.channels = channels
        self.gateway_id = gateway_id
        self.inbox = channels.gateway_inbox(gateway_id)
        self.subscribed = False
        self._metrics = metrics
        self._outbox: dict[str, list[Message]] = {}
        self._waiting = 0
        self._wake, self._idle = asyncio.Event(), asyncio.Event()
        self._idle.set()

    def send(self, channel: str, message: Message) -> bool:
        """Puts `message` into the next PUBLISH to `channel`; False where too much waits already."""
        if self._waiting >= MAX_OUTBOX:
            return False
        self._waiting += 1
        self._outbox.setdefault(channel, []).append(message)
        self._wake.set()
        self._idle.clear()
        return True

    @property
    def is_congested(self) -> bool:
        """Whether Redis takes less than is sent."""
        return self._waiting >= CONGESTED

    async def publish(self, unheard: Callable[[str, list[Message]], None]) -> None:
        """Publishes what is sent, for ever: one PUBLISH a turn and channel. `unheard` takes what reached nobody.

        No timer makes batches: while Redis answers one PUBLISH, the next batch gathers.
        """
        while True:
            await self._wake.wait()
            self._wake.clear()
            for channel, messages in await self._publish_all():
                unheard(channel, messages)
            if not self._waiting:
                self._idle.set()

    async def flushed(self) -> None:
        """Returns when nothing waits to be published."""
        await self._idle.wait()

    async def _publish_all(self) -> list[tuple[str, list[Message]]]:
        batches = [
            (channel, messages[start : start + MAX_BATCH])
            for channel, messages in self._outbox.items()
            for start in range(0, len(messages), MAX_BATCH)
        ]
        self._outbox, self._waiting = {}, 0
        self._metrics.published(batches)
        try:
            counts = await self._publish_batches(batches)
        except FAILURES as error:
            log.debug("redis does not take a publish", error=str(error))
            return batches
        return [batch for batch, heard in zip(batches, counts, strict=True) if not heard]

    async def _publish_batches(self, batches: list[tuple[str, list[Message]]]) -> list[int]:
        if len(batches) == 1:
            channel, messages = batches[0]
            return [int(await self.redis.publish(channel, encode(messages)))]
        async with self.redis.pipeline(transaction=False) as pipeline:
            for channel, messages in batches:
                pipeline.publish(channel, encode(messages))
            return [int(count) for count in await pipeline.execute()]

    async def receive(self, received: Callable[[Message], None], subscribed: Callable[[], None]) -> None:
        """Hands over what arrives on this gateway's inbox, for ever, subscribing anew whenever Redis went away."""
        failures = 0
        while True:
            try:
                async with self.redis.pubsub() as subscription:
                    await subscription.subscribe(self.inbox)
                    async for messages in _batches(subscription):
                        if not self.subscribed:
                            self.subscribed, failures = True, 0
                            subscribed()
                        for message in messages:
                            received(message)
            except FAILURES as error:
                if not failures:
                    log.warning("redis went away", error=str(error))
            self.subscribed = False
            await self._drop_idle_connections()
            await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
            failures += 1

    async def _drop_idle_connections(self) -> None:
        """Those of a Redis that went away; each would cost one failure more when Redis is back."""
        with contextlib.suppress(*FAILURES):
            await self.redis.connection_pool.disconnect(inuse_connections=False)

    async def listeners(self) -> list[str]:
        """The inbox channels of the listeners that are up.

        Raises:
            redis.RedisError, OSError, TimeoutError: Redis is down.
        """
        names = await self.redis.pubsub_channels(self.channels.listener_inboxes)
        return [name.decode() if isinstance(name, bytes) else name for name in names]


async def _batches(subscription: PubSub) -> AsyncIterator[list[Message]]:
    """First an empty one: the subscription stands."""
    async for item in subscription.listen():
        if item["type"] == "subscribe":
            yield []
        elif item["type"] == "message":
            try:
                yield decode(item["data"])
            except WireError as error:
                log.error("unreadable batch dropped", error=str(error))
