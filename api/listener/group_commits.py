"""CALLs of many charge points that each need statements of their own, one after the other in one transaction.

One commit and one log statement serve them all. There are no savepoints: where one fails, none is committed, and each
goes alone. No two are of one charge point (`lanes`), and they are done in the order of their charge points, so that
two groups that meet never wait for each other in a circle.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import asyncpg
import structlog

from api.charge_points import message_log
from api.charge_points.answers import Answer
from api.listener.calls import HANDLERS, LOCKING, Calls
from api.listener.failures import UnavailableError
from api.listener.metrics import BATCH_SIZE
from api.listener.storage import Storage
from api.transactions.start import lock_charge_points
from wire.messages import ChargePointCall

log = structlog.get_logger(__name__)

GROUPED: Final = frozenset({"Authorize", "BootNotification", "StartTransaction", "StopTransaction"})
"""What comes often and is done in a few milliseconds; the rest is left to a transaction of its own."""
MOST: Final = 50
"""In one group: the first of them waits for the last."""


def is_grouped(call: ChargePointCall) -> bool:
    """Whether it may share a transaction with those of others."""
    return call.action in GROUPED and not call.refused


class GroupCommits:
    """Writes groups, then answers."""

    def __init__(self, storage: Storage, calls: Calls) -> None:
        self._storage = storage
        self._calls = calls

    async def write(self, group: Sequence[ChargePointCall]) -> None:
        """Commits and answers the group."""
        wanted = sorted(group, key=lambda call: call.charge_point_id)
        while len(wanted) > 1:
            now = datetime.now(UTC)
            try:
                answers = await self._attempt(wanted, now)
            except UnavailableError:
                wanted = [call for call in wanted if await self._calls.in_time(call)]
                continue
            except Exception as error:  # noqa: BLE001 - each message goes alone next, where its failure is reported
                log.warning("a group failed on its data", size=len(wanted), error=str(error))
                break
            BATCH_SIZE.observe(len(wanted))
            for call, answer in zip(wanted, answers, strict=True):
                self._calls.answer(call, answer)
            return
        await asyncio.gather(*(self._calls.process(call) for call in wanted))

    async def _attempt(self, wanted: Sequence[ChargePointCall], now: datetime) -> list[Answer]:
        async def work(connection: asyncpg.Connection) -> list[Answer]:
            locking = [call.charge_point_id for call in wanted if call.action in LOCKING]
            if locking:
                await lock_charge_points(connection, locking)
            answers = [await HANDLERS[call.action](connection, call, now) for call in wanted]
            conversations = [
                message_log.conversation(call, answer, now) for call, answer in zip(wanted, answers, strict=True)
            ]
            await message_log.insert(connection, [row for rows in conversations for row in rows])
            return answers

        return await self._storage.attempt(work)
