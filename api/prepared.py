"""Statements that are built once for each shape and run with values ever after, past SQLAlchemy, by the driver.

For what is asked with every page and every look: to build a list's statement anew took 0.4 to 0.9 ms of the 4 ms that
a request cost, and to run it through SQLAlchemy 0.2 ms more.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, TypeAlias, TypeVar, cast
from uuid import UUID

import asyncpg
from sqlalchemy import BigInteger, Boolean, Date, DateTime, Float, Row, Select, Text, Uuid, literal_column
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import NULLTYPE, TypeEngine

from api.database import raw
from api.errors import NotFound

T = TypeVar("T")
DIALECT: Final = dialect()  # type: ignore[no-untyped-call]
TYPES: Final[Mapping[type, tuple[str, TypeEngine[Any]]]] = {
    UUID: ("uuid", Uuid()),
    datetime: ("timestamptz", DateTime(timezone=True)),
    date: ("date", Date()),
    int: ("bigint", BigInteger()),
    float: ("float8", Float()),
    bool: ("boolean", Boolean()),
    str: ("text", Text()),
    asyncpg.Box: ("box", NULLTYPE),
}
SLOT: Final = re.compile(r"\$\$(\w+)")
Connection: TypeAlias = AsyncConnection | asyncpg.Connection
"""A request's transaction, or the driver's connection of one that only reads."""


def slot(name: str, kind: type[T]) -> T:
    """Stands for a value of `kind` while a statement is built; `Prepared.fetch` is given the value by this name.

    It is no value: arithmetic makes SQL of it, and to ask whether it is true raises TypeError. In SQL that is written
    as text its own text does: `str(slot("id", UUID))`.
    """
    sql_name, sql_type = TYPES[kind]
    return cast(T, literal_column(f"$${name}::{sql_name}", sql_type))


class _Row:
    """A row that reads as SQLAlchemy's do: by attribute, or its `_mapping`."""

    __slots__ = ("_mapping",)

    def __init__(self, mapping: dict[str, Any]) -> None:
        self._mapping = mapping

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - of any column
        try:
            return self._mapping[name]
        except KeyError:
            raise AttributeError(name) from None


class Prepared:
    """A statement with slots; all other values stand in its text, so that a plan that is kept knows them: without that
    it would not find the indexes over a part of a table. What somebody typed goes into slots only (docs/adr/0016).
    """

    def __init__(self, statement: Select[Any]) -> None:
        text = str(statement.compile(dialect=DIALECT, compile_kwargs={"literal_binds": True}))
        self.slots = list(dict.fromkeys(SLOT.findall(text)))
        """Their names, in the order of PostgreSQL's numbers."""
        self.sql = SLOT.sub(lambda found: f"${self.slots.index(found[1]) + 1}", text)

    async def fetch(self, connection: Connection, values: Mapping[str, object]) -> Sequence[Row[Any]]:
        """All rows, with `values` in the slots.

        Raises:
            KeyError: a slot has no value.
        """
        if isinstance(connection, AsyncConnection):
            connection = await raw(connection)
        records = await connection.fetch(self.sql, *[values[name] for name in self.slots])
        return cast(Sequence[Row[Any]], [_Row(dict(record.items())) for record in records])

    async def one(self, connection: Connection, values: Mapping[str, object]) -> Row[Any]:
        """The first row.

        Raises:
            NotFound: there is none.
        """
        for row in await self.fetch(connection, values):
            return row
        raise NotFound
