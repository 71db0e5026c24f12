"""The live state of a charge point in Redis: a cache that may vanish at any time, rebuilt from PostgreSQL.

Only its shape lives here: which fields the hash `wire.channels.Channels.live()` has, and how they are read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson
from redis.asyncio import Redis

from wire.channels import Channels

LIVE_TTL_S = 24 * 3600
"""A charge point that said nothing for a day has no live state left to show."""


@dataclass(slots=True)
class LiveConnector:
    """What is true of one connector now; None where it is not known."""

    status: str | None = None
    error_code: str | None = None
    power_w: int | None = None
    energy_wh: int | None = None
    transaction_id: str | None = None
    """Public id of the running transaction."""


@dataclass(slots=True)
class LiveState:
    """What is true of one charge point now, by connector (0 is the charge point as a whole)."""

    last_seen: datetime | None = None
    connectors: dict[int, LiveConnector] = field(default_factory=dict)


def connector_fields(connector_id: int, **values: str | int | None) -> dict[str, bytes]:
    """Hash fields that set some attributes of LiveConnector, for HSET."""
    return {f"{connector_id}:{name}": orjson.dumps(value) for name, value in values.items()}


def last_seen_field(at: float) -> dict[str, bytes]:
    """Hash field that sets `last_seen`, in Unix seconds, for HSET."""
    return {"last_seen": orjson.dumps(at)}


async def read_live(redis: Redis, channels: Channels, charge_point_id: str) -> LiveState:
    """The live state, empty where nothing is known.

    Raises:
        redis.RedisError: Redis is down.
    """
    [state] = await read_live_of(redis, channels, [charge_point_id])
    return state


async def read_live_of(redis: Redis, channels: Channels, charge_point_ids: Sequence[str]) -> list[LiveState]:
    """The live states of many, in order.

    Raises:
        redis.RedisError: Redis is down.
    """
    async with redis.pipeline(transaction=False) as pipeline:
        for each in charge_point_ids:
            pipeline.hgetall(channels.live(each))
        return [_parse(raw) for raw in await pipeline.execute()]


def _parse(raw: Mapping[bytes | str, bytes]) -> LiveState:
    state = LiveState()
    for name, value in raw.items():
        _set(state, name.decode() if isinstance(name, bytes) else name, orjson.loads(value))
    return state


def _set(state: LiveState, name: str, value: object) -> None:
    connector, _, attribute = name.partition(":")
    if name == "last_seen" and isinstance(value, int | float):
        state.last_seen = datetime.fromtimestamp(value, UTC)
    elif connector.isdecimal() and attribute in LiveConnector.__slots__:
        setattr(state.connectors.setdefault(int(connector), LiveConnector()), attribute, value)
