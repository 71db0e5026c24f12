"""The next release migrates the database while this one serves: nobody notices, and nobody has to wait for a lock."""

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from api.migrations import known_revisions
from standalone.databases import DatabaseUrls, alembic
from tests.harness.fixtures import Running
from tests.harness.release import next_release
from tests.harness.wallbox import Wallbox

EXPAND = """
    op.execute("alter table transactions add column novelty text")
    op.execute("alter table charge_points add column novelty integer not null default 7")
    op.execute("create table novelties (id bigint primary key)")
"""
"""What a release may do beside the one before: add, with a default where a value must be."""


async def upgrade(database: DatabaseUrls, release: Path) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(alembic, database, "upgrade", "head", folder=release)


async def begin(running: Running) -> tuple[Wallbox, str, Any]:
    created, card = await running.owner.wallbox(), await running.owner.card()
    wallbox = Wallbox(running.url, created["identity"], created["key"])
    await wallbox.connect()
    await wallbox.boot()
    return wallbox, card, await wallbox.start(card, 1000, at=wallbox.began_at)


@pytest.mark.slow
async def test_this_release_serves_on_the_schema_of_the_next(
    running: Running, database: DatabaseUrls, tmp_path: Path
) -> None:
    wallbox, card, started = await begin(running)
    migrated = await upgrade(database, next_release(tmp_path / "next", EXPAND))
    assert migrated.returncode == 0, migrated.stderr

    await wallbox.meter(started.transaction_id, 1020)
    running.listener.stop()
    await running.stack.listener()
    fresh = await running.stack.api()
    await wallbox.meter(started.transaction_id, 1040)
    await wallbox.stop(started.transaction_id, 1050, card)
    assert wallbox.call_errors == []
    await wallbox.disconnect()
    await running.owner.wallbox(name="made on the next schema")
    running.owner.http.base_url = f"http://127.0.0.1:{fresh.port}/api/v1"
    await running.owner.log_in()
    [transaction] = (await running.owner.get("/transactions"))["items"]
    assert (transaction["status"], transaction["energy_wh"]) == ("stopped", 50)


@pytest.mark.slow
async def test_a_migration_that_waits_for_a_lock_gives_up_and_changes_nothing(
    running: Running, database: DatabaseUrls, tmp_path: Path
) -> None:
    wallbox, card, started = await begin(running)
    reader = await asyncpg.connect(database.owner)
    try:
        async with reader.transaction():
            await reader.fetch("select 1 from transactions limit 1")
            migrating = asyncio.create_task(upgrade(database, next_release(tmp_path / "next", EXPAND)))
            await wallbox.stop(started.transaction_id, 1050, card)
            refused = await migrating
            assert refused.returncode != 0
            assert "lock timeout" in refused.stderr
        assert await reader.fetchval("select version_num from alembic_version") == known_revisions().newest
        assert await reader.fetchval("select to_regclass('novelties')") is None
    finally:
        await reader.close()
    assert wallbox.closes == []
    await wallbox.disconnect()
    [transaction] = (await running.owner.get("/transactions"))["items"]
    assert transaction["status"] == "stopped"
