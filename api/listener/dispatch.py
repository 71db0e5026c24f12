"""Where each message that arrives goes: to its charge point's lane, or to a batch. It commits and answers nothing."""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from api.listener.batches import ConnectBatches, Note, NoteBatches
from api.listener.calls import Calls
from api.listener.drain import Drain
from api.listener.group_commits import MOST, GroupCommits, is_grouped
from api.listener.lanes import Lanes
from api.listener.metrics import FRAMES_DROPPED, NOTES_DROPPED
from api.listener.outbox import Outbox
from api.listener.shared_batches import SharedBatches
from api.listener.storage import Storage
from wire.messages import (
    ChargePointCall,
    CommandOutcome,
    Connect,
    Disconnected,
    HandshakeRefused,
    LoggedFrame,
    Message,
    QuirksSeen,
)

log = structlog.get_logger(__name__)

GROUPS_AT_ONCE: Final = 3
FOR_BATCHES: Final = 3 + GROUPS_AT_ONCE
"""Connections that messages going alone leave to the groups and the three kinds of batches."""
MOST_FRAMES: Final = 10_000
"""Frames for the log that may wait; nobody waits for them, so what is above is dropped and counted."""
MOST_FRAME_BYTES: Final = 32 * 1024 * 1024
MOST_NOTES: Final = 20_000
"""Remarks of gateways that may wait; a gateway that dies makes none either, so nothing depends on one."""
IDLE_POLL_S: Final = 0.01


class Dispatch:
    """Takes what the inbox receives and sees it through."""

    def __init__(self, storage: Storage, outbox: Outbox, pool_size: int) -> None:
        self._calls = Calls(storage, outbox)
        self._shared = SharedBatches(storage, outbox, self._calls)
        self._outbox = outbox
        self._lanes = Lanes(self._batch, self._alone)
        self._grouping = GroupCommits(storage, self._calls)
        self._groups = Drain(self._write_group, largest=MOST, writers=GROUPS_AT_ONCE)
        self._batches: Drain[ChargePointCall | LoggedFrame] = Drain(self._write_batch)
        self._connects: Drain[Connect] = Drain(ConnectBatches(storage, outbox).write)
        self._notes: Drain[Note] = Drain(NoteBatches(storage, outbox).write)
        self._slots = asyncio.Semaphore(max(1, pool_size - FOR_BATCHES))
        self._tasks: set[asyncio.Task[None]] = set()
        self._frame_bytes = 0

    def accept(self, messages: Sequence[Message]) -> None:
        """Takes messages in the order in which they arrived."""
        for message in messages:
            if isinstance(message, ChargePointCall):
                self._lanes.accept(message)
            elif isinstance(message, LoggedFrame):
                self._accept_frame(message)
            elif isinstance(message, Connect):
                self._connects.add(message)
            elif isinstance(message, Disconnected | CommandOutcome | QuirksSeen | HandshakeRefused):
                self._accept_note(message)
            else:
                log.warning("not for a listener", type=type(message).__name__)

    def _accept_frame(self, frame: LoggedFrame) -> None:
        if len(self._batches) < MOST_FRAMES and self._frame_bytes < MOST_FRAME_BYTES:
            self._frame_bytes += len(frame.frame)
            self._batches.add(frame)
        else:
            FRAMES_DROPPED.inc()

    def _accept_note(self, note: Note) -> None:
        if len(self._notes) < MOST_NOTES:
            self._notes.add(note)
        else:
            NOTES_DROPPED.inc()

    def _batch(self, call: ChargePointCall) -> None:
        self._batches.add(call)

    async def _write_batch(self, batch: list[ChargePointCall | LoggedFrame]) -> None:
        try:
            await self._shared.write(batch)
        finally:
            for message in batch:
                if isinstance(message, ChargePointCall):
                    self._lanes.finished(message)
                else:
                    self._frame_bytes -= len(message.frame)

    async def _write_group(self, group: list[ChargePointCall]) -> None:
        left: list[ChargePointCall] = []
        try:
            left = await self._grouping.write(group)
        finally:
            left_ids = {call.id for call in left}
            for call in group:
                if call.id not in left_ids:
                    self._lanes.finished(call)
        for call in left:
            self._go_alone(call)

    def _alone(self, call: ChargePointCall) -> None:
        if is_grouped(call):
            self._groups.add(call)
        else:
            self._go_alone(call)

    def _go_alone(self, call: ChargePointCall) -> None:
        task = asyncio.create_task(self._process(call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _process(self, call: ChargePointCall) -> None:
        try:
            async with self._slots:
                await self._calls.process(call)
        finally:
            self._lanes.finished(call)

    async def run(self) -> None:
        """Runs for ever: the batches and what goes out."""
        async with asyncio.TaskGroup() as group:
            for worker in (self._batches, self._groups, self._connects, self._notes, self._outbox):
                group.create_task(worker.run())

    async def finish(self) -> None:
        """Waits until all that was accepted is committed or dropped, and its answers are out."""
        work = (self._lanes, self._batches, self._groups, self._connects, self._notes, self._outbox)
        while any(len(part) for part in work):  # noqa: ASYNC110 - six parts, and only at the end of the process
            await asyncio.sleep(IDLE_POLL_S)
