"""Makes and migrates Voltuj's database on a PostgreSQL server where we may make roles and databases.

Two roles from the start: the owner, who migrates, and the restricted one, with which the services run.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import asyncpg

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class DatabaseUrls:
    """The same database as its owner and as the restricted role."""

    owner: str
    application: str


def with_parts(url: str, *, database: str, user: str | None = None, password: str | None = None) -> str:
    """`url` with another database and, where given, another user and password."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    login = parts.netloc.rpartition("@")[0]
    if user is not None:
        login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    query = urlencode(parse_qsl(parts.query), safe="/")
    return urlunsplit((parts.scheme, f"{login}@{host}" if login else host, f"/{database}", query, ""))


async def create_database(
    server_url: str, name: str, password: str, *, template: str | None = None, roles: str = "voltuj"
) -> DatabaseUrls:
    """Makes the two roles (`<roles>_owner`, `<roles>_api`) and the database, where they are missing.

    Raises:
        asyncpg.PostgresError, OSError: the server refuses or is away.
    """
    owner, application = f"{roles}_owner", f"{roles}_api"
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute("select pg_advisory_lock(hashtext('voltuj roles'))")
        await _ensure_role(connection, owner, password, "login createdb")
        await _ensure_role(connection, application, password, "login")
        if not await connection.fetchval("select 1 from pg_database where datname = $1", name):
            from_template = f' template "{template}"' if template else ""
            await connection.execute(f'create database "{name}" owner "{owner}"{from_template}')
            await connection.execute(f'grant connect on database "{name}" to "{application}"')
    finally:
        await connection.close()
    return DatabaseUrls(
        with_parts(server_url, database=name, user=owner, password=password),
        with_parts(server_url, database=name, user=application, password=password),
    )


async def _ensure_role(connection: asyncpg.Connection, role: str, password: str, rights: str) -> None:
    exists = await connection.fetchval("select 1 from pg_roles where rolname = $1", role)
    verb = "alter" if exists else "create"
    query = "select format('%s role %I %s password %L', $1::text, $2::text, $3::text, $4::text)"
    statement = await connection.fetchval(query, verb, role, rights, password)
    await connection.execute(statement)


def alembic(urls: DatabaseUrls, *arguments: str, folder: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    """Runs the alembic command as an operator would, from the repository's root, as the database's owner."""
    return subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=folder,
        env={**os.environ, "DATABASE_URL": urls.application, "MIGRATIONS_DATABASE_URL": urls.owner},
        capture_output=True,
        text=True,
        check=False,
    )
