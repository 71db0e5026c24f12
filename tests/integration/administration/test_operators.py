"""`voltuj create-operator`: how an installation gets its first operator."""

import asyncpg
import pytest

from api.identity.passwords import Passwords
from tests.integration.administration.conftest import Voltuj

PASSWORD = "correct horse battery"


async def test_a_new_operator_logs_in_with_the_password(voltuj: Voltuj, connection: asyncpg.Connection) -> None:
    made = voltuj("create-operator", "Boss@Example.org", "--password-stdin", stdin=PASSWORD + "\n")
    assert made.returncode == 0, made.stderr
    row = await connection.fetchrow("select role, password_hash from users where email = 'boss@example.org'")
    assert row["role"] == "operator"
    assert await Passwords().verify(PASSWORD, row["password_hash"])
    again = voltuj("create-operator", "boss@example.org")
    assert (again.returncode, "already" in again.stdout) == (0, True)


async def test_an_existing_user_is_promoted_and_keeps_the_password(
    voltuj: Voltuj, connection: asyncpg.Connection
) -> None:
    await connection.execute("insert into users (email, password_hash) values ('me@example.org', 'kept')")
    made = voltuj("create-operator", "me@example.org")
    assert made.returncode == 0, made.stderr
    row = await connection.fetchrow("select role, password_hash from users")
    assert tuple(row) == ("operator", "kept")


@pytest.mark.parametrize(
    ("email", "password", "reason"),
    [
        ("me", PASSWORD, "@-sign"),
        ("me@example.org", "short", "at least 10"),
        ("me@example.org", "operator123", "Take a few words"),
        ("gone@example.org", PASSWORD, "disabled"),
    ],
)
async def test_nobody_is_made_an_operator_wrongly(
    voltuj: Voltuj, connection: asyncpg.Connection, email: str, password: str, reason: str
) -> None:
    await connection.execute(
        "insert into users (email, password_hash, disabled_at) values ('gone@example.org', '', now())"
    )
    refused = voltuj("create-operator", email, "--password-stdin", stdin=password)
    assert refused.returncode in {1, 2}
    assert reason in refused.stderr
    assert await connection.fetchval("select count(*) from users where role = 'operator'") == 0


def test_without_a_database_it_says_so(voltuj: Voltuj) -> None:
    refused = voltuj("create-operator", "me@example.org", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert refused.stderr.strip()
