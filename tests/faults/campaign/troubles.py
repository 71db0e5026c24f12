"""What is done to the stack: deaths at failpoints, deaths at random, frozen, cut, slowed and full. One at a time.

Each trouble takes the stage, a random source and a span in seconds, and has undone what it did when it returns.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import psutil
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.faults.campaign.stage import Slot, Stage
from tests.faults.campaign.traps import API_MOMENTS, GATEWAY_MOMENTS, LISTENER_MOMENTS, Moment

Trouble = Callable[[Stage, random.Random, float], Awaitable[str]]
"""Returns what was done, in words."""

FAILPOINT_PATIENCE_S: Final = 20.0
"""A process that was killed a moment ago has to start first."""
MOMENTS: Final[tuple[Moment, ...]] = (
    *(("listener", *moment) for moment in LISTENER_MOMENTS),
    *(("gateway", *moment) for moment in GATEWAY_MOMENTS),
    *(("api", *moment) for moment in API_MOMENTS),
)
MOST_WRONG_S: Final = 25.0
"""How far a service's clock is moved: beyond the 15 s for which a message is good, either way."""
SLOW_S: Final = 0.15


class Failpoints:
    """Arms moment after moment in an order that the seed gives, first of all those at which nothing was killed yet."""

    def __init__(self, source: random.Random) -> None:
        self.hits: Counter[Moment] = Counter()
        self._source = source
        self._left: list[Moment] = []

    @property
    def missed(self) -> list[Moment]:
        """Moments at which nothing was killed yet."""
        return [moment for moment in MOMENTS if not self.hits[moment]]

    def next(self) -> Moment:
        """Where something is to be killed now."""
        if not self._left:
            self._left = self.missed or list(MOMENTS)
            self._source.shuffle(self._left)
        return self._left.pop()

    async def strike(self, stage: Stage, _source: random.Random, _span_s: float) -> str:
        """Arms every process of a kind; the first that comes to the moment dies of it, the others are let live."""
        kind, phase, point = self.next()
        slots = stage.of_kind(kind)
        for slot in slots:
            slot.trap.armed = (phase, point)
        died = await _first_to_die(slots)
        for slot in slots:
            slot.trap.armed = None
        self.hits[kind, phase, point] += died is not None
        return f"{kind} {'killed' if died else 'never came'} at {phase} {point}"


async def _first_to_die(slots: list[Slot]) -> Slot | None:
    with suppress(TimeoutError):
        async with asyncio.timeout(FAILPOINT_PATIENCE_S):
            while True:
                for slot in slots:
                    if slot.trap.armed is None:
                        return slot
                await asyncio.sleep(0.02)
    return None


def _any_slot(stage: Stage, source: random.Random) -> Slot:
    return stage.slots[source.choice(sorted(stage.slots))]


async def kill_one(stage: Stage, source: random.Random, _span_s: float) -> str:
    slot = _any_slot(stage, source)
    slot.kill()
    return f"{slot.name} killed"


async def kill_all(stage: Stage, _source: random.Random, _span_s: float) -> str:
    for slot in stage.slots.values():
        slot.kill()
    return "every service killed"


async def freeze_one(stage: Stage, source: random.Random, span_s: float) -> str:
    slot = _any_slot(stage, source)
    frozen = slot.service
    if frozen is None or not slot.is_alive:
        return f"{slot.name} was away"
    frozen.freeze()
    await asyncio.sleep(span_s)
    if frozen.process.poll() is None:
        frozen.thaw()
    return f"{slot.name} frozen for {span_s:.1f} s"


async def freeze_postgres(stage: Stage, _source: random.Random, span_s: float) -> str:
    parent = psutil.Process(stage.servers.postgres.process.pid)
    family = [parent, *parent.children(recursive=True)]
    for act in ("suspend", "resume"):
        for member in family:
            with suppress(psutil.NoSuchProcess):
                getattr(member, act)()
        await asyncio.sleep(span_s if act == "suspend" else 0)
    return f"PostgreSQL frozen for {span_s:.1f} s"


async def freeze_redis(stage: Stage, _source: random.Random, span_s: float) -> str:
    process = psutil.Process(stage.servers.redis.process.pid)
    process.suspend()
    await asyncio.sleep(span_s)
    process.resume()
    return f"Redis frozen for {span_s:.1f} s"


async def crash_postgres(stage: Stage, _source: random.Random, _span_s: float) -> str:
    await stage.servers.crash_postgres()
    return "PostgreSQL killed and recovered"


async def kill_a_backend(stage: Stage, source: random.Random, _span_s: float) -> str:
    """PostgreSQL answers the death of one of its processes by ending all sessions and recovering."""
    backends = psutil.Process(stage.servers.postgres.process.pid).children()
    with suppress(psutil.NoSuchProcess, IndexError):
        source.choice(backends).kill()
    return "a process of PostgreSQL killed"


async def crash_redis(stage: Stage, _source: random.Random, _span_s: float) -> str:
    await stage.servers.crash_redis()
    return "Redis killed, empty again"


async def flush_redis(stage: Stage, _source: random.Random, _span_s: float) -> str:
    with suppress(RedisError, OSError):
        async with Redis.from_url(stage.stack.redis_url) as redis:
            await redis.flushall()
    return "Redis flushed"


async def cut_a_link(stage: Stage, source: random.Random, span_s: float) -> str:
    slot = _any_slot(stage, source)
    link, name = (slot.redis, "Redis") if source.random() < 0.5 else (slot.postgres, "PostgreSQL")
    await link.refuse()
    await asyncio.sleep(span_s)
    link.release()
    return f"{slot.name} cut off from {name} for {span_s:.1f} s"


async def hold_a_link(stage: Stage, source: random.Random, span_s: float) -> str:
    slot = _any_slot(stage, source)
    link, name = (slot.redis, "Redis") if source.random() < 0.5 else (slot.postgres, "PostgreSQL")
    link.hold()
    await asyncio.sleep(span_s)
    link.release()
    return f"{slot.name} heard nothing from {name} for {span_s:.1f} s"


async def pull_a_cable(stage: Stage, source: random.Random, span_s: float) -> str:
    """The process and everybody else hear nothing of each other, and nobody is told that a connection has ended."""
    slot = _any_slot(stage, source)
    if slot.cable is None:
        return "no cable was pulled: that needs network namespaces"
    slot.cable.pull()
    await asyncio.sleep(span_s)
    slot.cable.plug()
    return f"the cable of {slot.name} pulled for {span_s:.1f} s"


async def move_a_clock(stage: Stage, source: random.Random, span_s: float) -> str:
    slot = _any_slot(stage, source)
    if slot.clock is None:
        return "no clock was moved: that needs a C compiler"
    ahead_s = max(source.uniform(-MOST_WRONG_S, MOST_WRONG_S), stage.opened_at - time.monotonic())
    slot.clock.move(ahead_s)
    await asyncio.sleep(span_s)
    slot.clock.move(0)
    return f"the clock of {slot.name} moved by {ahead_s:+.1f} s for {span_s:.1f} s"


async def slow_links(stage: Stage, source: random.Random, span_s: float) -> str:
    delay_s = source.uniform(0, SLOW_S)
    for link in stage.links():
        link.delay_s = delay_s
    await asyncio.sleep(span_s)
    for link in stage.links():
        link.delay_s = 0.0
    return f"every link slowed by {1000 * delay_s:.0f} ms for {span_s:.1f} s"


async def cut_a_way_in(stage: Stage, source: random.Random, span_s: float) -> str:
    name, front = source.choice([(slot.name, slot.front) for slot in stage.slots.values() if slot.front is not None])
    await front.refuse()
    await asyncio.sleep(span_s)
    front.release()
    return f"nobody could reach {name} for {span_s:.1f} s"


async def fill_the_disk(stage: Stage, _source: random.Random, span_s: float) -> str:
    if not stage.servers.has_own_disk:
        return "the disk was not filled: that needs root"
    await asyncio.to_thread(stage.servers.fill_disk)
    await asyncio.sleep(span_s)
    await stage.servers.empty_disk()
    return f"the disk of PostgreSQL full for {span_s:.1f} s"


TROUBLES: Final[tuple[tuple[int, Trouble], ...]] = (
    (3, kill_one),
    (1, kill_all),
    (3, freeze_one),
    (1, freeze_postgres),
    (1, freeze_redis),
    (1, crash_postgres),
    (1, kill_a_backend),
    (1, crash_redis),
    (1, flush_redis),
    (2, cut_a_link),
    (2, hold_a_link),
    (2, pull_a_cable),
    (2, move_a_clock),
    (1, slow_links),
    (2, cut_a_way_in),
    (1, fill_the_disk),
)
FAILPOINT_WEIGHT: Final = 20
IMPATIENCE: Final = 0.25
RECOVERY_S: Final = 20.0
LOOK_EVERY_S: Final = 0.3


class Plan:
    """The troubles of a campaign, drawn from its seed."""

    def __init__(self, seed: int) -> None:
        self._source = random.Random(seed)
        self.failpoints = Failpoints(random.Random(seed + 1))
        self._weights = [FAILPOINT_WEIGHT, *(weight for weight, _ in TROUBLES)]
        self._troubles: list[Trouble] = [self.failpoints.strike, *(trouble for _, trouble in TROUBLES)]
        self.done: list[str] = []

    async def run(self, stage: Stage) -> None:
        """One trouble after another, for ever. One in a few comes while the stack still suffers from the one before."""
        while True:
            await asyncio.sleep(self._source.uniform(0.2, 1.5))
            if self._source.random() >= IMPATIENCE:
                await _recovered(stage)
            [trouble] = self._source.choices(self._troubles, self._weights)
            self.done.append(await trouble(stage, self._source, self._source.uniform(0.1, 4.0)))


async def _recovered(stage: Stage) -> None:
    """Waits until everything is ready again: on a slow machine nobody would be served otherwise."""
    with suppress(TimeoutError):
        async with asyncio.timeout(RECOVERY_S):
            while not await stage.all_ready():  # noqa: ASYNC110 - other processes raise no event
                await asyncio.sleep(LOOK_EVERY_S)


async def calm(stage: Stage) -> None:
    """Undoes whatever a trouble that was interrupted left behind."""
    for link in stage.links():
        link.delay_s = 0.0
        link.release()
    for slot in stage.slots.values():
        slot.trap.armed = None
        if slot.front is not None:
            slot.front.release()
        if slot.cable is not None:
            slot.cable.plug()
        if slot.clock is not None:
            slot.clock.move(0)
        if slot.service is not None and slot.is_alive:
            slot.service.thaw()
    for pid in (stage.servers.postgres.process.pid, stage.servers.redis.process.pid):
        _resume(pid)
    await stage.servers.empty_disk()
    if stage.servers.redis.process.poll() is not None:
        await stage.servers.crash_redis()


def _resume(pid: int) -> None:
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for member in (process, *process.children(recursive=True)):
            member.resume()
