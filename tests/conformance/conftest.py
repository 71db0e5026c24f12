"""One stack for all cases of a worker, a new charge point for each case, and the table of results."""

import asyncio
import os
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from standalone.databases import create_database
from tests.conformance.case import RATED_POWER_W, Case, Central
from tests.conformance.cases import CASES
from tests.conformance.charge_point import ChargePoint
from tests.harness.person import Person
from tests.harness.stack import Stack

PASSWORD = "test"
CA_PASSWORD = "only-for-tests"


@pytest.fixture(scope="package")
def central(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Central]:
    """Listener, HTTP process and gateway; the gateway believes a TLS terminator on this machine."""
    server, template = os.environ["TEST_DATABASE_SERVER"], os.environ["TEST_TEMPLATE"]
    name = f"{template}_{uuid.uuid4().hex[:12]}"
    urls = asyncio.run(create_database(server, name, PASSWORD, template=template, roles="voltuj_test"))
    folder, prefix = tmp_path_factory.mktemp("conformance"), f"test-{uuid.uuid4().hex[:12]}:"
    stack = Stack(folder, urls, os.environ["TEST_REDIS_URL"], prefix)
    yield asyncio.run(_start(stack, urls.owner))
    asyncio.run(stack.__aexit__())


async def _start(stack: Stack, database: str) -> Central:
    try:
        await stack.listener(CA_PASSWORD=CA_PASSWORD)
        api, gateway = await asyncio.gather(
            stack.api(CA_PASSWORD=CA_PASSWORD), stack.gateway(GATEWAY_TRUSTED_PROXIES="127.0.0.1")
        )
        owner, operator = [await Person.register(api.port, name) for name in ("owner", "operator")]
        connection = await asyncpg.connect(database)
        await connection.execute("update users set role = 'operator' where email = $1", operator.email)
        await connection.close()
        headers = [{"Authorization": person.http.headers["Authorization"]} for person in (owner, operator)]
        for person in (owner, operator):
            await person.close()
    except BaseException:
        await stack.__aexit__()
        raise
    return Central(f"ws://127.0.0.1:{gateway.port}", api.port, *headers)


@pytest.fixture
async def case(central: Central) -> AsyncIterator[Case]:
    """A new charge point that has not connected yet. Nothing unexpected may have come from the central system."""
    owner, operator = central.person(central.owner), central.person(central.operator)
    created = await owner.wallbox(rated_power_w=RATED_POWER_W)
    cp = ChargePoint(central.url, created["identity"], created["key"])
    yield Case(central, owner, operator, created["id"], cp)
    await cp.disconnect()
    for person in (owner, operator):
        await person.close()
    assert cp.script.problems == []
    assert cp.script.calls.empty(), f"not expected by the case: {cp.script.calls.get_nowait()}"


@pytest.fixture
async def booted(case: Case) -> Case:
    """The same, connected, accepted, connector 1 Available."""
    await case.cp.connect()
    await case.cp.boot()
    return case


# --- the table ---


class _Table:
    """Collects the result of each case, in the process that controls the run."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._results: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if (found := re.search(r"::test_tc_(\d+(?:_\d)?)_", report.nodeid)) is None:
            return
        if report.failed:
            self._results[found[1]] = "failed"
        elif report.when == "call" and report.passed:
            self._results.setdefault(found[1], "passed")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._path is None:
            return
        results = [(case, title, self._results.get(case, "not run")) for case, title in CASES.items()]
        for case, title, result in results:
            terminalreporter.write_line(f"{'TC_' + case:<10}{title:<48}{result}")
        passed = sum(result == "passed" for *_, result in results)
        terminalreporter.write_line(f"{passed} of {len(results)} cases passed")
        self._path.write_text(_document(results, passed))


def _document(results: list[tuple[str, str, str]], passed: int) -> str:
    rows = "\n".join(f"| TC_{case} | {title} | {result} |" for case, title, result in results)
    return f"""# OCPP 1.6 conformance

Written by `make conformance` from the results of its run: each case is a charge point program over a real socket
against the real services, and what is commanded goes through the REST API (`tests/conformance`).

**{passed} of {len(results)} cases passed.**

| case | title | result |
|---|---|---|
{rows}
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make conformance` names the document to write."""
    parser.addoption("--conformance", type=Path, default=None, help="print the table of cases and write it here")


def pytest_configure(config: pytest.Config) -> None:
    """The table belongs to the process that controls the run."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Table(config.getoption("--conformance", None)), "conformance-table")
