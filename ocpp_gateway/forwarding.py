"""Gets a message of this gateway to a listener of the api and its answer back: attempts, fail-over, deadlines.

A question (ChargePointCall, Connect) is asked until it is answered or its deadline passes; a note (CommandOutcome,
Disconnected, a remark) is delivered to any listener, waiting a bounded time where none is up. No socket, no Redis.
A listener gets only as many questions as it has slots (`in_flight`); the others wait here, by rank, to their deadline.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ocpp_gateway.bus import Bus
from ocpp_gateway.in_flight import InFlight, rank
from ocpp_gateway.listeners import Listeners
from ocpp_gateway.metrics import Metrics
from ocpp_gateway.timing import Timing
from wire.messages import (
    CallOutcome,
    ChargePointCall,
    CommandOutcome,
    Connect,
    ConnectOutcome,
    Disconnected,
    HandshakeRefused,
    LoggedFrame,
    Message,
    QuirksSeen,
)

Question = ChargePointCall | Connect
Outcome = CallOutcome | ConnectOutcome
Remark = HandshakeRefused | LoggedFrame | QuirksSeen
"""Notes that are dropped where no listener is up."""
Note = CommandOutcome | Disconnected | Remark
MAX_NOTES = 20_000
"""Notes that wait for a listener; then the oldest goes. A command whose outcome is lost ends by the api's sweeper."""
MAX_MISSES = 2
"""One attempt and one retry (DESIGN 3); after that only a listener that has not been asked yet is asked."""


@dataclass(slots=True)
class _Pending:
    question: Question
    key: str
    asked_at: float
    deadline: float
    done: Callable[[Outcome | None], None]
    listener: str = ""
    """Where the attempt under way went; empty while none is."""
    attempt: int = 0
    tried: list[str] = field(default_factory=list)


class Forwarding:
    """Every question and note of one gateway that is on its way. Times are the event loop's."""

    def __init__(
        self, bus: Bus, listeners: Listeners, timing: Timing, metrics: Metrics, *, in_flight: int, waiting: int
    ) -> None:
        self.listeners = listeners
        self._in_flight = InFlight(in_flight)
        self._most_waiting = waiting
        self._bus = bus
        self._timing = timing
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._pending: dict[str, _Pending] = {}
        self._attempts: deque[tuple[float, str, int]] = deque()
        """(when it is over, question, its attempt), in order of time since every attempt is equally long."""
        self._watched: dict[str, _Pending] = {}
        """Questions whose deadline no attempt ends in time: nobody is up, all have missed, or it is near."""
        self._notes: deque[Note] = deque()

    def ask(self, question: Question, key: str, wait_s: float, done: Callable[[Outcome | None], None]) -> bool:
        """Calls `done` once, later: with the outcome, or with None when `wait_s` is over. False where it must wait.

        `key` (the charge point) picks the listener, so that everything of one charge point goes to the same.
        """
        now = self._loop.time()
        pending = _Pending(question, key, now, now + wait_s, done)
        self._pending[question.id] = pending
        self._attempt(pending, now)
        return bool(pending.listener)

    @property
    def is_saturated(self) -> bool:
        """Whether so many questions wait for a slot that nobody new should be let in."""
        return self._in_flight.waiting >= self._most_waiting

    def tell(self, note: Note) -> None:
        """Delivers `note` to a listener, now or when one is up."""
        key = note.identity if isinstance(note, HandshakeRefused) else note.charge_point_id
        channel = self.listeners.choose(key, self._loop.time())
        if channel is None or not self._bus.send(channel, note):
            self._keep(note)

    def answered(self, outcome: Outcome) -> None:
        """An outcome came back; one that nobody waits for any more is dropped. Its slot goes to whose turn it is."""
        pending = self._pending.pop(outcome.id, None)
        self._in_flight.give_up(outcome.id)
        for channel in self._in_flight.release(outcome.id):
            self._fill(channel)
        if pending is None:
            return
        self._watched.pop(outcome.id, None)
        self._metrics.traffic.took(self._loop.time() - pending.asked_at)
        pending.done(outcome)

    def unheard(self, channel: str, messages: list[Message]) -> None:
        """A PUBLISH reached nobody: that listener is gone, or Redis is; another is taken at once."""
        self.listeners.lost(channel)
        now = self._loop.time()
        for message in messages:
            if isinstance(message, ChargePointCall | Connect):
                self._in_flight.unheard(channel, message.id)
                pending = self._pending.get(message.id)
                if pending is not None and pending.listener == channel:
                    self._attempt(pending, now)
            elif isinstance(message, Note):
                self._keep(message)
        self._move([channel], now)

    def members(self, channels: list[str]) -> None:
        """Redis was asked who is up: what waits for a listener starts again."""
        self.listeners.replace(channels)
        self._metrics.listeners.set(len(self.listeners))
        now = self._loop.time()
        self._metrics.avoided.set(self.listeners.avoided(now))
        self._move([channel for channel in self._in_flight.awaited if channel not in self.listeners], now)
        if not len(self.listeners):
            return
        idle = [pending for pending in self._watched.values() if not pending.listener]
        for pending in sorted(idle, key=lambda pending: rank(pending.question)):
            if not self._in_flight.waits(pending.question.id):
                self._attempt(pending, now)
        notes, self._notes = self._notes, deque()
        for note in notes:
            self.tell(note)

    def tick(self) -> None:
        """Ends the attempts and the questions whose time is over."""
        now = self._loop.time()
        missed: set[str] = set()
        while self._attempts and self._attempts[0][0] <= now:
            _, question_id, attempt = self._attempts.popleft()
            pending = self._pending.get(question_id)
            if pending is not None and pending.listener and pending.attempt == attempt:
                missed.add(pending.listener)
                self.listeners.missed(pending.listener, now)
                pending.tried.append(pending.listener)
                self._metrics.misses.inc()
                self._attempt(pending, now)
        for pending in [pending for pending in self._watched.values() if pending.deadline <= now]:
            self._expire(pending)
        if len(self.listeners) > 1:
            self._move(missed, now)
        for channel in self._in_flight.overdue(now):
            self._fill(channel)
        self._metrics.in_flight.set(len(self._in_flight))
        self._metrics.waiting.set(self._in_flight.waiting)

    def abandon(self, question_id: str) -> None:
        """Nobody waits for this answer any more; where a listener has the question, its slot stays taken."""
        self._pending.pop(question_id, None)
        self._watched.pop(question_id, None)
        self._in_flight.give_up(question_id)

    @property
    def open_questions(self) -> int:
        """How many questions have no answer yet."""
        return len(self._pending)

    @property
    def waiting_notes(self) -> int:
        """How many notes wait for a listener."""
        return len(self._notes)

    def _attempt(self, pending: _Pending, now: float) -> None:
        """Asks the next listener; without one that makes sense the question waits for the members to change."""
        if pending.deadline <= now:
            self._expire(pending)
            return
        channel = self.listeners.choose(pending.key, now, pending.tried)
        again = channel in pending.tried
        if channel is None or (again and len(pending.tried) >= MAX_MISSES) or not self._send(pending, channel, now):
            pending.listener = ""
            self._watched[pending.question.id] = pending

    def _send(self, pending: _Pending, channel: str, now: float) -> bool:
        question = pending.question
        if not self._in_flight.take(channel, question.id, pending.deadline):
            self._in_flight.wait(channel, question.id, rank(question))
            return False
        if not self._bus.send(channel, question):
            self._in_flight.unheard(channel, question.id)
            return False
        over = now + self._timing.attempt_s
        pending.listener = channel
        pending.attempt += 1
        if pending.attempt > 1:
            self._metrics.retries.inc()
        if over > pending.deadline:
            self._watched[pending.question.id] = pending
        else:
            self._watched.pop(pending.question.id, None)
        self._attempts.append((over, pending.question.id, pending.attempt))
        return True

    def _fill(self, channel: str) -> None:
        """Whose turn it is takes the slots that are free."""
        now = self._loop.time()
        while (question_id := self._in_flight.next(channel)) is not None:
            self._attempt(self._pending[question_id], now)

    def _move(self, channels: Iterable[str], now: float) -> None:
        """Who waits for one of these listeners is told where to go now."""
        for question_id in self._in_flight.leave(channels):
            self._attempt(self._pending[question_id], now)

    def _expire(self, pending: _Pending) -> None:
        self._metrics.expired.inc()
        self.abandon(pending.question.id)
        self._loop.call_soon(pending.done, None)

    def _keep(self, note: Note) -> None:
        if isinstance(note, Remark) or len(self._notes) >= MAX_NOTES:
            self._metrics.dropped.labels(type(note).__name__).inc()
            return
        self._notes.append(note)
