"""Which listener of the api gets what: who is up, who is avoided, and who is nearest to a charge point. Pure.

Redis says who is up, `forwarding` says who missed an attempt; `now` is a monotonic time in seconds.
"""

from collections.abc import Collection, Iterable
from hashlib import blake2b

MAX_REMEMBERED = 100_000
"""Choices kept; some keys are identities that strangers made up."""


class Listeners:
    """The inbox channels of the listeners that are up."""

    def __init__(self, *, avoid_s: float) -> None:
        self._avoid_s = avoid_s
        self._up: frozenset[str] = frozenset()
        self._avoided: dict[str, float] = {}
        self._nearest: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._up)

    def __contains__(self, channel: object) -> bool:
        return channel in self._up

    def avoided(self, now: float) -> int:
        """How many of those that are up get nothing new for the moment."""
        self._forgive(now)
        return len(self._up & self._avoided.keys())

    def replace(self, channels: Iterable[str]) -> None:
        """Redis was asked who is up."""
        up = frozenset(channels)
        if up != self._up:
            self._up = up
            self._nearest.clear()

    def lost(self, channel: str) -> None:
        """A PUBLISH reached nobody: this listener is gone."""
        self.replace(self._up - {channel})

    def missed(self, channel: str, now: float) -> None:
        """This listener left an attempt unanswered."""
        self._avoided[channel] = now + self._avoid_s
        self._nearest.clear()

    def choose(self, key: str, now: float, tried: Collection[str] = ()) -> str | None:
        """The listener for `key`: always the same while it is up (rendezvous hashing), another where it was tried.

        Avoided ones are taken before those already tried, and those before none at all.
        """
        self._forgive(now)
        if not tried and (known := self._nearest.get(key)) is not None:
            return known
        fresh = self._up - self._avoided.keys()
        chosen = _nearest(key, (fresh.difference(tried) or self._up.difference(tried) or fresh or self._up))
        if not tried and chosen is not None:
            if len(self._nearest) >= MAX_REMEMBERED:
                self._nearest.clear()
            self._nearest[key] = chosen
        return chosen

    def _forgive(self, now: float) -> None:
        if not self._avoided:
            return
        over = [channel for channel, until in self._avoided.items() if until <= now]
        for channel in over:
            del self._avoided[channel]
            self._nearest.clear()


def _nearest(key: str, channels: Collection[str]) -> str | None:
    return max(channels, key=lambda channel: _weight(channel, key), default=None)


def _weight(channel: str, key: str) -> bytes:
    return blake2b(f"{channel}\0{key}".encode(errors="replace"), digest_size=8).digest()
