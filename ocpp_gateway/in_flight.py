"""How many questions each listener of the api holds at once, and who goes next where more are asked. Pure: no clock.

A question keeps its slot until the listener has answered or the deadline has passed, also where nobody waits for the
answer any more: until then the listener holds it in its memory.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from wire.messages import ChargePointCall, Connect

FIRST: Final = frozenset({"StartTransaction", "StopTransaction"})
SOON: Final = frozenset({"BootNotification", "Authorize"})
RANKS: Final = 3


def rank(question: ChargePointCall | Connect) -> int:
    """Starts and Stops go first, then whoever connects, boots or authorizes, then what comes all the time."""
    if isinstance(question, Connect):
        return 1
    return 0 if question.action in FIRST else 1 if question.action in SOON else 2


class InFlight:
    """The slots of every listener of one gateway, `most` each, and who waits for one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[str, tuple[float, tuple[str, ...]]] = {}
        """Until when, and at which listeners, by question."""
        self._count: dict[str, int] = {}
        self._queues: dict[str, tuple[OrderedDict[str, None], ...]] = {}
        self._waits: dict[str, tuple[str, int]] = {}
        """Listener and rank, by question."""

    def __len__(self) -> int:
        return len(self._held)

    @property
    def waiting(self) -> int:
        """How many questions wait for a slot."""
        return len(self._waits)

    def waits(self, question_id: str) -> bool:
        """Whether this one does."""
        return question_id in self._waits

    def take(self, channel: str, question_id: str, deadline: float) -> bool:
        """A slot of this listener, unless all are taken; one that the question has there already serves again."""
        channels = self._held[question_id][1] if question_id in self._held else ()
        if channel in channels:
            return True
        count = self._count.get(channel, 0)
        if count >= self._most:
            return False
        self._held[question_id] = (deadline, (*channels, channel))
        self._count[channel] = count + 1
        return True

    def wait(self, channel: str, question_id: str, place: int) -> None:
        """Queues the question for this listener, behind those of its rank."""
        queues = self._queues.setdefault(channel, tuple(OrderedDict() for _ in range(RANKS)))
        queues[place][question_id] = None
        self._waits[question_id] = (channel, place)

    def give_up(self, question_id: str) -> None:
        """It waits no longer."""
        if question_id in self._waits:
            channel, place = self._waits.pop(question_id)
            self._queues[channel][place].pop(question_id)

    def next(self, channel: str) -> str | None:
        """Takes the one whose turn it is off the queue; None where all slots are taken or nobody waits."""
        if channel not in self._queues or self._count.get(channel, 0) >= self._most:
            return None
        for queue in self._queues[channel]:
            if queue:
                question_id, _ = queue.popitem(last=False)
                del self._waits[question_id]
                return question_id
        del self._queues[channel]
        return None

    def release(self, question_id: str) -> tuple[str, ...]:
        """It was answered; the listeners that have a slot free for it."""
        _, channels = self._held.pop(question_id, (0.0, ()))
        for channel in channels:
            self._free(channel)
        return channels

    def unheard(self, channel: str, question_id: str) -> None:
        """It never reached this listener."""
        deadline, channels = self._held.get(question_id, (0.0, ()))
        if channel in channels:
            self._free(channel)
            self._held[question_id] = (deadline, tuple(other for other in channels if other != channel))

    def overdue(self, now: float) -> set[str]:
        """Frees what is held past its deadline, when listeners drop it; the listeners with a slot free for it."""
        late = [question_id for question_id, (deadline, _) in self._held.items() if deadline <= now]
        return {channel for question_id in late for channel in self.release(question_id)}

    def leave(self, channels: Iterable[str]) -> list[str]:
        """Nobody waits for these listeners any more; those who did, in their order."""
        left = [
            question_id
            for channel in channels
            for queue in self._queues.pop(channel, ())
            for question_id in queue
        ]  # fmt: skip
        for question_id in left:
            del self._waits[question_id]
        return left

    @property
    def awaited(self) -> set[str]:
        """The listeners for which somebody may wait."""
        return set(self._queues)

    def _free(self, channel: str) -> None:
        self._count[channel] -= 1
        if not self._count[channel]:
            del self._count[channel]
