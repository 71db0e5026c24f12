"""Every revision goes up and down on a real database, and the restricted role cannot do what it must not."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest
import sqlalchemy

from api.schema import metadata
from standalone.databases import REPOSITORY, DatabaseUrls, alembic


def test_every_revision_upgrades_and_downgrades(empty_database: DatabaseUrls) -> None:
    history = alembic(empty_database, "history").stdout.strip().splitlines()
    assert history
    for _ in history:
        up = alembic(empty_database, "upgrade", "+1")
        assert up.returncode == 0, up.stderr
        down = alembic(empty_database, "downgrade", "-1")
        assert down.returncode == 0, down.stderr
        again = alembic(empty_database, "upgrade", "+1")
        assert again.returncode == 0, again.stderr


def test_replicas_may_migrate_at_once(empty_database: DatabaseUrls) -> None:
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(alembic, empty_database, "upgrade", "head") for _ in range(3)]
    for run in runs:
        assert run.result().returncode == 0, run.result().stderr
    assert "(head)" in alembic(empty_database, "current").stdout


def test_check_is_clean_with_partitions_present(database: DatabaseUrls) -> None:
    result = alembic(database, "check")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "No new upgrade operations detected" in result.stdout


def test_a_revision_is_generated_for_what_changed_in_the_schema(database: DatabaseUrls, tmp_path: Path) -> None:
    copy = tmp_path / "voltuj"
    copy.mkdir()
    shutil.copy(REPOSITORY / "pyproject.toml", copy)
    for package in ("api", "wire"):
        shutil.copytree(REPOSITORY / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    schema = copy / "api" / "schema.py"
    schema.write_text(f'{schema.read_text()}\nTable("novelties", metadata, Column("id", Integer, primary_key=True))\n')
    before = set((copy / "api/migrations/versions").iterdir())
    result = alembic(database, "revision", "--autogenerate", "-m", "a novelty", folder=copy)
    assert result.returncode == 0, result.stderr
    [made] = set((copy / "api/migrations/versions").iterdir()) - before
    operations = [line.strip() for line in made.read_text().splitlines() if line.strip().startswith("op.")]
    assert operations == ["op.create_table('novelties',", "op.drop_table('novelties')"]


async def test_partitions_exist_and_can_be_made_again_by_the_restricted_role(database: DatabaseUrls) -> None:
    connection = await asyncpg.connect(database.application)
    try:
        await connection.execute("select ensure_partitions(5)")
        count = await connection.fetchval("select count(*) from pg_inherits where inhparent = 'meter_values'::regclass")
        assert count == 8, "the month before, this one, five ahead, and the default"
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "update tariffs set currency = 'EUR'",
        "delete from message_log",
        "delete from transaction_stops",
        "update installation set transaction_id_key = ''",
        "create table sneaky ()",
        "drop table users",
    ],
)
async def test_the_restricted_role_may_not(database: DatabaseUrls, statement: str) -> None:
    connection = await asyncpg.connect(database.application)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_every_check_that_the_schema_declares_is_in_the_database(database: DatabaseUrls) -> None:
    """Autogenerate and `alembic check` do not look at CHECK constraints of columns."""
    connection = await asyncpg.connect(database.application)
    try:
        rows = await connection.fetch("select conname from pg_constraint where contype = 'c'")
    finally:
        await connection.close()
    constraints = [
        constraint
        for table in metadata.tables.values()
        for constraint in (*table.constraints, *(each for column in table.columns for each in column.constraints))
    ]
    declared = {
        str(constraint.name) for constraint in constraints if isinstance(constraint, sqlalchemy.CheckConstraint)
    }
    assert len(declared) > 10
    assert {row["conname"] for row in rows} >= declared
