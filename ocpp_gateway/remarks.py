"""What the gateway tells the api in passing: quirks that would have helped, and handshakes that it refused by itself.

Bounded, in batches, and dropped where no listener is up: nobody waits for any of it.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from typing import Final

from ocpp_gateway.forwarding import Forwarding
from wire.messages import HandshakeRefused, QuirksSeen

FLUSH_S: Final = 1.0
MOST_REFUSALS: Final = 50
"""Told between two flushes; anyone can knock, so the rest is only counted by the metrics."""


class Remarks:
    """The buffer of one gateway."""

    def __init__(self, forwarding: Forwarding) -> None:
        self._forwarding = forwarding
        self._loop = asyncio.get_running_loop()
        self._seen: dict[tuple[str, int], Counter[str]] = {}
        self._refusals: dict[tuple[str, str, str], HandshakeRefused] = {}
        self._timer: asyncio.TimerHandle | None = None

    def seen(self, charge_point_id: str, epoch: int, quirks: Iterable[str]) -> None:
        """A frame was refused that these quirks would have let through."""
        self._seen.setdefault((charge_point_id, epoch), Counter()).update(quirks)
        self._set_timer()

    def refused(self, identity: str, reason: str, address: str) -> None:
        """A handshake was refused before the api could be asked."""
        if len(self._refusals) < MOST_REFUSALS:
            self._refusals[identity, reason, address] = HandshakeRefused(identity, reason, address, time.time())
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(FLUSH_S, self.flush)

    def flush(self) -> None:
        """Sends what is there."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = time.time()
        for (charge_point_id, epoch), counts in self._seen.items():
            self._forwarding.tell(QuirksSeen(charge_point_id, epoch, now, dict(counts)))
        for refusal in self._refusals.values():
            self._forwarding.tell(refusal)
        self._seen, self._refusals = {}, {}
