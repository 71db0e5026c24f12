"""The order of a charge point's messages: one after the other, while those of others go on. No I/O.

Meter values and statuses go into shared batches, which are written one at a time; everything else goes alone.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from wire.messages import ChargePointCall

SHARED: Final = frozenset({"MeterValues", "StatusNotification"})


@dataclass(slots=True)
class _Lane:
    in_batches: int = 0
    is_alone: bool = False
    waiting: deque[ChargePointCall] = field(default_factory=deque)
    ids: set[str] = field(default_factory=set)
    """Of what waits or is handed out."""

    def admits(self, *, batched: bool) -> bool:
        """A batched message may follow batched ones, which keep their order; one that goes alone waits for all."""
        return not self.is_alone and (batched or self.in_batches == 0)


def is_batched(call: ChargePointCall) -> bool:
    """Whether it may share a statement with those of others."""
    return call.action in SHARED and not call.refused


class Lanes:
    """Hands out each charge point's messages in order, through `batch` and `alone`, which take them at once."""

    def __init__(self, batch: Callable[[ChargePointCall], None], alone: Callable[[ChargePointCall], None]) -> None:
        self._batch = batch
        self._alone = alone
        self._lanes: dict[str, _Lane] = {}

    def __len__(self) -> int:
        return len(self._lanes)

    def accept(self, call: ChargePointCall) -> None:
        """Hands the message out, or keeps it until those before it are finished.

        A gateway that tries again what is still worked on is not heard: the answer is on its way all the same.
        """
        lane = self._lanes.setdefault(call.charge_point_id, _Lane())
        if call.id in lane.ids:
            return
        lane.ids.add(call.id)
        if lane.waiting or not lane.admits(batched=is_batched(call)):
            lane.waiting.append(call)
        else:
            self._hand_out(lane, call)

    def finished(self, call: ChargePointCall) -> None:
        """To be called once for every message handed out, whatever became of it."""
        lane = self._lanes[call.charge_point_id]
        lane.ids.discard(call.id)
        if is_batched(call):
            lane.in_batches -= 1
        else:
            lane.is_alone = False
        while lane.waiting and lane.admits(batched=is_batched(lane.waiting[0])):
            self._hand_out(lane, lane.waiting.popleft())
        if not (lane.is_alone or lane.in_batches):
            del self._lanes[call.charge_point_id]

    def _hand_out(self, lane: _Lane, call: ChargePointCall) -> None:
        if is_batched(call):
            lane.in_batches += 1
            self._batch(call)
        else:
            lane.is_alone = True
            self._alone(call)
