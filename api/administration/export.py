"""All that is stored of a person, as JSON that is written while it is read. Which tables: `personal_data` says."""

from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID

import orjson
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from api import schema
from api.administration.personal_data import EXPORTED, WITHHELD, condition
from api.database import Database


async def export(database: Database, user_id: UUID, now: datetime) -> AsyncIterator[bytes]:
    """The parts of one JSON object: `exported_at`, and `tables` with the rows of each, of one moment."""
    async with database.transaction() as connection:
        await connection.execute(text("set transaction isolation level repeatable read, read only"))
        yield b'{"exported_at":' + orjson.dumps(now) + b',"user_id":' + orjson.dumps(user_id) + b',"tables":{'
        for number, name in enumerate(EXPORTED):
            yield (b"," if number else b"") + orjson.dumps(name) + b":["
            async for part in _rows(connection, name, user_id):
                yield part
            yield b"]"
        yield b"}}"


async def _rows(connection: AsyncConnection, name: str, user_id: UUID) -> AsyncIterator[bytes]:
    table = schema.metadata.tables[name]
    columns = [column for column in table.c if column.name not in WITHHELD]
    names, separator = [f"{column.name}" for column in columns], b""
    async with connection.stream(select(*columns).where(condition(table, user_id))) as rows:
        async for row in rows:
            yield separator + orjson.dumps(dict(zip(names, row, strict=True)), default=_hex)
            separator = b","


def _hex(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return str(value)
