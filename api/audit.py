"""The audit log: who did what to whom, added in the transaction of the deed. Opaque ids only, and never changed."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from api.schema import audit_log


async def record(
    connection: AsyncConnection,
    actor_id: UUID | None,
    action: str,
    subject_id: UUID | None,
    now: datetime,
    **details: Any,  # noqa: ANN401 - whatever JSON holds; ids and states, no names and no texts of people
) -> None:
    """`actor_id` None is the command line; `subject_id` is the id of what `action` names, such as `user.disabled`."""
    row = {"actor_id": actor_id, "action": action, "subject_id": subject_id, "details": details, "at": now}
    await connection.execute(insert(audit_log).values(**row))
