"""Where PDFs and images are made: on a thread beside the event loop, one at a time, and few may wait.

A receipt takes some 50 ms, a long statement seconds, of Python that holds the interpreter; from a thread it is made to
give way every few milliseconds, so that other requests go on. Wallboxes talk to the listener, a process of its own.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Final

from fastapi import Depends, Request

from api.errors import Unavailable

LONGEST_QUEUE: Final = 32


class Workshop:
    """Makes documents on one thread."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, "documents")
        self._pending = 0

    async def make(self, work: Callable[[], bytes]) -> bytes:
        """What `work` makes.

        Raises:
            Unavailable: too many wait already.
        """
        if self._pending >= LONGEST_QUEUE:
            raise Unavailable("Too many documents at once. Try again in a few seconds.")
        self._pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._pending -= 1

    def close(self) -> None:
        """Ends the thread."""
        self._executor.shutdown(cancel_futures=True)


async def _workshop(request: Request) -> Workshop:
    workshop: Workshop = request.app.state.workshop
    return workshop


CurrentWorkshop = Annotated[Workshop, Depends(_workshop)]
