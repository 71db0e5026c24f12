"""What the last release wrote and read, this one's database still takes and gives: they serve together (ADR 0012).

`schema_v1.json` is the schema of the last release: until there is one, that of revision c8f2d5a1e630. It is written
anew at a release, never for a test to pass.
"""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from standalone.databases import DatabaseUrls
from tests.contract.released_schema import read_schema

Schema = dict[str, Any]
RELEASED: Schema = json.loads((Path(__file__).parent / "schema_v1.json").read_text())
ACCEPTED: dict[str, str] = {}
"""Differences that do no harm, as `broken_promises` names them, and why."""
LITERAL = re.compile(r"'(?:[^']|'')*'(?:::[a-z ]+)?(?:, )?")


def broken_promises(released: Schema, now: Schema) -> list[str]:
    """Whatever the released code would stumble over, a line each."""
    return [
        *_columns(released["columns"], now["columns"]),
        *_constraints(released["constraints"], now["constraints"], set(released["columns"])),
        *(
            f"{table}: the services' role lost {privilege}"
            for table, privileges in released["privileges"].items()
            for privilege in privileges
            if privilege not in now["privileges"].get(table, ())
        ),
        *(f"{name} is gone" for name in released["functions"] if name not in now["functions"]),
    ]


def _columns(released: Schema, now: Schema) -> list[str]:
    tables = {name.partition(".")[0] for name in released}
    broken = []
    for name, column in released.items():
        found = now.get(name)
        if found is None:
            broken.append(f"{name} is gone")
            continue
        if found["type"] != column["type"]:
            broken.append(f"{name} is {found['type']}, it was {column['type']}")
        if column["nullable"] and not found["nullable"]:
            broken.append(f"{name} may not be null any more")
        if column["has_default"] and not found["has_default"]:
            broken.append(f"{name} has no default any more")
    for name, column in now.items():
        is_new = name not in released and name.partition(".")[0] in tables
        if is_new and not column["nullable"] and not column["has_default"]:
            broken.append(f"{name} is new, may not be null and has no default")
    return broken


def _constraints(released: Schema, now: Schema, columns: set[str]) -> list[str]:
    broken = []
    for name, constraint in now.items():
        table = name.partition(".")[0]
        old = {column for column in constraint["columns"] if f"{table}.{column}" in columns}
        before = released.get(name)
        if before is None:
            if old and old == set(constraint["columns"]):
                broken.append(f"{name} is new: {constraint['definition']}")
        elif not _takes_as_much(before["definition"], constraint["definition"]):
            broken.append(f"{name} is now {constraint['definition']}")
    # ON CONFLICT names what is unique, so that has to stay
    unique = ("UNIQUE", "PRIMARY KEY")
    gone = (name for name, each in released.items() if name not in now and each["definition"].startswith(unique))
    return broken + [f"{name} is gone" for name in gone]


def _takes_as_much(before: str, now: str) -> bool:
    """The same, or a list of values that has become longer."""
    as_list = set(LITERAL.findall(before.replace("]", ", ]"))) <= set(LITERAL.findall(now.replace("]", ", ]")))
    return before == now or (as_list and LITERAL.sub("", before) == LITERAL.sub("", now))


async def read(database: DatabaseUrls) -> Schema:
    return await read_schema(database.owner, urlsplit(database.application).username or "")


async def test_what_the_last_release_counts_on_is_kept(database: DatabaseUrls) -> None:
    assert set(broken_promises(RELEASED, await read(database))) == set(ACCEPTED)
    assert all(ACCEPTED.values())
    assert len(RELEASED["columns"]) > 200


@pytest.mark.parametrize(
    ("change", "promise"),
    [
        ("alter table id_tags drop column label", "id_tags.label is gone"),
        ("alter table id_tags rename label to name", "id_tags.label is gone"),
        ("alter table id_tags alter label type varchar(40)", "id_tags.label is character varying(40), it was text"),
        ("alter table users add column x int not null", "users.x is new, may not be null and has no default"),
        ("alter table transactions alter stopped_at set not null", "transactions.stopped_at may not be null any more"),
        ("alter table transactions alter occurrence drop default", "transactions.occurrence has no default any more"),
        ("alter table users add constraint x check (email <> '')", "users.x is new: CHECK ((email <> ''::text))"),
        ("alter table transactions drop constraint uq_transactions_start",
         "transactions.uq_transactions_start is gone"),
        ("alter table users drop constraint ck_users_role, add constraint ck_users_role check (role in ('user', 'x'))",
         "users.ck_users_role is now CHECK ((role = ANY (ARRAY['user'::text, 'x'::text])))"),
        ("revoke insert on users from {role}", "users: the services' role lost INSERT"),
        ("drop function ensure_partitions", "ensure_partitions(integer) is gone"),
    ],
)  # fmt: skip
async def test_a_promise_that_is_broken_is_named(database: DatabaseUrls, change: str, promise: str) -> None:
    before = await read(database)
    await _change(database, change)
    assert promise in broken_promises(before, await read(database))


@pytest.mark.parametrize(
    "change",
    [
        "create table x (id int not null)",
        "alter table users add column x int",
        "alter table users add column x int not null default 7 check (x > 0)",
        "alter table users drop constraint ck_users_role, "
        "add constraint ck_users_role check (role in ('x', 'user', 'operator'))",
        "alter table users drop constraint ck_users_role",
        "create index x on users (role)",
    ],
)
async def test_what_only_adds_is_fine(database: DatabaseUrls, change: str) -> None:
    before = await read(database)
    await _change(database, change)
    assert broken_promises(before, await read(database)) == []


async def _change(database: DatabaseUrls, statement: str) -> None:
    connection = await asyncpg.connect(database.owner)
    try:
        await connection.execute(statement.format(role=urlsplit(database.application).username))
    finally:
        await connection.close()
