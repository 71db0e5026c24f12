"""Frames for the message log that no forwarded CALL carries, in bounded batches. Nobody ever waits for them.

Secrets are taken out here, before anything leaves the process (`redaction`).
"""

import asyncio

import msgspec

from ocpp_gateway.bus import Bus
from ocpp_gateway.listeners import Listeners
from ocpp_gateway.metrics import Metrics
from ocpp_gateway.redaction import redacted
from ocpp_gateway.timing import Timing
from wire.messages import LoggedFrame

FLUSH_AT = 200
MAX_BUFFERED = 5_000
MAX_BUFFERED_BYTES = 8 * 1024 * 1024
"""Both are reached only while no listener is up or Redis takes less than comes."""


class MessageLog:
    """The buffer of one gateway."""

    def __init__(self, bus: Bus, listeners: Listeners, timing: Timing, metrics: Metrics) -> None:
        self._bus = bus
        self._listeners = listeners
        self._flush_s = timing.log_flush_s
        self._dropped = metrics.dropped.labels(LoggedFrame.__name__)
        self._loop = asyncio.get_running_loop()
        self._frames: list[LoggedFrame] = []
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, frame: LoggedFrame) -> None:
        """Takes `frame` along; drops it, counted, where too many wait."""
        if len(self._frames) >= MAX_BUFFERED or self._bytes >= MAX_BUFFERED_BYTES:
            self._dropped.inc()
            return
        self._frames.append(frame)
        self._bytes += len(frame.frame)
        if len(self._frames) == FLUSH_AT:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(self._flush_s, self.flush)

    def flush(self) -> None:
        """Sends what is buffered to a listener; without one, or behind too much else, it stays until the next time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        channel = self._listeners.choose(self._bus.gateway_id, self._loop.time())
        if channel is None or self._bus.is_congested:
            self._timer = self._loop.call_later(self._flush_s, self.flush)
            return
        frames, self._frames, self._bytes = self._frames, [], 0
        for frame in frames:
            if not self._bus.send(channel, _without_secrets(frame)):
                self._dropped.inc()


def _without_secrets(frame: LoggedFrame) -> LoggedFrame:
    clean = redacted(frame.frame)
    return frame if clean is frame.frame else msgspec.structs.replace(frame, frame=clean)
