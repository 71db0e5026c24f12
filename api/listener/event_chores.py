"""What a listener does about events by the clock: numbers them, says whose readings changed, forgets old ones."""

from datetime import UTC, datetime
from typing import Final

from api.bus import Bus
from api.events import notices
from api.events.numbering import BATCH, forget_old, is_any_due, number_next
from api.listener.outbox import Outbox
from api.listener.storage import Storage

NUMBER_EVERY_S: Final = 0.1
"""What an event waits for at most before it is on its way; a look into an empty index the rest of the time."""
TELL_EVERY_S: Final = 1.0
FORGET_EVERY_S: Final = 60.0
MOST_ROUNDS: Final = 50
"""Of forgetting in one turn: as many events as the busiest installation makes in that time."""


async def number_events(storage: Storage, bus: Bus) -> None:
    """Numbers what was committed, then nudges the HTTP processes."""
    count = BATCH
    while count == BATCH and await storage.attempt(is_any_due, one_statement=True):
        now = datetime.now(UTC)
        count = await storage.attempt(lambda connection, now=now: number_next(connection, now))  # type: ignore[misc]
        if count:
            await notices.nudge(bus)


async def tell_metered(outbox: Outbox, bus: Bus) -> None:
    """One notice for all charge points that metered in this turn."""
    if metered := outbox.take_metered():
        await notices.tell_metered(bus, metered)


async def forget_events(storage: Storage) -> None:
    """A bounded number a turn."""
    now = datetime.now(UTC)
    for _ in range(MOST_ROUNDS):
        if not await storage.attempt(lambda connection: forget_old(connection, now)):
            return
