"""The outbox of mails: rows that are written in the transaction of what they tell of. Nothing is sent from here."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from api.mail.texts import Kind, compose
from api.paging import PageRequest, read_page
from api.schema import mails


async def post(
    connection: AsyncConnection,
    kind: Kind,
    recipient: str,
    *,
    user_id: UUID | None,
    language: str,
    now: datetime,
    **values: str,
) -> None:
    """A mail that is sent once the transaction is committed; `user_id` is whose account it is about, if any.

    Raises:
        KeyError: a value that the text needs is missing.
    """
    text = compose(kind, language, **values)
    row = {"user_id": user_id, "kind": kind, "recipient": recipient, "subject": text.subject, "body": text.body}
    await connection.execute(insert(mails).values(**row, next_attempt_at=now, created_at=now))


async def list_mails(
    connection: AsyncConnection, status: str | None, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """The mails of the last weeks without their text, newest first."""
    columns = [column for column in mails.c if column.name != "body"]
    query: Select[Any] = select(*columns)
    if status is not None:
        query = query.where(mails.c.status == status)
    return await read_page(connection, query, [mails.c.created_at, mails.c.id], paging)
