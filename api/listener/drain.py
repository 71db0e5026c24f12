"""A queue that is written in batches: what has come in while one batch was written is the next one. No timer.

Under load batches form by themselves, and a lone message goes at once (DESIGN 8).
"""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

import structlog

log = structlog.get_logger(__name__)
T = TypeVar("T")

BATCH: Final = 200


class Drain(Generic[T]):
    """Feeds `write` with batches in order, at most `writers` at a time. `write` deals with its own failures."""

    def __init__(self, write: Callable[[list[T]], Awaitable[None]], *, largest: int = BATCH, writers: int = 1) -> None:
        self._write = write
        self._largest = largest
        self._writers = writers
        self._queue: deque[T] = deque()
        self._has_more = asyncio.Event()
        self._writing = 0

    def __len__(self) -> int:
        return len(self._queue) + self._writing

    def add(self, item: T) -> None:
        """Queues one item."""
        self._queue.append(item)
        self._has_more.set()

    async def run(self) -> None:
        """Runs for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._writers):
                group.create_task(self._write_on())

    async def _write_on(self) -> None:
        while True:
            await self._has_more.wait()
            self._has_more.clear()
            while self._queue:
                batch = self._take()
                self._writing += 1
                try:
                    await self._write(batch)
                except Exception:
                    log.exception("a batch was lost", size=len(batch))
                finally:
                    self._writing -= 1

    def _take(self) -> list[T]:
        """What waits, shared with the writers that are idle too."""
        share = math.ceil(len(self._queue) / (self._writers - self._writing))
        return [self._queue.popleft() for _ in range(min(self._largest, share))]
