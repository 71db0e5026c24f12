"""One process of the load generator: charge points that connect and speak as it is told on its standard input.

One JSON order a line in, one JSON result a line out. Closed loop: a charge point sends its next CALL when the last
one is answered. Open loop: CALLs are due at fixed times, and latency counts from the time at which one was due.
"""

import asyncio
import random
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import uvloop

from bench.traffic import SCRIPTS, Call, Script, Wallbox, identity
from bench.websocket import Link, RefusedError, upgrade

DRAIN_S: Final = 20.0
"""Longer than the gateway's own deadline: what is not answered by then never will be."""
CONNECTING_AT_ONCE: Final = 250
LONGEST_STORM_S: Final = 120.0
TRY_AGAIN_LATER: Final = 503
SPREAD: Final = 0.5
"""Who is sent away comes back after Retry-After and a random part of this much of it, so that not all come at once."""


@dataclass
class Tally:
    """What one order came to."""

    answered: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    sent_away: int = 0
    """Handshakes that were answered with 503 and tried again; the wait counts."""
    latencies_us: list[int] = field(default_factory=list)
    outstanding: int = 0
    last_answer_at: float = 0.0


class Speaker:
    """One charge point: sends what its script says, one CALL at a time."""

    def __init__(self, wallbox: Wallbox, request: bytes) -> None:
        self.wallbox = wallbox
        self.request = request
        self.link: Link | None = None
        self.tally = Tally()
        self.on_answer: Callable[[Speaker], None] | None = None
        self.due: deque[float] = deque()
        self.is_busy = False
        self._scripts: dict[str, Script] = {}
        self._answers: dict[str, bytes] = {}
        self._name = ""
        self._action = ""
        self._since = 0.0
        self._count = 0

    def begin(self, name: str, tally: Tally) -> None:
        """Speaks by that script from now on; one that it spoke by before goes on where it was."""
        self._scripts.setdefault(name, SCRIPTS[name](self.wallbox))
        self._name, self.tally = name, tally
        self.due.clear()

    def say(self, since: float) -> bool:
        """Sends the next CALL; False where the script is over."""
        call = self._next()
        if call is None or self.link is None:
            return False
        self._action, payload = call
        self._since, self.is_busy = since, True
        self._count += 1
        self.tally.outstanding += 1
        self.link.send(b'[2,"%d","%b",%b]' % (self._count, self._action.encode(), payload))
        return True

    def _next(self) -> Call | None:
        script, answer = self._scripts[self._name], self._answers.pop(self._name, None)
        try:
            return next(script) if answer is None else script.send(answer)
        except StopIteration:
            return None

    def heard(self, text: bytes) -> None:
        """Takes the answer to the outstanding CALL."""
        if not self.is_busy:
            return
        now = time.perf_counter()
        tally, self.is_busy = self.tally, False
        tally.outstanding -= 1
        tally.last_answer_at = now
        if text.startswith(b"[3,"):
            self._answers[self._name] = text[text.index(b"{") : -1]
            tally.answered[self._action] += 1
            tally.latencies_us.append(int((now - self._since) * 1e6))
        else:
            tally.errors[f"{self._action}: {text[:120].decode(errors='replace')}"] += 1
        if self.on_answer is not None:
            self.on_answer(self)

    def lost(self) -> None:
        """The connection is gone; what was outstanding stays so in the tally."""
        self.link = None
        self.tally.errors["connection lost"] += 1


class Worker:
    """The charge points of this process."""

    def __init__(self, port: int, first: int, count: int, key: str, clock_ms: int) -> None:
        self._port = port
        self._speakers = [
            Speaker(Wallbox(number, clock_ms), upgrade(identity(number), identity(number), key))
            for number in range(first, first + count)
        ]

    async def connect(self, script: str) -> dict[str, Any]:
        """Connects all, and lets each speak its script to the end."""
        tally, slots, began = Tally(), asyncio.Semaphore(CONNECTING_AT_ONCE), time.perf_counter()

        async def one(speaker: Speaker) -> None:
            since = 0.0
            while True:
                async with slots:
                    since = since or time.perf_counter()
                    retry_after_s = await self._refused(speaker)
                    if retry_after_s is None:
                        await _through(speaker, script, tally)
                        break
                tally.sent_away += 1
                await asyncio.sleep(retry_after_s * random.uniform(1, 1 + SPREAD))  # noqa: S311 - spreads load
            tally.latencies_us.append(int((time.perf_counter() - since) * 1e6))

        async with asyncio.timeout(LONGEST_STORM_S):
            await asyncio.gather(*(one(speaker) for speaker in self._speakers))
        return _result(tally, began)

    async def _refused(self, speaker: Speaker) -> float | None:
        """Opens the connection; after how many seconds to come back, where it was sent away."""
        try:
            await self._open(speaker)
        except RefusedError as refused:
            if refused.status != TRY_AGAIN_LATER:
                raise
            return refused.retry_after_s
        return None

    async def _open(self, speaker: Speaker) -> None:
        loop = asyncio.get_running_loop()
        _, link = await loop.create_connection(
            lambda: Link(speaker.request, speaker.heard, speaker.lost), "127.0.0.1", self._port
        )
        await link.opened
        speaker.link = link

    async def closed_loop(self, script: str, seconds: float) -> dict[str, Any]:
        """As many messages as the answers allow."""
        tally, began = Tally(), time.perf_counter()
        end = began + seconds

        def go_on(speaker: Speaker) -> None:
            now = time.perf_counter()
            if now < end:
                speaker.say(now)

        for speaker in self._speakers:
            speaker.begin(script, tally)
            speaker.on_answer = go_on
            speaker.say(time.perf_counter())
        await asyncio.sleep(seconds)
        await _drained(tally)
        return _result(tally, began)

    async def open_loop(self, script: str, seconds: float, rate: float) -> dict[str, Any]:
        """`rate` messages a second, whatever the answers do."""
        tally = Tally()
        for speaker in self._speakers:
            speaker.begin(script, tally)
            speaker.on_answer = _say_what_is_due
        began = time.perf_counter()
        for number in range(int(rate * seconds)):
            due = began + number / rate
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            speaker = self._speakers[number % len(self._speakers)]
            speaker.due.append(due)
            if not speaker.is_busy:
                _say_what_is_due(speaker)
        await _drained(tally)
        result = _result(tally, began)
        result["unanswered"] += sum(len(speaker.due) for speaker in self._speakers)
        return result

    def close(self) -> None:
        """Cuts every connection."""
        for speaker in self._speakers:
            if speaker.link is not None:
                speaker.link.close()


def _say_what_is_due(speaker: Speaker) -> None:
    if speaker.due:
        speaker.say(speaker.due.popleft())


async def _through(speaker: Speaker, script: str, tally: Tally) -> None:
    """Speaks the script to its end."""
    done = asyncio.Event()

    def go_on(speaker: Speaker) -> None:
        if not speaker.say(time.perf_counter()):
            done.set()

    speaker.begin(script, tally)
    speaker.on_answer = go_on
    go_on(speaker)
    await done.wait()


async def _drained(tally: Tally) -> None:
    end = time.perf_counter() + DRAIN_S
    while tally.outstanding and time.perf_counter() < end:  # noqa: ASYNC110 - the load must not pay for an event
        await asyncio.sleep(0.01)


def _result(tally: Tally, began: float) -> dict[str, Any]:
    return {
        "seconds": max(tally.last_answer_at, began) - began,
        "answered": dict(tally.answered),
        "errors": dict(tally.errors),
        "sent_away": tally.sent_away,
        "unanswered": tally.outstanding,
        "latencies_us": tally.latencies_us,
    }


async def _obey(worker: Worker, order: dict[str, Any]) -> dict[str, Any]:
    if order["do"] == "connect":
        return await worker.connect(order["script"])
    if order.get("rate"):
        return await worker.open_loop(order["script"], order["seconds"], order["rate"])
    return await worker.closed_loop(order["script"], order["seconds"])


async def main() -> None:
    """Obeys until standard input ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    worker = Worker(**orjson.loads(await reader.readline()))
    while line := await reader.readline():
        result = await _obey(worker, orjson.loads(line))
        sys.stdout.buffer.write(orjson.dumps(result) + b"\n")
        sys.stdout.buffer.flush()
    worker.close()


if __name__ == "__main__":
    uvloop.run(main())
