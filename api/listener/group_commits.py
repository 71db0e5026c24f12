"""CALLs of many charge points that each need statements of their own, one after the other in one transaction.

One commit and one log statement serve them all. There are no savepoints: where one fails, none is committed, and each
goes alone; so does one whose charge point is locked elsewhere, so that the others do not wait for it. No two are of
one charge point (`lanes`).
"""

from collections.abc import Awaitable, Callable, Sequence
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
from api.sharing.ocpp import authorize_calls
from api.transactions.start import starts, try_lock_charge_points
from api.transactions.stop import stops
from wire.messages import ChargePointCall

log = structlog.get_logger(__name__)

Handlers = Callable[[asyncpg.Connection, Sequence[ChargePointCall], datetime], Awaitable[list[Answer]]]
GROUPED: Final = frozenset({"Authorize", "BootNotification", "StartTransaction", "StopTransaction"})
"""What comes often and is done in a few milliseconds; the rest is left to a transaction of its own."""
TOGETHER: Final[dict[str, Handlers]] = {
    "StopTransaction": stops,
    "StartTransaction": starts,
    "Authorize": authorize_calls,
}
"""Of these, some of what is asked is asked once for all."""
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

    async def write(self, group: Sequence[ChargePointCall]) -> list[ChargePointCall]:
        """Commits and answers the group; returns those that must go alone."""
        wanted = sorted(group, key=lambda call: call.charge_point_id)
        while wanted := [call for call in wanted if await self._calls.in_time(call)]:
            try:
                answered = await self._attempt(wanted, datetime.now(UTC))
            except UnavailableError:
                continue
            except Exception as error:  # noqa: BLE001 - each message goes alone next, where its failure is reported
                log.warning("a group failed on its data", size=len(wanted), error=str(error))
                return wanted
            for call, answer in answered:
                self._calls.answer(call, answer)
            done = {call.id for call, _ in answered}
            return [call for call in wanted if call.id not in done]
        return []

    async def _attempt(self, wanted: Sequence[ChargePointCall], now: datetime) -> list[tuple[ChargePointCall, Answer]]:
        async def work(connection: asyncpg.Connection) -> list[tuple[ChargePointCall, Answer]]:
            free = await _not_locked(connection, wanted)
            answered = await _handle(connection, free, now)
            if answered:
                BATCH_SIZE.observe(len(answered))
                await message_log.insert(connection, [message_log.conversation(*each) for each in answered], now)
            return answered

        return await self._storage.attempt(work)


async def _handle(
    connection: asyncpg.Connection, calls: Sequence[ChargePointCall], now: datetime
) -> list[tuple[ChargePointCall, Answer]]:
    """Those that are handled together first, in the same order in every listener: they wait in no circle."""
    answered: list[tuple[ChargePointCall, Answer]] = []
    for action, handle in TOGETHER.items():
        of_action = [call for call in calls if call.action == action]
        if of_action:
            answered += zip(of_action, await handle(connection, of_action, now), strict=True)
    for call in calls:
        if call.action not in TOGETHER:
            answered.append((call, await HANDLERS[call.action](connection, call, now)))
    return answered


async def _not_locked(connection: asyncpg.Connection, wanted: Sequence[ChargePointCall]) -> list[ChargePointCall]:
    locking = [call.charge_point_id for call in wanted if call.action in LOCKING]
    locked = await try_lock_charge_points(connection, locking) if locking else set()
    return [call for call in wanted if call.action not in LOCKING or call.charge_point_id in locked]
