"""`Idempotency-Key`: a creating POST that is sent again has its effect once and its answer twice.

The key is stored in the transaction of the effect itself, so there is never one without the other; a request that
failed leaves no key and may be sent again. Answers are stored without secrets.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Header, Request
from sqlalchemy import delete, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from api.errors import InProgress, KeyReused
from api.schema import idempotency_keys

KEPT = timedelta(hours=24)
"""A key counts for a day; after that it may stand for a new request."""


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """The caller's key, None where none was sent, and a digest of the request that it stands for."""

    key: str | None
    digest: bytes


async def _idempotent_request(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            pattern=r"^[!-~]+$",
            description="Any unique text, such as a UUID. The same request sent again with the same key has its "
            "effect once; the key is kept for 24 hours.",
            examples=["0b9b1e0e-7d0c-4b7e-9f36-0f4a51d2a7f1"],
        ),
    ] = None,
) -> IdempotentRequest:
    start = f"{request.method} {request.url.path}\n".encode()
    return IdempotentRequest(idempotency_key, hashlib.sha256(start + await request.body()).digest())


Idempotency = Annotated[IdempotentRequest, Depends(_idempotent_request)]


async def earlier_answer(
    connection: AsyncConnection, request: IdempotentRequest, user_id: UUID, now: datetime
) -> dict[str, Any] | None:
    """The stored answer of the same request; None where it is new, and then its key is held until the commit.

    Raises:
        InProgress: the same key is being worked on elsewhere.
        KeyReused: the key stands for another request.
    """
    if request.key is None:
        return None
    lock = text("select pg_try_advisory_xact_lock(hashtextextended(:name, 0))")
    if not (await connection.execute(lock, {"name": f"idempotency:{user_id}:{request.key}"})).scalar_one():
        raise InProgress
    table = idempotency_keys
    await connection.execute(delete(table).where(table.c.user_id == user_id, table.c.created_at < now - KEPT))
    query = select(table).where(table.c.user_id == user_id, table.c.key == request.key)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    if row.request_digest != request.digest:
        raise KeyReused
    answer: dict[str, Any] = row.response_body
    return answer


async def remember_answer(
    connection: AsyncConnection, request: IdempotentRequest, user_id: UUID, now: datetime, answer: dict[str, Any]
) -> None:
    """Stores `answer` (JSON, without secrets) in the transaction of the effect."""
    if request.key is None:
        return
    await connection.execute(
        insert(idempotency_keys).values(
            user_id=user_id,
            key=request.key,
            request_digest=request.digest,
            response_status=201,
            response_body=answer,
            created_at=now,
        )
    )
