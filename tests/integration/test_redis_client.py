"""A connection to Redis that is closed at the wrong moment is Redis away, whatever the event loop calls it."""

import pytest
import uvloop
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

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
