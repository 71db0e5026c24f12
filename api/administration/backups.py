"""Backup, restore and the drill that proves a backup, by PostgreSQL's own programs. Runs as the database's owner.

Beside the dump goes a file of sums, taken in the very snapshot that was dumped: a restored database must show the same.
"""

import json
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg

Sums = dict[str, int]

TABLES: Final = """
select c.relname as name, array_remove(array_agg(a.attname::text order by a.attnum), null) as amounts
from pg_class c join pg_namespace n on n.oid = c.relnamespace
left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    and a.atttypid in ('bigint'::regtype, 'integer'::regtype) and a.attname ~ '_(wh|minor)$'
where n.nspname = 'public' and c.relkind in ('r', 'p') and not c.relispartition
group by c.relname order by c.relname
"""
"""Every table with its amounts: energy ends in _wh and money in _minor, everywhere in the schema."""


class BackupError(Exception):
    """It did not work; the message says why and what to do."""


def sums_file(dump: Path) -> Path:
    """Where the sums of a dump are kept."""
    return dump.with_name(f"{dump.name}.sums.json")


async def back_up(dsn: str, dump: Path) -> Sums:
    """Dumps the database into `dump`, and its sums beside it; both readable by the owner of the files only.

    Raises:
        BackupError: pg_dump is missing, too old or failed, or a file cannot be written.
        asyncpg.PostgresError, OSError: the database refuses or is away.
    """
    connection = await asyncpg.connect(dsn)
    partial = dump.with_name(f"{dump.name}.partial")
    try:
        program = find_program("pg_dump", connection.get_server_version().major)
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            snapshot = await connection.fetchval("select pg_export_snapshot()")
            sums = await read_sums(connection)
            _make_private(partial)
            _run([program, "--format=custom", f"--snapshot={snapshot}", f"--file={partial}"], dsn)
        _make_private(sums_file(dump))
        sums_file(dump).write_text(json.dumps(sums, indent=1) + "\n")
        partial.replace(dump)
    finally:
        partial.unlink(missing_ok=True)
        await connection.close()
    return sums


async def restore(dsn: str, dump: Path) -> list[str]:
    """Fills an empty database from `dump`; gives the differences from the sums that were taken with it.

    Raises:
        BackupError: the database is not empty, a file or pg_restore is missing, or pg_restore failed.
        asyncpg.PostgresError, OSError: the database refuses or is away.
    """
    expected = _read_expected(dump)
    connection = await asyncpg.connect(dsn)
    try:
        if await connection.fetch(TABLES):
            raise BackupError("the database has tables already: restore into an empty one (docs/production.md)")
        program = find_program("pg_restore", connection.get_server_version().major)
        _run([program, "--no-owner", "--exit-on-error", "--single-transaction", str(dump)], dsn)
        return compare(expected, await read_sums(connection))
    finally:
        await connection.close()


async def drill(dsn: str, dump: Path) -> list[str]:
    """Restores into a scratch database on the same server, compares, and drops it; gives the differences.

    Raises:
        BackupError: as `restore`, or the owner may not make a database.
        asyncpg.PostgresError, OSError: the database refuses or is away.
    """
    async with _scratch(dsn) as scratch:
        return await restore(scratch, dump)


@asynccontextmanager
async def _scratch(dsn: str) -> AsyncIterator[str]:
    name = f"voltuj_drill_{uuid.uuid4().hex[:12]}"
    connection = await asyncpg.connect(dsn)
    try:
        try:
            await connection.execute(f'create database "{name}" template template0')
        except asyncpg.InsufficientPrivilegeError:
            user = urlsplit(dsn).username
            raise BackupError(
                f"the role may make no scratch database; as a superuser: alter role {user} createdb"
            ) from None
        try:
            yield urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))
        finally:
            await connection.execute(f'drop database "{name}" with (force)')
    finally:
        await connection.close()


async def read_sums(connection: asyncpg.Connection) -> Sums:
    """The number of rows of every table, and the sum of every column of energy or money."""
    sums: Sums = {}
    for table in await connection.fetch(TABLES):
        amounts = "".join(f', coalesce(sum("{column}"), 0)::text as "{column}"' for column in table["amounts"])
        row = await connection.fetchrow(f'select count(*)::text as rows{amounts} from "{table["name"]}"')  # noqa: S608 - names from the catalogue
        sums |= {f"{table['name']}.{column}": int(value) for column, value in row.items()}
    return sums


def compare(expected: Sums, found: Sums) -> list[str]:
    """Where two sets of sums differ, a sentence each. Pure."""
    return [
        f"{name}: {expected.get(name, 'missing')} in the backup, {found.get(name, 'missing')} restored"
        for name in sorted(expected | found)
        if expected.get(name) != found.get(name)
    ]


def find_program(name: str, server_major: int) -> str:
    """A program of PostgreSQL on PATH that is not older than the server.

    Raises:
        BackupError: there is none.
    """
    seen = []
    for folder in os.get_exec_path():
        program = shutil.which(name, path=folder)
        if program is None:
            continue
        version = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
        major = re.search(r"\) (\d+)", version)
        if major and int(major[1]) >= server_major:
            return program
        seen.append(version.strip())
    what = f"is older than the server ({', '.join(seen)})" if seen else "is not on PATH"
    raise BackupError(f"{name} {what}: install the client programs of PostgreSQL {server_major} (postgresql-client)")


def _run(command: list[str], dsn: str) -> None:
    """Runs a program of PostgreSQL on `dsn`; the password goes by the environment, never by the command line."""
    parts = urlsplit(dsn)
    login, _, host = parts.netloc.rpartition("@")
    without_password = urlunsplit(parts._replace(netloc=f"{login.partition(':')[0]}@{host}"))
    done = subprocess.run(
        [*command, f"--dbname={without_password}"],
        env={**os.environ, "PGPASSWORD": unquote(parts.password or "")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BackupError(f"{Path(command[0]).name} failed: {done.stderr.strip() or done.stdout.strip()}")


def _read_expected(dump: Path) -> Sums:
    if not dump.is_file():
        raise BackupError(f"{dump} is not there")
    try:
        read: Sums = json.loads(sums_file(dump).read_text())
    except (OSError, ValueError) as error:
        raise BackupError(f"the sums that belong to it cannot be read: {error}") from None
    return read


def _make_private(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
        path.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        raise BackupError(f"{path} cannot be written: {error.strerror}") from None
