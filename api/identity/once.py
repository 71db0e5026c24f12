"""`Once`: how a route that creates something for its caller answers a repeated request as it answered the first.

It lies over `api.idempotency`, bound to the request's transaction and caller; what a route does between the two calls
happens once for each `Idempotency-Key`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import Depends
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from api.idempotency import Idempotency, IdempotentRequest, earlier_answer, remember_answer
from api.identity.caller import CurrentCaller
from api.request import Now, Transaction

Answer = TypeVar("Answer", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Sending:
    """One sending of a creating request, within its transaction."""

    transaction: AsyncConnection
    request: IdempotentRequest
    user_id: UUID
    now: datetime

    async def earlier(self, kind: type[Answer]) -> Answer | None:
        """What the same request was answered before; None where it is new.

        Raises:
            InProgress, KeyReused: see `earlier_answer`.
        """
        kept = await earlier_answer(self.transaction, self.request, self.user_id, self.now)
        return None if kept is None else kind.model_validate(kept)

    async def remember(self, answer: Answer, *, kept: Answer | None = None) -> Answer:
        """Gives `answer` back and stores it for a repeat, or in its stead `kept`, where `answer` holds a secret."""
        stored = (answer if kept is None else kept).model_dump(mode="json")
        await remember_answer(self.transaction, self.request, self.user_id, self.now, stored)
        return answer


async def _sending(caller: CurrentCaller, transaction: Transaction, request: Idempotency, now: Now) -> Sending:
    return Sending(transaction, request, caller.user_id, now)


Once = Annotated[Sending, Depends(_sending)]
