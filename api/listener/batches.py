"""Batches of handshakes and of notes, each committed together and then answered.

A batch that the database fails is tried again whole; one that its data fails is tried again message by message.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import asyncpg
import structlog

from api.charge_points.command_state import apply_outcome
from api.charge_points.connecting import connect_all, disconnect_all
from api.charge_points.knocking import remember_refusals
from api.charge_points.live import last_seen_field
from api.charge_points.sightings import note_seen
from api.listener.failures import UnavailableError
from api.listener.metrics import CONNECTS
from api.listener.outbox import Outbox
from api.listener.storage import Storage
from wire.messages import (
    CommandOutcome,
    Connect,
    ConnectOutcome,
    Disconnected,
    HandshakeRefused,
    QuirksSeen,
)

log = structlog.get_logger(__name__)

Note = Disconnected | CommandOutcome | QuirksSeen | HandshakeRefused
NOTE_PATIENCE_S: Final = 60.0
"""Notes have no deadline of their own; by then the sweeper has ended what they were about."""


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
            self._outbox.set_live(outcome.charge_point_id, outcome.epoch, last_seen_field(now.timestamp()))
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
