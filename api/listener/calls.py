"""A charge point's CALL from its arrival to its answer: tried until it is committed, set aside where it is at fault.

No failure of ours becomes a CALLERROR (DESIGN 2.3): what misses its deadline is dropped, and the gateway closes.
"""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

import asyncpg
import structlog

from api.charge_points import jobs, message_log
from api.charge_points.answers import Answer
from api.charge_points.certificates import sign_certificate
from api.charge_points.data_transfer import data_transfer
from api.charge_points.live import last_seen_field
from api.charge_points.registration import boot
from api.charge_points.security_events import security_event
from api.charge_points.status import status
from api.listener.failures import UnavailableError
from api.listener.metrics import called
from api.listener.outbox import Outbox
from api.listener.storage import Storage
from api.sharing.ocpp import authorize_call
from api.transactions.meter_values import meter_values
from api.transactions.start import lock_charge_point, start
from api.transactions.stop import stop
from api.transactions.unprocessed import keep_refused, set_aside
from wire.messages import CallOutcome, ChargePointCall

log = structlog.get_logger(__name__)

Handler = Callable[[asyncpg.Connection, ChargePointCall, datetime], Awaitable[Answer]]
HANDLERS: Final[dict[str, Handler]] = {
    "Authorize": authorize_call,
    "BootNotification": boot,
    "DataTransfer": data_transfer,
    "DiagnosticsStatusNotification": jobs.diagnostics_status,
    "FirmwareStatusNotification": jobs.firmware_status,
    "LogStatusNotification": jobs.log_status,
    "MeterValues": meter_values,
    "SecurityEventNotification": security_event,
    "SignCertificate": sign_certificate,
    "SignedFirmwareStatusNotification": jobs.signed_firmware_status,
    "StartTransaction": start,
    "StatusNotification": status,
    "StopTransaction": stop,
}
LOCKING: Final = frozenset({"StartTransaction", "StopTransaction"})
"""Done for one charge point at a time, whatever listeners it came to."""
ATTEMPTS: Final = 2
"""A message that fails alone this often is at fault itself."""


class Calls:
    """Processes CALLs one by one."""

    def __init__(self, storage: Storage, outbox: Outbox) -> None:
        self._storage = storage
        self._outbox = outbox

    async def process(self, call: ChargePointCall) -> None:
        """Commits the effect of one CALL and answers it, or drops it at its deadline."""
        failures: list[Exception] = []
        while len(failures) <= ATTEMPTS:
            if not await self.in_time(call):
                return
            try:
                answer = await self._attempt(call, failures)
            except UnavailableError:
                continue
            except Exception as error:  # noqa: BLE001 - our own bugs are set aside like bad data, and logged as such
                failures.append(error)
            else:
                self.answer(call, answer)
                return
        called(call.action, "lost").inc()
        log.error("a message could not even be set aside", **about(call), exc_info=failures[-1])

    async def in_time(self, call: ChargePointCall) -> bool:
        """Waits for the database; False, and the call is dropped, where its deadline comes first."""
        if await self._storage.wait_until_up(call.deadline - time.time()) and time.time() < call.deadline:
            return True
        called(call.action, "overdue").inc()
        log.warning("dropped past its deadline", **about(call))
        return False

    async def _attempt(self, call: ChargePointCall, failures: list[Exception]) -> Answer:
        now = datetime.now(UTC)

        async def work(connection: asyncpg.Connection) -> Answer:
            if call.action in LOCKING:
                await lock_charge_point(connection, call.charge_point_id)
            if call.refused:
                answer = await keep_refused(connection, call)
            elif len(failures) < ATTEMPTS:
                answer = await HANDLERS.get(call.action, not_supported)(connection, call, now)
            else:
                answer = await set_aside(connection, call, now, _reason(failures[-1]))
            await message_log.insert(connection, [message_log.conversation(call, answer)], now)
            return answer

        answer = await self._storage.attempt(work)
        if len(failures) >= ATTEMPTS:
            called(call.action, "set aside").inc()
            log.error("message set aside", **about(call), exc_info=failures[-1])
        return answer

    def answer(self, call: ChargePointCall, answer: Answer) -> None:
        """Sends a committed answer, and the live state that follows from it."""
        called(call.action, answer.error_code or "answered").inc()
        if answer.about:
            log.info("committed", **about(call), **answer.about)
        outcome = CallOutcome(
            call.id,
            call.charge_point_id,
            answer.payload,
            answer.error_code,
            answer.error_description,
            answer.registration,
            answer.heartbeat_interval_s,
        )
        self._outbox.publish(call.reply_to, outcome)
        seen = last_seen_field(call.received_at)
        self._outbox.set_live(call.charge_point_id, call.epoch, seen | answer.live)


async def not_supported(connection: asyncpg.Connection, call: ChargePointCall, now: datetime) -> Answer:
    """OCPP-J 4.2.3: the action is known, and not supported here."""
    return Answer(error_code="NotSupported", error_description=f"{call.action} is not supported")


def about(call: ChargePointCall) -> dict[str, object]:
    """The log fields that say which message it is."""
    return {"charge_point_id": call.charge_point_id, "action": call.action, "call_id": call.id}


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]
