"""What a route may ask for: the time, the settings, one transaction, the bus, and text that PostgreSQL can hold.

One request is one transaction, committed before the answer is sent; operations never commit.
"""

import inspect
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from types import UnionType
from typing import Annotated, Final, ParamSpec, TypeVar, Union, get_args, get_origin

import asyncpg
from fastapi import Depends, Request
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    model_validator,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from api.bus import Bus
from api.database import Database
from api.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")


def made(kind: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """A dependency that makes `kind` of a request. As a class itself, FastAPI would make it in a thread: 100 us."""

    async def make(*args: P.args, **kwargs: P.kwargs) -> T:
        return kind(*args, **kwargs)

    vars(make)["__signature__"] = inspect.signature(kind)
    return make


async def _now() -> datetime:
    return datetime.now(UTC)


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


async def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


async def _bus(request: Request) -> Bus:
    bus: Bus = request.app.state.bus
    return bus


async def _reading(database: Annotated[Database, Depends(_database)]) -> AsyncIterator[asyncpg.Connection]:
    async with database.reading() as connection:
        yield connection


async def _transaction(database: Annotated[Database, Depends(_database)]) -> AsyncIterator[AsyncConnection]:
    async with database.transaction() as connection:
        yield connection


Now = Annotated[datetime, Depends(_now)]
CurrentSettings = Annotated[Settings, Depends(_settings)]
CurrentDatabase = Annotated[Database, Depends(_database)]
CurrentBus = Annotated[Bus, Depends(_bus)]
Reading = Annotated[asyncpg.Connection, Depends(_reading, scope="function")]
"""For what is only looked at: each query is one round trip, and sees what is committed when it begins."""
# scope "function": the commit happens before the answer is sent, so that a failed commit is a 503, not a false 201
Transaction = Annotated[AsyncConnection, Depends(_transaction, scope="function")]


def storable(value: str) -> str:
    """Refuses what PostgreSQL's text cannot hold: NUL and lone surrogates.

    Raises:
        ValueError: the text has one.
    """
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("must not contain NUL or half of a surrogate pair")
    return value


ISO_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}(?![0-9])")


def _written_out(value: object) -> object:
    """Refuses what pydantic would take for seconds since 1970: it is no time in ISO 8601 but a mistake."""
    if isinstance(value, date) or (isinstance(value, str) and ISO_DATE.match(value)):
        return value
    raise ValueError("must be a date or time in ISO 8601")


Instant = Annotated[AwareDatetime, BeforeValidator(_written_out)]
"""A time with its zone, in ISO 8601."""
Day = Annotated[date, BeforeValidator(_written_out)]
Flag = StrictBool
"""true or false; no number and no word in their place."""
StorableText = Annotated[str, AfterValidator(storable)]
FilledText = Annotated[str, StringConstraints(min_length=1, pattern=r"[^\s\x85]")]
"""A body strips its texts, so the document says that white space alone is none; U+0085 is not in JavaScript's `\\s`."""
Name = Annotated[FilledText, Field(max_length=100)]
Note = Annotated[FilledText, Field(max_length=1000, description="why; kept for ever, so name nobody in it")]


def check_storable(value: object) -> object:
    """The same for every text in parsed JSON; numbers must be finite.

    Raises:
        ValueError: something in it cannot be stored.
    """
    pending: list[object] = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, str):
            storable(part)
        elif isinstance(part, dict):
            pending += [*part.keys(), *part.values()]
        elif isinstance(part, list):
            pending += part
        elif isinstance(part, float) and not math.isfinite(part):
            raise ValueError("numbers must be finite")
    return value


class Body(BaseModel):
    """A request body: unknown fields are mistakes, and everything in it can be stored."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    @model_validator(mode="before")
    @classmethod
    def _check_storable(cls, value: object) -> object:
        return check_storable(value)

    @model_validator(mode="before")
    @classmethod
    def _check_numbers(cls, value: object) -> object:
        given = value if isinstance(value, dict) else {}
        for name, field in cls.model_fields.items():
            kinds = _kinds(field.annotation)
            if isinstance(given.get(field.alias or name), bool) and bool not in kinds and kinds & {int, Decimal}:
                raise ValueError(f"{name}: true and false are no numbers")
        return value


def _kinds(annotation: object) -> set[object]:
    """The types of a union, or the one type."""
    if get_origin(annotation) not in {Union, UnionType, Annotated}:
        return {annotation}
    return {kind for part in get_args(annotation) for kind in _kinds(part)}
