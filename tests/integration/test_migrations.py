"""Every revision goes up and down on a real database, and the restricted role cannot do what it must not."""

import os
import shutil
import subprocess
import sys
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


async def test_what_a_later_release_migrated_is_left_as_it_is(empty_database: DatabaseUrls) -> None:
    """The command of production: on the way back to an older release it has nothing to do, and does not fail."""
    migrated = migrate(empty_database)
    assert migrated.returncode == 0, migrated.stderr
    assert "(head)" in alembic(empty_database, "current").stdout
    assert migrate(empty_database).returncode == 0
    connection = await asyncpg.connect(empty_database.owner)
    try:
        await connection.execute("update alembic_version set version_num = 'ffffffffffff'")
        left = migrate(empty_database)
        assert (left.returncode, "nothing to migrate" in left.stdout) == (0, True), left.stderr
        assert await connection.fetchval("select version_num from alembic_version") == "ffffffffffff"
        await connection.execute("update alembic_version set version_num = 'a7d3e9b1c504'")
        assert migrate(empty_database).returncode != 0, "tables of a later revision are there already"
    finally:
        await connection.close()


def migrate(urls: DatabaseUrls) -> subprocess.CompletedProcess[str]:
    """`python -m api.migrations`, as the service `migrate` of docker-compose.yaml does."""
    return subprocess.run(
        [sys.executable, "-m", "api.migrations"],
        cwd=REPOSITORY,
        env={**os.environ, "DATABASE_URL": urls.application, "MIGRATIONS_DATABASE_URL": urls.owner},
        capture_output=True,
        text=True,
        check=False,
    )


async def test_a_price_of_a_charge_point_becomes_a_version_of_its_own_tariff(empty_database: DatabaseUrls) -> None:
    """And back again, with the tariffs that the charge point never had left out."""
    assert alembic(empty_database, "upgrade", "a7d3e9b1c504").returncode == 0
    connection = await asyncpg.connect(empty_database.owner)
    try:
        await connection.execute(PRICED)
        before = await connection.fetch("select id, currency, created_at from tariffs order by id")
        up = alembic(empty_database, "upgrade", "b4e17c90d2a6")
        assert up.returncode == 0, up.stderr
        [tariff] = await connection.fetch(
            "select t.*, a.assigned_at from tariffs t join tariff_assignments a on a.tariff_id = t.id "
            "join charge_points c on c.id = a.charge_point_id and c.owner_id = t.owner_id"
        )
        assert (tariff["name"], tariff["assigned_at"]) == ("BOX", min(row["created_at"] for row in before))
        versions = await connection.fetch("select * from tariff_versions order by id")
        assert [(row["id"], row["currency"], row["valid_from"]) for row in versions] == [tuple(row) for row in before]
        assert {row["tariff_id"] for row in versions} == {tariff["id"]}
        assert await connection.fetchval("select tariff_version_id from transactions") in {row["id"] for row in before}
        await connection.execute(NAMED)
        down = alembic(empty_database, "downgrade", "-1")
        assert down.returncode == 0, down.stderr
        assert await connection.fetch("select id, currency, created_at from tariffs order by id") == before
        assert await connection.fetchval("select tariff_id from transactions") is None
    finally:
        await connection.close()


PRICED = """
with person as (insert into users (email, password_hash) values ('jana@example.org', '!') returning id),
    box as (insert into charge_points (owner_id, identity, key_digest) select id, 'BOX', '' from person returning id),
    priced as (insert into tariffs (charge_point_id, currency, elements, created_at)
        select box.id, currency, '[]', at from box, (values ('CZK', timestamptz '2026-05-04 10:00Z'),
            ('EUR', timestamptz '2026-06-04 10:00Z')) as version (currency, at) returning id, charge_point_id)
insert into transactions (charge_point_id, connector_id, ocpp_transaction_id, id_tag, id_tag_status, started_at,
    start_received_at, start_boot_count, meter_start_wh, tariff_id)
select charge_point_id, 1, 1, 'CARD1', 'Accepted', now(), now(), 1, 0, id from priced limit 1
"""
NAMED = """
with named as (insert into tariffs (owner_id, name) select id, 'Named' from users returning id),
    version as (insert into tariff_versions (tariff_id, currency, elements, valid_from)
        select id, 'CZK', '[]', now() from named returning id)
update transactions set tariff_version_id = (select id from version)
"""


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
        "update tariff_versions set currency = 'EUR'",
        "update tariff_assignments set assigned_at = now()",
        "delete from tariff_versions",
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
