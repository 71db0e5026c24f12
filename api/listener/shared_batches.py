"""Meter values and statuses of many charge points with frames for the message log: one statement, one commit.

A batch that the database fails is tried again whole; one that its data fails is tried again message by message.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import asyncpg
import structlog

from api.charge_points import message_log, status
from api.charge_points.answers import Answer
from api.charge_points.live import last_seen_field
from api.charge_points.status import StatusRow
from api.listener.calls import Calls
from api.listener.failures import UnavailableError
from api.listener.metrics import BATCH_SIZE, FRAMES_DROPPED
from api.listener.outbox import Outbox
from api.listener.storage import Storage
from api.transactions import meter_values
from api.transactions.meter_values import ValueRow
from wire.messages import ChargePointCall, LoggedFrame

log = structlog.get_logger(__name__)

FRAME_PATIENCE_S: Final = 15.0
NOTHING: Final = Answer()

_LOG: Final = message_log.insert_sql(len(meter_values.ARRAYS) + 1)
VALUES: Final = f"with log as ({_LOG}) {meter_values.INSERT}"
_STATUSES: Final = status.upsert_sql(len(meter_values.ARRAYS) + message_log.PARAMETERS + 1)
VALUES_AND_STATUSES: Final = f"with log as ({_LOG}), stored as ({meter_values.INSERT}) {_STATUSES}"


@dataclass(slots=True)
class _Entry:
    """A CALL, and the rows that it comes to."""

    call: ChargePointCall
    values: list[ValueRow]
    status: StatusRow | None = None


@dataclass(slots=True)
class _Round:
    """What one statement writes: no connector has two statuses in it."""

    entries: list[_Entry] = field(default_factory=list)
    frames: list[LoggedFrame] = field(default_factory=list)

    @property
    def statuses(self) -> list[StatusRow]:
        return [entry.status for entry in self.entries if entry.status is not None]


class SharedBatches:
    """Writes batches, then answers."""

    def __init__(self, storage: Storage, outbox: Outbox, calls: Calls) -> None:
        self._storage = storage
        self._outbox = outbox
        self._calls = calls

    async def write(self, batch: Sequence[ChargePointCall | LoggedFrame]) -> None:
        """Commits and answers the batch."""
        frames = [message for message in batch if isinstance(message, LoggedFrame)]
        now = time.time()
        calls = [message for message in batch if isinstance(message, ChargePointCall)]
        good, suspect = _read([call for call in calls if now < call.deadline or await self._calls.in_time(call)])
        BATCH_SIZE.observe(len(batch))
        for round_ in _rounds(good, frames):
            suspect += await self._write(round_)
        await asyncio.gather(*(self._calls.process(call) for call in suspect))

    async def _write(self, round_: _Round) -> list[ChargePointCall]:
        """Writes until it is done; returns the calls that must go alone because something in here is at fault."""
        give_up_at = time.time() + FRAME_PATIENCE_S
        while round_.entries or round_.frames:
            try:
                newer = await self._insert(round_)
            except UnavailableError:
                round_ = await self._still_wanted(round_, give_up_at)
                continue
            except Exception as error:  # noqa: BLE001 - each message goes alone next, where its failure is reported
                size = len(round_.entries) + len(round_.frames)
                log.warning("a batch failed on its data", size=size, error=str(error))
                return await self._without_entries(round_)
            for entry in round_.entries:
                self._calls.answer(entry.call, Answer(live=_live(entry, newer)))
            self._note_seen(round_.frames)
            break
        return []

    async def _without_entries(self, round_: _Round) -> list[ChargePointCall]:
        if not round_.entries:
            FRAMES_DROPPED.inc(len(round_.frames))
            return []
        return [entry.call for entry in round_.entries] + await self._write(_Round(frames=round_.frames))

    def _note_seen(self, frames: list[LoggedFrame]) -> None:
        """Heartbeats reach the api only as frames; they are how an idle charge point is seen."""
        heard = {frame.charge_point_id: frame for frame in frames if frame.direction == "in"}
        for charge_point_id, frame in heard.items():
            self._outbox.set_live(charge_point_id, frame.epoch, last_seen_field(frame.at))

    async def _insert(self, round_: _Round) -> set[tuple[str, int]]:
        frames = [message_log.logged(frame) for frame in round_.frames]
        conversations = [message_log.conversation(entry.call, NOTHING) for entry in round_.entries]
        rows = [row for entry in round_.entries for row in entry.values]
        log_columns = message_log.columns(frames, conversations, datetime.now(UTC))
        arguments = (*meter_values.columns(rows), *log_columns)
        statuses = round_.statuses

        async def work(connection: asyncpg.Connection) -> set[tuple[str, int]]:
            if not statuses:
                await connection.execute(VALUES, *arguments)
                return set()
            written = await connection.fetch(VALUES_AND_STATUSES, *arguments, *status.columns(statuses))
            newer = {(row["charge_point_id"], row["connector_id"]) for row in written}
            await status.apply_newer(connection, statuses, newer)
            return newer

        return await self._storage.attempt(work, one_statement=not status.ends_reservations(statuses))

    async def _still_wanted(self, round_: _Round, give_up_at: float) -> _Round:
        """What is left once the database is back: calls before their deadline, frames not too old to wait for."""
        latest = max([entry.call.deadline for entry in round_.entries], default=give_up_at)
        await self._storage.wait_until_up(latest - time.time())
        wanted = [entry for entry in round_.entries if await self._calls.in_time(entry.call)]
        if time.time() < give_up_at:
            return _Round(wanted, round_.frames)
        FRAMES_DROPPED.inc(len(round_.frames))
        return _Round(wanted)


def _read(calls: Sequence[ChargePointCall]) -> tuple[list[_Entry], list[ChargePointCall]]:
    good, suspect = [], []
    for call in calls:
        try:
            good.append(_entry(call))
        except Exception:  # noqa: BLE001 - it goes alone next, where its failure is reported
            suspect.append(call)
    return good, suspect


def _entry(call: ChargePointCall) -> _Entry:
    if call.action == "StatusNotification":
        return _Entry(call, [], status.row_of(call))
    return _Entry(call, meter_values.rows_of(call))


def _rounds(entries: Iterable[_Entry], frames: list[LoggedFrame]) -> Iterator[_Round]:
    """In their order; a connector's second status begins a new round, for it must be judged by the first."""
    round_, connectors = _Round(frames=frames), set[tuple[str, int]]()
    for entry in entries:
        connector = entry.status.connector if entry.status is not None else None
        if connector in connectors:
            yield round_
            round_, connectors = _Round(), set()
        if connector is not None:
            connectors.add(connector)
        round_.entries.append(entry)
    yield round_


def _live(entry: _Entry, newer: set[tuple[str, int]]) -> dict[str, bytes]:
    if entry.status is None:
        return meter_values.live_fields(entry.values)
    return entry.status.live if entry.status.connector in newer else {}
