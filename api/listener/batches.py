"""Batches: meter values with the message log, handshakes, and notes, each committed together and then answered.

A batch that the database fails is tried again whole; one that its data fails is tried again message by message.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import asyncpg
import structlog

from api.charge_points import message_log
from api.charge_points.answers import Answer
from api.charge_points.command_state import apply_outcome
from api.charge_points.connecting import connect_all, disconnect_all
from api.charge_points.knocking import remember_refusals
from api.charge_points.live import last_seen_field
from api.charge_points.sightings import note_seen
from api.listener.calls import Calls
from api.listener.failures import UnavailableError
from api.listener.metrics import BATCH_SIZE, CONNECTS, FRAMES_DROPPED
from api.listener.outbox import Outbox
from api.listener.storage import Storage
from api.transactions.meter_values import ValueRow, insert_batch, live_fields, rows_of
from wire.messages import (
    ChargePointCall,
    CommandOutcome,
    Connect,
    ConnectOutcome,
    Disconnected,
    HandshakeRefused,
    LoggedFrame,
    QuirksSeen,
)

log = structlog.get_logger(__name__)

Note = Disconnected | CommandOutcome | QuirksSeen | HandshakeRefused
NOTE_PATIENCE_S: Final = 60.0
"""Notes have no deadline of their own; by then the sweeper has ended what they were about."""
FRAME_PATIENCE_S: Final = 15.0
NOTHING: Final = Answer()


class MeterValueBatches:
    """MeterValues of many charge points and frames for the log: one statement, one commit, then all answers."""

    def __init__(self, storage: Storage, outbox: Outbox, calls: Calls) -> None:
        self._storage = storage
        self._outbox = outbox
        self._calls = calls

    async def write(self, batch: Sequence[ChargePointCall | LoggedFrame]) -> None:
        """Commits and answers the batch."""
        frames = [message for message in batch if isinstance(message, LoggedFrame)]
        good, suspect = _read([message for message in batch if isinstance(message, ChargePointCall)])
        BATCH_SIZE.observe(len(batch))
        suspect += await self._write(good, frames)
        await asyncio.gather(*(self._calls.process(call) for call in suspect))

    async def _write(
        self, good: list[tuple[ChargePointCall, list[ValueRow]]], frames: list[LoggedFrame]
    ) -> list[ChargePointCall]:
        """Writes until it is done; returns the calls that must go alone because something in here is at fault."""
        give_up_at = time.time() + FRAME_PATIENCE_S
        while good or frames:
            try:
                await self._insert(good, frames)
            except UnavailableError:
                good, frames = await self._still_wanted(good, frames, give_up_at)
                continue
            except Exception as error:  # noqa: BLE001 - each message goes alone next, where its failure is reported
                log.warning("a batch failed on its data", size=len(good) + len(frames), error=str(error))
                FRAMES_DROPPED.inc(len(frames) if not good else 0)
                return [call for call, _ in good] + (await self._write([], frames) if good else [])
            for call, rows in good:
                self._calls.answer(call, Answer(live=live_fields(rows)))
            self._note_seen(frames)
            break
        return []

    def _note_seen(self, frames: list[LoggedFrame]) -> None:
        """Heartbeats reach the api only as frames; they are how an idle charge point is seen."""
        heard = {frame.charge_point_id: frame for frame in frames if frame.direction == "in"}
        for charge_point_id, frame in heard.items():
            seen = last_seen_field(datetime.fromtimestamp(frame.at, UTC))
            self._outbox.set_live(charge_point_id, frame.epoch, seen)

    async def _insert(self, good: list[tuple[ChargePointCall, list[ValueRow]]], frames: list[LoggedFrame]) -> None:
        now = datetime.now(UTC)
        rows = [row for _, rows in good for row in rows]
        logged = message_log.logged(frames)
        for call, _ in good:
            logged += message_log.conversation(call, NOTHING, now)
        await self._storage.attempt(lambda connection: insert_batch(connection, rows, logged), one_statement=True)

    async def _still_wanted(
        self, good: list[tuple[ChargePointCall, list[ValueRow]]], frames: list[LoggedFrame], give_up_at: float
    ) -> tuple[list[tuple[ChargePointCall, list[ValueRow]]], list[LoggedFrame]]:
        """What is left once the database is back: calls before their deadline, frames not too old to wait for."""
        latest = max([call.deadline for call, _ in good], default=give_up_at)
        await self._storage.wait_until_up(latest - time.time())
        wanted = [entry for entry in good if await self._calls.in_time(entry[0])]
        if time.time() < give_up_at:
            return wanted, frames
        FRAMES_DROPPED.inc(len(frames))
        return wanted, []


def _read(
    calls: Sequence[ChargePointCall],
) -> tuple[list[tuple[ChargePointCall, list[ValueRow]]], list[ChargePointCall]]:
    good, suspect = [], []
    for call in calls:
        try:
            good.append((call, rows_of(call)))
        except Exception:  # noqa: BLE001 - it goes alone next, where its failure is reported
            suspect.append(call)
    return good, suspect


class ConnectBatches:
    """Handshakes that came together."""

    def __init__(self, storage: Storage, outbox: Outbox) -> None:
        self._storage = storage
        self._outbox = outbox

    async def write(self, batch: Sequence[Connect]) -> None:
        """Commits the epochs of those let in, then answers all."""
        wanted = list(batch)
        while wanted := [connect for connect in wanted if time.time() < connect.deadline]:
            now = datetime.now(UTC)
            try:
                outcomes = await self._connect(wanted, now)
            except UnavailableError:
                await self._storage.wait_until_up(max(connect.deadline for connect in wanted) - time.time())
                continue
            except Exception as error:  # noqa: BLE001 - each goes alone next, where its failure is reported
                await self._one_by_one(wanted, error)
                return
            for connect, outcome in zip(wanted, outcomes, strict=True):
                self._answer(connect, outcome, now)
            return

    async def _connect(self, wanted: Sequence[Connect], now: datetime) -> list[ConnectOutcome]:
        return await self._storage.attempt(lambda connection: connect_all(connection, wanted, now))

    async def _one_by_one(self, wanted: Sequence[Connect], error: Exception) -> None:
        if len(wanted) > 1:
            for connect in wanted:
                await self.write([connect])
            return
        log.error("a handshake could not be checked", identity=wanted[0].identity, exc_info=error)
        self._answer(wanted[0], ConnectOutcome(wanted[0].id, "refused"), datetime.now(UTC))

    def _answer(self, connect: Connect, outcome: ConnectOutcome, now: datetime) -> None:
        CONNECTS.labels(outcome.status).inc()
        self._outbox.publish(connect.reply_to, outcome)
        if outcome.status == "accepted":
            self._outbox.set_live(outcome.charge_point_id, outcome.epoch, last_seen_field(now))
            log.info("connected", charge_point_id=outcome.charge_point_id, epoch=outcome.epoch)
        else:
            log.info("connect refused", identity=connect.identity, verdict=outcome.status,
                     remote_address=connect.remote_address)  # fmt: skip


class NoteBatches:
    """What no charge point waits for: ended connections, outcomes of commands, and what gateways remark."""

    def __init__(self, storage: Storage, outbox: Outbox) -> None:
        self._storage = storage
        self._outbox = outbox

    async def write(self, batch: Sequence[Note]) -> None:
        """Commits the notes, then tells the HTTP processes that wait for commands."""
        give_up_at = time.time() + NOTE_PATIENCE_S
        while time.time() < give_up_at:
            try:
                await self._storage.attempt(lambda connection: _apply(connection, batch))
            except UnavailableError:
                await self._storage.wait_until_up(give_up_at - time.time())
                continue
            except Exception as error:  # noqa: BLE001 - each goes alone next, where its failure is reported
                await self._one_by_one(batch, error)
                return
            for note in batch:
                if isinstance(note, CommandOutcome) and note.notify:
                    self._outbox.publish(note.notify, note)
            return
        log.error("notes given up", size=len(batch))

    async def _one_by_one(self, batch: Sequence[Note], error: Exception) -> None:
        if len(batch) == 1:
            log.error("a note could not be stored", note=type(batch[0]).__name__, exc_info=error)
            return
        for note in batch:
            await self.write([note])


async def _apply(connection: asyncpg.Connection, batch: Sequence[Note]) -> None:
    ended = [note for note in batch if isinstance(note, Disconnected)]
    if ended:
        await disconnect_all(connection, ended)
    await note_seen(connection, [note for note in batch if isinstance(note, QuirksSeen)])
    await remember_refusals(connection, [note for note in batch if isinstance(note, HandshakeRefused)])
    for note in batch:
        if isinstance(note, CommandOutcome):
            await apply_outcome(connection, note)
