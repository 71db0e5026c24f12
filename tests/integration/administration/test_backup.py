"""A backup is worth what its restore shows: rows, energy and money of the very moment of the dump."""

import asyncio
import json
import os
from pathlib import Path

import asyncpg
import pytest

from standalone.databases import DatabaseUrls, alembic
from tests.integration.administration.conftest import Voltuj


def read_sums(dump: Path) -> dict[str, int]:
    sums: dict[str, int] = json.loads(Path(f"{dump}.sums.json").read_text())
    return sums


def write_sums(dump: Path, sums: dict[str, int]) -> None:
    Path(f"{dump}.sums.json").write_text(json.dumps(sums))


async def databases_of_a_drill() -> list[str]:
    connection = await asyncpg.connect(os.environ["TEST_DATABASE_SERVER"])
    rows = await connection.fetch("select datname from pg_database where datname like 'voltuj_drill_%'")
    await connection.close()
    return [row["datname"] for row in rows]


async def test_what_was_backed_up_can_be_restored(
    voltuj: Voltuj, rated: int, tmp_path: Path, empty_database: DatabaseUrls
) -> None:
    dump = tmp_path / "voltuj.dump"
    made = voltuj("backup", str(dump))
    assert made.returncode == 0, made.stderr
    assert dump.stat().st_mode & 0o777 == 0o600, "it holds personal data"
    sums = read_sums(dump)
    assert sums["transactions.rows"] == 1
    assert (sums["transactions.energy_wh"], sums["transactions.total_minor"]) == (3000, 1650)
    assert {f"{name}.amount_minor" for name in ("transfers", "bank_movements", "payouts")} <= sums.keys()

    drilled = voltuj("restore", "--drill", str(dump))
    assert drilled.returncode == 0, drilled.stderr
    assert "can be restored" in drilled.stdout

    urls = {"DATABASE_URL": empty_database.application, "MIGRATIONS_DATABASE_URL": empty_database.owner}
    restored = voltuj("restore", str(dump), **urls)
    assert restored.returncode == 0, restored.stderr
    assert "No new upgrade operations detected" in alembic(empty_database, "check").stdout
    connection = await asyncpg.connect(empty_database.application)
    assert await connection.fetchval("select total_minor from transactions where id = $1", rated) == 1650
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("delete from transaction_stops")
    await connection.close()


async def test_a_drill_tells_a_backup_that_lacks_money(voltuj: Voltuj, rated: int, tmp_path: Path) -> None:
    dump = tmp_path / "voltuj.dump"
    assert voltuj("backup", str(dump)).returncode == 0
    write_sums(dump, read_sums(dump) | {"transactions.total_minor": 1651})
    before = await databases_of_a_drill()
    drilled = voltuj("restore", "--drill", str(dump))
    assert drilled.returncode == 1
    assert "transactions.total_minor: 1651 in the backup, 1650 restored" in drilled.stderr
    assert not set(await databases_of_a_drill()) - set(before), "the scratch database is gone"


async def test_a_backup_shows_one_moment(voltuj: Voltuj, connection: asyncpg.Connection, tmp_path: Path) -> None:
    """Sums and dump come from one snapshot, whatever is written meanwhile."""
    writing = asyncio.Event()

    async def write() -> None:
        while not writing.is_set():
            await connection.execute("insert into users (email, password_hash) values (gen_random_uuid()::text, '')")

    writer = asyncio.create_task(write())
    dump = tmp_path / "voltuj.dump"
    made = await asyncio.to_thread(voltuj, "backup", str(dump))
    writing.set()
    await writer
    assert made.returncode == 0, made.stderr
    drilled = await asyncio.to_thread(voltuj, "restore", "--drill", str(dump))
    assert drilled.returncode == 0, drilled.stderr


def test_nothing_is_restored_over_a_database_in_use(voltuj: Voltuj, tmp_path: Path) -> None:
    dump = tmp_path / "voltuj.dump"
    assert voltuj("backup", str(dump)).returncode == 0
    refused = voltuj("restore", str(dump))
    assert refused.returncode == 1
    assert "has tables already" in refused.stderr


@pytest.mark.parametrize("path", ["/nonexistent", ""])
def test_what_is_missing_is_said(voltuj: Voltuj, tmp_path: Path, path: str) -> None:
    refused = voltuj("backup", str(tmp_path / "voltuj.dump"), PATH=path)
    assert refused.returncode == 1
    assert "pg_dump is not on PATH: install the client programs of PostgreSQL" in refused.stderr
    assert not (tmp_path / "voltuj.dump").exists()


def test_a_dump_that_is_cut_off_is_refused(voltuj: Voltuj, tmp_path: Path) -> None:
    dump = tmp_path / "voltuj.dump"
    assert voltuj("backup", str(dump)).returncode == 0
    dump.write_bytes(dump.read_bytes()[:-2000])
    refused = voltuj("restore", "--drill", str(dump))
    assert refused.returncode == 1
    assert "pg_restore failed" in refused.stderr
