"""Fixtures of the end-to-end and fault tests: a stack on the run's servers, or on breakable ones of the test's own."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from standalone.databases import DatabaseUrls, alembic, create_database
from standalone.servers import Server, free_port, start_postgres, start_redis
from tests.harness.person import Person
from tests.harness.stack import Service, Stack


@dataclass
class Running:
    """A stack with one of each, and its owner."""

    stack: Stack
    listener: Service
    api: Service
    gateway: Service
    owner: Person

    @property
    def url(self) -> str:
        """Where charge points connect."""
        return f"ws://127.0.0.1:{self.gateway.port}"


async def run(stack: Stack) -> Running:
    """Starts one listener, one HTTP process and one gateway, and registers an owner."""
    listener = await stack.listener()
    api = await stack.api()
    gateway = await stack.gateway()
    return Running(stack, listener, api, gateway, await Person.register(api.port))


@pytest.fixture
async def stack(tmp_path: Path, database: DatabaseUrls, redis_url: str, redis_prefix: str) -> AsyncIterator[Stack]:
    """An empty stack on the servers of the run."""
    async with Stack(tmp_path, database, redis_url, redis_prefix) as made:
        yield made


@pytest.fixture
async def running(stack: Stack) -> AsyncIterator[Running]:
    """A stack with one of each on the servers of the run."""
    made = await run(stack)
    yield made
    await made.owner.close()


@dataclass
class OwnServers:
    """PostgreSQL and Redis that belong to one test, on ports that they keep over a restart."""

    folder: Path
    postgres_port: int
    redis_port: int
    postgres: Server
    redis: Server
    urls: DatabaseUrls

    def start_postgres(self) -> None:
        """Starts PostgreSQL again on the same data and port."""
        self.postgres = start_postgres(self.folder / "postgres", port=self.postgres_port)

    def start_redis(self) -> None:
        """Starts Redis again, empty, on the same port."""
        self.redis = start_redis(self.folder / "redis", port=self.redis_port)


@pytest.fixture
def own_folder() -> Path:
    """Outside of pytest's own folders, through which PostgreSQL's user may not pass."""
    folder = Path(os.environ["TEST_FOLDER"]) / f"own-{uuid.uuid4().hex[:8]}"
    folder.mkdir(mode=0o711)
    return folder


@pytest.fixture
def own_servers(own_folder: Path) -> Iterator[OwnServers]:
    """Servers that the test may stop, freeze and flush."""
    postgres_port, redis_port = free_port(), free_port()
    postgres = start_postgres(own_folder / "postgres", port=postgres_port)
    redis = start_redis(own_folder / "redis", port=redis_port)
    urls = asyncio.run(create_database(postgres.url, "voltuj", "test"))
    migrated = alembic(urls, "upgrade", "head")
    assert migrated.returncode == 0, migrated.stderr
    servers = OwnServers(own_folder, postgres_port, redis_port, postgres, redis, urls)
    yield servers
    servers.redis.stop()
    servers.postgres.stop()


@pytest.fixture
async def fragile(tmp_path: Path, own_servers: OwnServers, redis_prefix: str) -> AsyncIterator[Running]:
    """A stack with one of each on servers of the test's own."""
    async with Stack(tmp_path, own_servers.urls, own_servers.redis.url, redis_prefix) as stack:
        made = await run(stack)
        yield made
        await made.owner.close()
