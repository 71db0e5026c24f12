"""Real PostgreSQL and Redis for every test: one of each for the whole run, a database and a Redis prefix per test.

`DATABASE_URL` (a role that may make roles and databases) and `REDIS_URL` replace the embedded servers.
"""

import asyncio
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import hypothesis
import pytest

from standalone.databases import DatabaseUrls, alembic, create_database
from standalone.servers import Server, start_postgres, start_redis

pytest_plugins = ["tests.harness.fixtures"]

hypothesis.settings.register_profile("voltuj", deadline=None)
hypothesis.settings.load_profile("voltuj")

PASSWORD = "test"
FAST = ("-c", "shared_buffers=64MB", "-c", "max_connections=400")
_servers: list[Server] = []
_failed: list[int] = []


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Starts the servers in the process that controls the run; workers inherit their addresses.

    Temporary folders go into the run's own one: pytest's default is closed to other users anew by every run that
    starts, and as root PostgreSQL is another user.
    """
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    folder = Path(tempfile.mkdtemp(prefix="voltuj-tests-"))
    folder.chmod(0o711)
    config.option.basetemp = config.option.basetemp or str(folder / "tmp")
    if not os.environ.get("DATABASE_URL"):
        _servers.append(start_postgres(folder / "postgres", options=FAST))
        os.environ["TEST_DATABASE_SERVER"] = _servers[-1].url
    else:
        os.environ["TEST_DATABASE_SERVER"] = os.environ["DATABASE_URL"].replace("+asyncpg", "")
    if not os.environ.get("REDIS_URL"):
        _servers.append(start_redis(folder / "redis"))
        os.environ["TEST_REDIS_URL"] = _servers[-1].url
    else:
        os.environ["TEST_REDIS_URL"] = os.environ["REDIS_URL"]
    os.environ["TEST_FOLDER"] = str(folder)
    os.environ["TEST_TEMPLATE"] = _make_template()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stops what `pytest_configure` started."""
    if hasattr(config, "workerinput") or "TEST_FOLDER" not in os.environ:
        return
    server = os.environ["TEST_DATABASE_SERVER"]
    if not _servers or _servers[0].url != server:
        asyncio.run(_drop_databases(server, os.environ["TEST_TEMPLATE"]))
    for running in reversed(_servers):
        running.stop()
    if _failed:
        print(f"Folders and logs of this run: {os.environ['TEST_FOLDER']}")  # noqa: T201 - where to look next
    else:
        shutil.rmtree(os.environ["TEST_FOLDER"], ignore_errors=True)


def pytest_sessionfinish(exitstatus: int) -> None:
    """Remembers whether the folders of the run are worth keeping."""
    _failed.extend([exitstatus] if exitstatus else [])


def _make_template() -> str:
    name = f"voltuj_test_{uuid.uuid4().hex[:8]}"
    urls = asyncio.run(create_database(os.environ["TEST_DATABASE_SERVER"], name, PASSWORD, roles="voltuj_test"))
    result = alembic(urls, "upgrade", "head")
    if result.returncode != 0:
        raise pytest.UsageError(f"alembic upgrade head failed:\n{result.stdout}{result.stderr}")
    return name


async def _drop_databases(server: str, prefix: str) -> None:
    connection = await asyncpg.connect(server)
    for row in await connection.fetch("select datname from pg_database where datname like $1", f"{prefix}%"):
        await connection.execute(f'drop database "{row["datname"]}" with (force)')
    await connection.close()


@pytest.fixture
def database() -> Iterator[DatabaseUrls]:
    """A migrated database of the test's own."""
    server, template = os.environ["TEST_DATABASE_SERVER"], os.environ["TEST_TEMPLATE"]
    name = f"{template}_{uuid.uuid4().hex[:12]}"
    yield asyncio.run(create_database(server, name, PASSWORD, template=template, roles="voltuj_test"))
    asyncio.run(_drop_databases(server, name))


@pytest.fixture
def empty_database() -> Iterator[DatabaseUrls]:
    """A database of the test's own in which no migration has run."""
    server, template = os.environ["TEST_DATABASE_SERVER"], os.environ["TEST_TEMPLATE"]
    name = f"{template}_{uuid.uuid4().hex[:12]}"
    yield asyncio.run(create_database(server, name, PASSWORD, roles="voltuj_test"))
    asyncio.run(_drop_databases(server, name))


@pytest.fixture
def redis_url() -> str:
    """The Redis shared by the run; tests keep apart by `redis_prefix`."""
    return os.environ["TEST_REDIS_URL"]


@pytest.fixture
def redis_prefix() -> str:
    """A prefix of the test's own for every channel and key."""
    return f"test-{uuid.uuid4().hex[:12]}:"
