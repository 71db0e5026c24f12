"""Every revision goes up and down on a real database, and the restricted role cannot do what it must not."""

import asyncpg
import pytest

from standalone.databases import DatabaseUrls, alembic


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


def test_check_is_clean_with_partitions_present(database: DatabaseUrls) -> None:
    result = alembic(database, "check")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "No new upgrade operations detected" in result.stdout


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
