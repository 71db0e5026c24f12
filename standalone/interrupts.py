"""Ctrl-C and its kin: the first one ends what is being done, the second one makes the stopping harder."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """Somebody asked us to stop."""


def stop_like_ctrl_c() -> None:
    """From now on each of the signals raises KeyboardInterrupt, which cancels what `asyncio.run` runs.

    Ctrl-C too, which is ignored in a process that a shell has started in the background.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in set(SIGNALS) - {signal.SIGINT}:
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))


class Interrupts:
    """Counts the requests to stop. The first raises `Interrupted` wherever we are, unless that is held back."""

    def __init__(self) -> None:
        self.count = 0
        self._held = 0

    def install(self) -> None:
        """Takes over the signals."""
        for number in SIGNALS:
            signal.signal(number, self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count == 1 and not self._held:
            raise Interrupted

    def count_from_now(self) -> None:
        """We are stopping: nothing is raised any more, and the next request makes it hard."""
        self.count = max(self.count, 1)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nothing is raised inside; where a request came meanwhile, it is raised at the end."""
        before = self.count
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        if before == 0 and self.count > 0 and not self._held:
            raise Interrupted

    @property
    def hard(self) -> bool:
        """Whether somebody asked twice."""
        return self.count > 1
