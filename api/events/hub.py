"""Who is listening in this process, and the fan-out of one event to them: encoded once, queued, never waited for.

No I/O. A subscriber whose queue is full is dropped: it is behind by more than it may be, and comes back by its last id.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

from api.events.audience import Filter, Seen, readers
from api.events.catalogue import UPDATED, Event, server_sent
from api.events.live_sessions import Update
from api.identity.caller import Caller

MOST_QUEUED: Final = 1000
"""Events that may wait for one slow client; many times a batch of the feed. Clients share the encoded events."""
MOST_QUEUED_BYTES: Final = 1024 * 1024
LARGEST_PIECE: Final = 64 * 1024
"""What is handed to a socket at once: the part of a slow client's queue that is its own copy."""
MOST_OF_ONE_USER: Final = 20
MOST: Final = 10_000
"""Streams of one process."""


class Subscriber:
    """One open stream: its bounded queue, and when it ends."""

    def __init__(self, caller: Caller, wanted: Filter, ends_at: datetime) -> None:
        self.caller = caller
        self.wanted = wanted
        self.ends_at = ends_at
        self.is_over = False
        self.is_cut = False
        self.on_cut: Callable[[], object] = lambda: None
        self._queue: deque[bytes] = deque()
        self._size = 0
        self._woken = asyncio.Event()

    def put(self, chunk: bytes) -> None:
        """Queues a chunk; one too many ends the stream."""
        if self.is_over:
            return
        self._queue.append(chunk)
        self._size += len(chunk)
        if len(self._queue) > MOST_QUEUED or self._size > MOST_QUEUED_BYTES:
            self.cut()
        self._woken.set()

    def end(self) -> None:
        """Ends the stream once what is queued is out; one that has not ended when it is told again is cut."""
        if self.is_over:
            self.cut()
        self.is_over = True
        self._woken.set()

    def cut(self) -> None:
        """Ends the stream even while a write waits for a client that does not read."""
        self._queue.clear()
        self._size = 0
        self.is_over = self.is_cut = True
        self.on_cut()
        self._woken.set()

    async def take(self, timeout_s: float) -> bytes | None:
        """The next piece of what is queued; empty after the timeout, None at the end."""
        if not self._queue and not self.is_over:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._woken.wait()
            except TimeoutError:
                return b""
        self._woken.clear()
        piece = self._next_piece()
        return piece if piece or not self.is_over else None

    def _next_piece(self) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while self._queue and size < LARGEST_PIECE:
            chunks.append(self._queue.popleft())
            size += len(chunks[-1])
        self._size -= size
        return b"".join(chunks)


class Hub:
    """The subscribers of one HTTP process, by user."""

    def __init__(self) -> None:
        self.position = 0
        self._by_user: defaultdict[UUID, set[Subscriber]] = defaultdict(set)
        self._count = 0
        self._is_closed = False

    def __len__(self) -> int:
        return self._count

    def has_room_for(self, user_id: UUID) -> bool:
        """Whether this user may open one more stream here."""
        return self._count < MOST and len(self._by_user.get(user_id, ())) < MOST_OF_ONE_USER

    def add(self, subscriber: Subscriber) -> int:
        """From now on it receives; returns the position after which that is."""
        self._by_user[subscriber.caller.user_id].add(subscriber)
        self._count += 1
        if self._is_closed:
            subscriber.end()
        return self.position

    def remove(self, subscriber: Subscriber) -> None:
        """It is gone."""
        mine = self._by_user[subscriber.caller.user_id]
        mine.discard(subscriber)
        self._count -= 1
        if not mine:
            del self._by_user[subscriber.caller.user_id]

    def has_any(self, user_ids: Iterable[UUID]) -> bool:
        """Whether one of these users is listening here."""
        return any(user_id in self._by_user for user_id in user_ids)

    def all(self) -> list[Subscriber]:
        """Every subscriber."""
        return [each for mine in self._by_user.values() for each in mine]

    def close(self) -> None:
        """Ends every stream, also those that come from now on: the process is about to end."""
        self._is_closed = True
        for subscriber in self.all():
            if not subscriber.is_over:
                subscriber.end()

    def tell(self, events: Iterable[Event], seen: Seen) -> None:
        """Hands numbered events, in their order, to everybody who may read them now and asked for them."""
        operators = [each for each in self.all() if each.caller.is_operator]
        for event in events:
            users = readers(event, seen)
            self.position = event.position
            self._send(event.type, event.charge_point_id, users, operators, _encode(event))

    def tell_live(self, update: Update, now: datetime, version: int) -> None:
        """Hands on what a running session shows now: true for a moment, and never read again."""
        operators = [each for each in self.all() if each.caller.is_operator]
        encode = partial(update.chunk, now, version)
        self._send(UPDATED, update.charge_point_id, update.readers, operators, encode)

    def _send(
        self,
        kind: str,
        charge_point_id: UUID | None,
        users: Iterable[UUID],
        operators: Iterable[Subscriber],
        encode: Callable[[], bytes],
    ) -> None:
        chunk = b""
        theirs = (each for user in users for each in self._by_user.get(user, ()) if not each.caller.is_operator)
        for subscriber in (*theirs, *operators):
            if subscriber.wanted.takes(kind, charge_point_id):
                chunk = chunk or encode()
                subscriber.put(chunk)


def _encode(event: Event) -> Callable[[], bytes]:
    return lambda: server_sent(event.type, event.envelope(), event.position)
