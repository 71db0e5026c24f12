"""A person's log-ins as that person sees them: list them, end one. Nothing here commits."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from api.errors import NotFound
from api.identity import operations
from api.paging import PageRequest, read_page
from api.schema import sessions


def _standing(user_id: UUID) -> Select[Any]:
    return select(sessions).where(sessions.c.user_id == user_id, sessions.c.revoked_at.is_(None))


async def list_own(
    connection: AsyncConnection, user_id: UUID, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """The log-ins that stand, the newest first."""
    return await read_page(connection, _standing(user_id), [sessions.c.created_at, sessions.c.id], paging)


async def end(connection: AsyncConnection, user_id: UUID, session_id: UUID, now: datetime) -> None:
    """Ends one log-in.

    Raises:
        NotFound: not a standing one of this user.
    """
    if (await connection.execute(_standing(user_id).where(sessions.c.id == session_id))).first() is None:
        raise NotFound
    await operations.revoke_session(connection, session_id, now)
