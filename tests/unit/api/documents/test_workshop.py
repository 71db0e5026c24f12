"""Documents are made beside the event loop, and only so many may wait."""

import asyncio
import threading

import pytest

from api.documents.workshop import LONGEST_QUEUE, Workshop
from api.errors import Unavailable


async def test_the_loop_goes_on_while_a_document_is_made_and_the_queue_has_an_end() -> None:
    workshop, go_on, began = Workshop(), threading.Event(), threading.Event()

    def work() -> bytes:
        began.set()
        go_on.wait(30)
        return threading.current_thread().name.encode()

    waiting = [asyncio.create_task(workshop.make(work)) for _ in range(LONGEST_QUEUE)]
    try:
        await asyncio.to_thread(began.wait, 30)
        with pytest.raises(Unavailable):
            await workshop.make(work)
        go_on.set()
        assert set(await asyncio.gather(*waiting)) == {b"documents_0"}, "one thread, one at a time"
        assert await workshop.make(work) == b"documents_0", "and then there is room again"
    finally:
        go_on.set()
        workshop.close()


async def test_what_fails_in_the_workshop_fails_for_who_asked_and_makes_room() -> None:
    workshop = Workshop()

    def fail() -> bytes:
        raise ValueError("no page")

    for _ in range(LONGEST_QUEUE + 1):
        with pytest.raises(ValueError, match="no page"):
            await workshop.make(fail)
    workshop.close()
