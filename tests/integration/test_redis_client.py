"""A connection to Redis that is closed at the wrong moment is Redis away, whatever the event loop calls it."""

import pytest
import uvloop
from pydantic import SecretStr
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from api.rate_limits import RateLimits, make_rule
from api.settings import Settings
from wire.redis_client import make_client


@pytest.mark.parametrize("retries", [0, 1])
def test_closed_while_it_is_being_made(redis_url: str, retries: int) -> None:
    async def use_what_was_closed() -> object:
        retry = Retry(NoBackoff(), retries, supported_errors=(RedisConnectionError,))
        async with make_client(redis_url, retry, connect_timeout_s=5, reply_timeout_s=5) as redis:
            await redis.ping()
            connection = await redis.connection_pool.get_connection()  # type: ignore[no-untyped-call]
            connection._writer.transport.abort()
            with pytest.raises(RedisConnectionError):
                await connection.send_command("PING")
            await redis.connection_pool.release(connection)
            return await redis.echo("still here")

    assert uvloop.run(use_what_was_closed()) == b"still here"


def test_limits_are_counted_on_where_their_connection_was_closed(redis_url: str, redis_prefix: str) -> None:
    settings = Settings(
        database_url=SecretStr("postgresql://nobody@127.0.0.1/none"),
        redis_url=SecretStr(redis_url),
        redis_prefix=redis_prefix,
    )
    twice = make_rule("test", "2/hour")

    async def ask() -> list[bool]:
        limits = RateLimits(settings)
        try:
            answers = [await limits.allows((twice, "somebody"))]
            connection = await limits._redis.connection_pool.get_connection()  # type: ignore[no-untyped-call]
            connection._writer.transport.abort()
            await limits._redis.connection_pool.release(connection)
            return answers + [await limits.allows((twice, "somebody")) for _ in range(2)]
        finally:
            await limits.close()

    assert uvloop.run(ask()) == [True, True, False]
