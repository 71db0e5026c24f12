"""What goes out after a commit: answers, one PUBLISH a gateway and loop turn, and the live state, in one pipeline.

Answers are tried again while Redis is away; the live state is a cache, and what it missed is only counted.
"""

import asyncio
import time
from collections import defaultdict
from typing import Any, Final

import msgspec
import structlog
from redis.exceptions import RedisError

from api.bus import Bus
from api.charge_points.live import LIVE_TTL_S
from api.listener.metrics import LIVE_FAILURES, OUTCOMES_DROPPED
from wire.messages import CallOutcome, CommandOutcome, ConnectOutcome, encode

log = structlog.get_logger(__name__)

Outcome = CallOutcome | ConnectOutcome | CommandOutcome
RETRY_EVERY_S: Final = 0.1
KEEP_S: Final = 15.0
"""Nobody waits for an answer longer than the gateway's deadline."""

SET_LIVE: Final = """
local ttl, only_missing = ARGV[2], ARGV[3] == '1'
for _, change in ipairs(cmsgpack.unpack(ARGV[1])) do
    local key, epoch, fields = change[1], change[2], change[3]
    local known = redis.call('HGET', key, 'epoch')
    if only_missing then
        redis.call('HSETNX', key, 'epoch', epoch)
        for i = 1, #fields, 2 do redis.call('HSETNX', key, fields[i], fields[i + 1]) end
    elseif not known or tonumber(known) <= tonumber(epoch) then
        redis.call('HSET', key, 'epoch', epoch, unpack(fields))
    end
    redis.call('EXPIRE', key, ttl)
end
"""
"""A stale epoch changes nothing (DESIGN, Epochs); `only_missing` fills an emptied cache without undoing newer news."""


class Outbox:
    """Collects what a loop turn leaves behind, and sends it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._outcomes: list[tuple[float, str, Outcome]] = []
        self._live: list[tuple[str, str, list[str]]] = []
        self._metered: set[str] = set()
        self._has_more = asyncio.Event()
        self._is_sending = False

    def __len__(self) -> int:
        return len(self._outcomes) + len(self._live) + self._is_sending

    def publish(self, channel: str, outcome: Outcome) -> None:
        """Sends an outcome to whom it is for, soon."""
        self._outcomes.append((time.monotonic(), channel, outcome))
        self._has_more.set()

    def set_live(self, charge_point_id: str, epoch: int, fields: dict[str, bytes]) -> None:
        """Sets fields of a charge point's live hash, unless a newer connection has set any."""
        self._live.append(live_change(self._bus.channels.live(charge_point_id), epoch, fields))
        if len(fields) > 1:
            self._metered.add(charge_point_id)
        self._has_more.set()

    def take_metered(self) -> set[str]:
        """Charge points that said more than that they live, since this was last asked."""
        metered, self._metered = self._metered, set()
        return metered

    async def run(self) -> None:
        """Runs for ever."""
        while True:
            await self._has_more.wait()
            self._has_more.clear()
            self._is_sending = True
            await self._send()
            self._is_sending = False

    async def _send(self) -> None:
        outcomes, self._outcomes = self._outcomes, []
        live, self._live = self._live, []
        try:
            results = await self._pipeline(outcomes, live)
        except (RedisError, OSError) as error:
            LIVE_FAILURES.inc(len(live))
            self._keep(outcomes, error)
            await asyncio.sleep(RETRY_EVERY_S)
            return
        if live and isinstance(results[-1], Exception):
            LIVE_FAILURES.inc(len(live))

    async def _pipeline(self, outcomes: list[tuple[float, str, Outcome]], live: list[Any]) -> list[Any]:
        by_channel: dict[str, list[Outcome]] = defaultdict(list)
        for _, channel, outcome in outcomes:
            by_channel[channel].append(outcome)
        async with self._bus.redis.pipeline(transaction=False) as pipeline:
            for channel, batch in by_channel.items():
                pipeline.publish(channel, encode(batch))
            if live:
                pipeline.eval(SET_LIVE, 0, msgspec.msgpack.encode(live), LIVE_TTL_S, 0)
            return await pipeline.execute(raise_on_error=False)

    def _keep(self, outcomes: list[tuple[float, str, Outcome]], error: Exception) -> None:
        oldest = time.monotonic() - KEEP_S
        kept = [entry for entry in outcomes if entry[0] >= oldest]
        if dropped := len(outcomes) - len(kept):
            OUTCOMES_DROPPED.inc(dropped)
            log.warning("answers given up, Redis is away", dropped=dropped, error=str(error))
        self._outcomes = kept + self._outcomes
        if self._outcomes:
            self._has_more.set()


def live_change(key: str, epoch: int, fields: dict[str, bytes]) -> tuple[str, str, list[str]]:
    """One entry of what `SET_LIVE` takes."""
    flat: list[str] = []
    for name, value in fields.items():
        flat += (name, value.decode())
    return key, str(epoch), flat
