"""What the listener's tests share: a gateway's end of the wire."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.listener.gateway import Gateway, gateway_on


@pytest.fixture
async def gateway(redis_url: str, redis_prefix: str) -> AsyncIterator[Gateway]:
    """A gateway's end of the wire."""
    async with gateway_on(redis_url, redis_prefix) as gateway:
        yield gateway
