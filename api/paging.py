"""Cursor paging: lists are read by key, newest first unless said otherwise, so that inserts never shift a page.

A cursor is opaque to callers: the sort key of the last row that they saw.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Final, Generic, TypeVar
from uuid import UUID

import orjson
from fastapi import Depends, Query
from pydantic import BaseModel, Field
from sqlalchemy import BigInteger, ColumnElement, Row, Select, Subquery, literal_column, select, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from api.errors import Invalid
from api.prepared import Connection, Prepared, slot

Item = TypeVar("Item")
Statement = TypeVar("Statement")
Found = TypeVar("Found")
DEFAULT_LIMIT = 50
HIGHEST_LIMIT = 200
LONGEST_CURSOR = 512


class Page(BaseModel, Generic[Item]):
    """A part of a list."""

    items: list[Item]
    next_cursor: str | None = Field(description="give it as `cursor` to read on; null at the end of the list")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """How much of a list, and after which row."""

    limit: int = DEFAULT_LIMIT
    cursor: str | None = None


def paging_of(default: int, highest: int) -> Callable[..., Awaitable[PageRequest]]:
    """A dependency for lists of so many items, and of so many at most."""

    async def page_request(
        limit: Annotated[int, Query(ge=1, le=highest, description="how many items at most")] = default,
        cursor: Annotated[
            str | None, Query(max_length=LONGEST_CURSOR, description="`next_cursor` of the page before")
        ] = None,
    ) -> PageRequest:
        return PageRequest(limit, cursor)

    return page_request


Paging = Annotated[PageRequest, Depends(paging_of(DEFAULT_LIMIT, HIGHEST_LIMIT))]


async def read_page(
    connection: AsyncConnection,
    statement: Select[Any],
    key: Sequence[ColumnElement[Any]],
    paging: PageRequest,
    *,
    ascending: bool = False,
) -> tuple[Sequence[Row[Any]], str | None]:
    """One page of `statement`, whose columns include those of `key`: a unique sort key.

    Raises:
        Invalid: the cursor is not one of this list.
    """
    kinds = _kinds(key)
    after = None if paging.cursor is None else decode_cursor(paging.cursor, kinds)
    limited = _limited(statement, key, after, paging.limit + 1, ascending=ascending)
    rows = (await connection.execute(limited)).all()
    return cut(rows, paging, lambda row: [row._mapping[column] for column in key])


ROWS: Final = (DEFAULT_LIMIT + 1, HIGHEST_LIMIT + 1)
"""How many rows a query that is written once reads, as a number in it: with a place for a number PostgreSQL takes a
tenth of all rows to be meant, and rather plans anew each time, which costs more than to read some rows too many."""


def large_enough(queries: Mapping[int, Statement], paging: PageRequest) -> Statement:
    """Of the same query for some numbers of rows, growing, the first that reads a page and one row more."""
    return next(query for rows, query in queries.items() if rows > paging.limit)


class Window:
    """Which rows of a list one page needs: where it begins, as slots of its statement, and how many."""

    def __init__(self, key: Sequence[ColumnElement[Any]], rows: int, *, is_first: bool, ascending: bool) -> None:
        self._key = key
        self._rows = literal_column(str(rows), BigInteger)
        self._after: list[Any] | None = (
            None if is_first else [slot(f"after_{n}", kind) for n, kind in enumerate(_kinds(key))]
        )
        self._ascending = ascending

    def of(self, statement: Select[Any]) -> Select[Any]:
        """So much of `statement`, whose columns include those of the key."""
        return _limited(statement, self._key, self._after, self._rows, ascending=self._ascending)

    def of_all(self, parts: Sequence[Select[Any]]) -> Subquery:
        """One page of disjoint lists, to be joined to what it shows; each selects the columns of the key.

        Each part is read along an index of its own. Of an OR PostgreSQL would read all that is somebody's, or walk
        past all that is not.
        """
        union = union_all(*(self.of(part) for part in parts)).subquery()
        columns = [union.c[str(column.key)] for column in self._key]
        order = [column.asc() if self._ascending else column.desc() for column in columns]
        return select(*columns).order_by(*order).limit(self._rows).subquery()


class Listing:
    """A list that is asked for often: its statement is built once, and not for each page. It orders by a unique key."""

    def __init__(
        self,
        build: Callable[[Window], Select[Any]],
        key: Sequence[ColumnElement[Any]],
        *,
        ascending: bool = False,
    ) -> None:
        self._kinds = _kinds(key)
        self._names = [str(column.key) for column in key]

        def statements(*, is_first: bool) -> dict[int, Prepared]:
            windows = {rows: Window(key, rows, is_first=is_first, ascending=ascending) for rows in ROWS}
            return {rows: Prepared(window.of(build(window))) for rows, window in windows.items()}

        self._first, self._later = statements(is_first=True), statements(is_first=False)

    async def page(
        self, connection: Connection, paging: PageRequest, values: Mapping[str, object]
    ) -> tuple[Sequence[Row[Any]], str | None]:
        """One page, with `values` in the slots of its statement.

        Raises:
            Invalid: the cursor is not one of this list.
        """
        last = [] if paging.cursor is None else decode_cursor(paging.cursor, self._kinds)
        after = {f"after_{n}": value for n, value in enumerate(last)}
        statement = large_enough(self._later if last else self._first, paging)
        rows = await statement.fetch(connection, {**values, **after})
        return cut(rows, paging, lambda row: [row._mapping[name] for name in self._names])


def _kinds(key: Sequence[ColumnElement[Any]]) -> list[type]:
    return [column.type.python_type for column in key]


def _limited(
    statement: Select[Any],
    key: Sequence[ColumnElement[Any]],
    after: Sequence[object] | None,
    rows: int | ColumnElement[int],
    *,
    ascending: bool,
) -> Select[Any]:
    if after is not None:
        statement = statement.where(tuple_(*key) > tuple_(*after) if ascending else tuple_(*key) < tuple_(*after))
    order = [column.asc() if ascending else column.desc() for column in key]
    return statement.order_by(*order).limit(rows)


def cut(
    rows: Sequence[Found], paging: PageRequest, key_of: Callable[[Found], Sequence[object]]
) -> tuple[Sequence[Found], str | None]:
    """The page, of rows that were read with at least one more where there are more, and its `next_cursor`."""
    kept = rows[: paging.limit]
    return kept, encode_cursor(key_of(kept[-1])) if len(rows) > len(kept) else None


def encode_cursor(values: Sequence[object]) -> str:
    """A sort key as URL-safe text."""
    texts = [value.isoformat() if isinstance(value, datetime) else str(value) for value in values]
    return base64.urlsafe_b64encode(orjson.dumps(texts)).decode().rstrip("=")


def decode_cursor(cursor: str, kinds: Sequence[type]) -> list[object]:
    """The sort key that `encode_cursor` wrote.

    Raises:
        Invalid: not such a text, or not of these types.
    """
    try:
        texts = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        return [_parse(text, kind) for text, kind in zip(texts, kinds, strict=True)]
    except (ValueError, TypeError, AttributeError, binascii.Error):
        raise Invalid.field("query.cursor", "not a cursor of this list") from None


LARGEST_BIGINT = 2**63 - 1


def _parse(text: str, kind: type) -> object:
    if kind is datetime:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError("a time without its zone")
        return at
    if kind is date:
        return date.fromisoformat(text)
    if kind is UUID:
        return UUID(text)
    number = int(text)
    if abs(number) > LARGEST_BIGINT:
        raise ValueError("a number above 64 bits")
    return number
