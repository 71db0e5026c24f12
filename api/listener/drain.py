"""A queue that is written in batches: what has come in while one batch was written is the next one. No timer.

Under load batches form by themselves, and a lone message goes at once (DESIGN 8).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

import structlog

log = structlog.get_logger(__name__)
T = TypeVar("T")

BATCH: Final = 200


class Drain(Generic[T]):
    """Feeds `write` with batches in order, one at a time. `write` deals with its own failures."""

    def __init__(self, write: Callable[[list[T]], Awaitable[None]]) -> None:
        self._write = write
        self._queue: deque[T] = deque()
        self._has_more = asyncio.Event()
        self._is_writing = False

    def __len__(self) -> int:
        return len(self._queue) + self._is_writing

    def add(self, item: T) -> None:
        """Queues one item."""
        self._queue.append(item)
        self._has_more.set()

    async def run(self) -> None:
        """Runs for ever."""
        while True:
            await self._has_more.wait()
            self._has_more.clear()
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
                self._is_writing = True
                try:
                    await self._write(batch)
                except Exception:
                    log.exception("a batch was lost", size=len(batch))
                finally:
                    self._is_writing = False
