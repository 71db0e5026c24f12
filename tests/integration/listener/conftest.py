"""What the listener's tests share: a gateway's end of the wire, and listener processes."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from standalone.databases import DatabaseUrls
from tests.integration.listener.gateway import Gateway, Listener, gateway_on, start_listener


@pytest.fixture
async def gateway(redis_url: str, redis_prefix: str) -> AsyncIterator[Gateway]:
    """A gateway's end of the wire."""
    async with gateway_on(redis_url, redis_prefix) as gateway:
        yield gateway


StartListener = Callable[..., Listener]


@pytest.fixture
def listen(tmp_path: Path, database: DatabaseUrls, redis_url: str, redis_prefix: str) -> Iterator[StartListener]:
    """Starts listener processes, which end with the test; their logs are shown where it fails."""
    started: list[Listener] = []

    def start(*, database_url: str = "", redis: str = "", **settings: str) -> Listener:
        listener = start_listener(
            tmp_path, database_url or database.application, redis or redis_url, redis_prefix, **settings
        )
        started.append(listener)
        return listener

    yield start
    for listener in started:
        listener.end()
        print(listener.said()[-4000:])  # noqa: T201 - pytest shows it with a failure
