"""What listeners tell HTTP processes over Redis: that there are new events, and which charge points metered.

Only a nudge, never a fact: whoever misses one reads PostgreSQL a second later.
"""

from collections.abc import AsyncIterator, Collection

import orjson

from api.bus import Bus

NUDGE = b"[]"
"""There are new events."""


async def nudge(bus: Bus) -> None:
    """Says that events were numbered.

    Raises:
        redis.RedisError: Redis is down.
    """
    await bus.redis.publish(bus.channels.events, NUDGE)


async def tell_metered(bus: Bus, charge_point_ids: Collection[str]) -> None:
    """Says whose live readings changed.

    Raises:
        redis.RedisError: Redis is down.
    """
    await bus.redis.publish(bus.channels.events, orjson.dumps(list(charge_point_ids)))


async def receive(bus: Bus) -> AsyncIterator[list[str]]:
    """The charge points of each notice, none for a nudge, until Redis goes away.

    The first item says that the subscription stands.

    Raises:
        redis.RedisError: Redis is down or went away.
    """
    async with bus.redis.pubsub() as subscription:
        await subscription.subscribe(bus.channels.events)
        async for item in subscription.listen():
            if item["type"] == "subscribe":
                yield []
            elif item["type"] == "message":
                yield _strings(orjson.loads(item["data"]))


def _strings(value: list[object]) -> list[str]:
    return [each for each in value if isinstance(each, str)]
