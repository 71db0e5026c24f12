"""The production stack, built and started once for the tests that share it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.deploy.compose import REPOSITORY, Production, production_environment
from tests.harness.person import Person


@pytest.fixture(scope="session")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """The whole stack under the project name `voltuj-ci`; what it wrote is shown where it does not start."""
    environment = production_environment(tmp_path_factory.mktemp("production") / ".env")
    stack = Production("voltuj-ci", "docker-compose.yaml", REPOSITORY, environment)
    stack.down()
    try:
        started = stack.compose("up", "--build", "--detach", "--wait", "--wait-timeout", "180", check=False)
        assert started.returncode == 0, started.stderr[-3000:] + stack.logs()[-6000:]
        stack.read_authority()
        yield stack
    finally:
        stack.down()


@pytest.fixture
async def owner(production: Production) -> AsyncIterator[Person]:
    """Somebody with a fresh account of the production stack."""
    person = await production.person()
    yield person
    await person.close()


@pytest.fixture
def environment_file(tmp_path: Path) -> Path:
    """Where a test writes an `.env` of its own."""
    return tmp_path / ".env"
