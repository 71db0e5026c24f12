"""A whole simulated wallbox as one asyncio task: it connects and reconnects, boots, keeps its connectors and sessions.

Answers to the central system, a session's course and the queue's delivery live in files of their own.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from ocpp.v16 import call

from simulator.address import make_address
from simulator.admission import LocalList, Reservations
from simulator.behaviour import Behaviour
from simulator.central_system_calls import CentralSystemCalls
from simulator.charging import run_session, stop_what_lost_power
from simulator.configuration import Configuration
from simulator.connectors import Connector, Session, wait_for_event
from simulator.errands import report_progress, send_triggered
from simulator.link import Answer, Link, LinkError, OfflineError
from simulator.meter import Meter, timestamp
from simulator.network import Network
from simulator.outbox import Outbox
from simulator.profiles import Profile, Profiles, composite_schedule
from simulator.state import load_state
from simulator.visitors import receive_visitors

MODEL, VENDOR, FIRMWARE = "Simulator", "Voltuj", "1.0"
LAST_WORDS_S = 10.0
"""How long a charge point that is told to stop waits for the answers to what is still queued."""
DEFAULT_HEARTBEAT_S = 300
"""Where BootNotification answers 0, the interval is ours to choose (4.2)."""

Report = Callable[[str, dict[str, Any]], None]


def _say_nothing(event: str, details: dict[str, Any]) -> None:
    """The `on_event` of a charge point that nobody watches."""


class SimulatedChargePoint:
    """One wallbox. `run` is its life; `on_event(name, details)` hears what happens.

    Raises:
        RefusalError: the URL or the identity cannot be used.
        StateError: the state file cannot be used.
    """

    def __init__(
        self,
        url: str,
        identity: str = "",
        key: str | None = None,
        *,
        connectors: int = 1,
        behaviour: Behaviour | None = None,
        state_file: Path | None = None,
        on_event: Report = _say_nothing,
    ) -> None:
        self.address = make_address(url, identity, key)
        self.behaviour = behaviour or Behaviour()
        self.configuration = Configuration()
        self.configuration.values["NumberOfConnectors"] = str(connectors)
        self.configuration.values["MeterValueSampleInterval"] = str(round(self.behaviour.meter_interval_s))
        self.meter_interval_s = self.behaviour.meter_interval_s
        self.state = load_state(state_file)
        registers = self.state.registers_wh
        self.connectors = {n: Connector(n, Meter.at(registers.get(n, 0))) for n in range(1, connectors + 1)}
        self.profiles = Profiles()
        self.local_list = LocalList()
        self.reservations = Reservations(lambda: {n: one.status for n, one in self.connectors.items()})
        self.certificates: dict[str, dict[str, dict[str, str]]] = {}
        self.sessions_over = 0
        self._on_event = on_event
        chance = random.Random(self.behaviour.seed)
        self.network = Network(
            self.address,
            self.behaviour,
            self.configuration,
            chance=chance,
            make_link=lambda connection: CentralSystemCalls(self, connection),
            introduce=self._introduce,
            report=self.report,
        )
        self.outbox = Outbox(
            self.state,
            self.behaviour,
            self.configuration,
            accepted=self.network.accepted,
            send=self.network.request,
            report=self.report,
            chance=chance,
        )
        self.introduced = asyncio.Event()
        """Booted and its connectors announced; from then on people may come, online or not."""
        self._booted = False
        self._boot_now = asyncio.Event()
        self._heartbeat_changed = asyncio.Event()
        self.session_over = asyncio.Event()
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._crash: asyncio.Future[None] | None = None

    # --- life -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Lives until `stop` is called or the wished number of sessions is over and delivered.

        Raises:
            RefusalError: the first connection did not come about. Later ones are tried again for ever.
        """
        self._crash = asyncio.get_running_loop().create_future()
        self.spawn(self.network.keep())
        self.spawn(self.outbox.deliver())
        self.spawn(self._send_heartbeats())
        visits = self.spawn(receive_visitors(self))
        stopping = self.spawn(self._stopping.wait())
        try:
            await asyncio.wait({visits, stopping, self._crash}, return_when=asyncio.FIRST_COMPLETED)
            if self._crash.done():
                self._crash.result()
            await self._leave()
        finally:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if self._crash.done() and not self._crash.cancelled():
                self._crash.exception()

    def stop(self) -> None:
        """Asks `run` to end: sessions are stopped properly, what is queued is delivered if it can be."""
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Runs `work` beside everything else; an error in it ends `run`."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)
        return task

    def _reap(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and self._crash is not None and not self._crash.done():
            self._crash.set_exception(error)

    async def _leave(self) -> None:
        for connector in self.connectors.values():
            if connector.session is not None:
                connector.session.stop("Local")
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_S):
                running = [one.session.task for one in self.connectors.values() if one.session and one.session.task]
                if running:
                    await asyncio.wait(running)
                if self.network.accepted.is_set():
                    await self.outbox.idle.wait()
        await self.network.close()

    # --- connection ------------------------------------------------------------------------------------------------

    async def _introduce(self, link: Link) -> None:
        """BootNotification after power-up only (J 5.4), then the status of 0..n (4.2)."""
        with suppress(OfflineError):
            if not self._booted:
                await self._boot(link.request)
            self._booted = True
            self.network.accepted.set()
            stop_what_lost_power(self)
            for number in [0, *self.connectors]:
                await self.send_status(number)
            self.introduced.set()

    async def _boot(self, request: Callable[[object], Awaitable[Answer]]) -> None:
        """BootNotification until it is Accepted, at the interval that the answer gives (4.2)."""
        while True:
            self._boot_now.clear()
            interval = DEFAULT_HEARTBEAT_S
            try:
                answer = await request(
                    call.BootNotification(
                        charge_point_model=MODEL,
                        charge_point_vendor=VENDOR,
                        charge_point_serial_number=self.address.identity[:25],
                        firmware_version=FIRMWARE,
                    )
                )
            except OfflineError:
                raise
            except LinkError as error:
                self.report("call_error", action="BootNotification", error=str(error))
                interval = self.configuration.number("TransactionMessageRetryInterval")
            else:
                interval = answer.interval or DEFAULT_HEARTBEAT_S
                self.report("boot", status=answer.status, interval_s=interval)
                if answer.status == "Accepted":
                    self.configuration.values["HeartbeatInterval"] = str(interval)
                    self._heartbeat_changed.set()
                    return
            await wait_for_event(self._boot_now, interval)

    async def _boot_again(self) -> None:
        with suppress(OfflineError):
            await self._boot(self.network.request)

    async def _send_heartbeats(self) -> None:
        while True:
            await self.network.accepted.wait()
            self._heartbeat_changed.clear()
            interval = self.configuration.number("HeartbeatInterval") or DEFAULT_HEARTBEAT_S
            if not await wait_for_event(self._heartbeat_changed, interval) and self.network.accepted.is_set():
                await self.network.tell(call.Heartbeat())

    def cut_connection(self) -> None:
        """The network is gone for `offline_for_s`; the session goes on."""
        self.report("offline", for_s=self.behaviour.offline_for_s)
        self.network.cut(self.behaviour.offline_for_s)

    def lose_power(self) -> None:
        """Everything stops without a word; what is in the state survives until the next boot."""
        self.report("power_loss")
        self._power_down()
        for connector in self.connectors.values():
            if connector.session is not None and connector.session.task is not None:
                connector.session.task.cancel()
        self.network.cut(self.behaviour.power_off_for_s)

    def _power_down(self) -> None:
        self._booted = False
        self.introduced.clear()

    # --- sessions and transactions ----------------------------------------------------------------------------------

    def free_connector(self, connector_id: int | None, id_tag: str) -> Connector | None:
        """The connector that is asked for, or any, if `id_tag` could charge there now."""
        for connector in self.connectors.values():
            free = connector.status in {"Available", "Reserved"} and self.reservations.allow(connector.id, id_tag)
            if free and connector_id in {None, connector.id}:
                return connector
        return None

    def begin_session(
        self, connector: Connector, id_tag: str, *, remote: bool = False, profile: Profile | None = None
    ) -> Session:
        """Somebody comes with a card, or the central system starts a session."""
        session = Session(id_tag, remote)
        if not self.reservations.allow(connector.id, id_tag) or connector.session is not None:
            self.report("not_authorized", connector=connector.id, id_tag=id_tag)
            return session
        connector.session = session
        if profile is not None:
            self.profiles.install(connector.id, profile, charging=True)
        session.task = self.spawn(self._run_session(connector, session))
        return session

    async def _run_session(self, connector: Connector, session: Session) -> None:
        try:
            await run_session(self, connector, session)
        finally:
            connector.session = None
            self.sessions_over += 1
            self.session_over.set()
        self.apply_availability()
        await self.announce(connector)

    def session_of(self, transaction_id: int) -> Session | None:
        """The running session with this transactionId."""
        for connector in self.connectors.values():
            session = connector.session
            if session and session.transaction and session.transaction.transaction_id == transaction_id:
                return session
        return None

    def keep_register(self, connector: Connector) -> None:
        """Writes the register down, as a meter does."""
        self.state.registers_wh[connector.id] = connector.meter.register_wh
        self.state.save()

    def power_of(self, connector: Connector, started_at: datetime, now: datetime) -> int:
        """The power the car draws: what it can, or what the charging profiles allow."""
        limit = self.profiles.limit_w(connector.id, started_at, now)
        return self.behaviour.power_w if limit is None else min(limit, self.behaviour.power_w)

    # --- what the central system asks for ---------------------------------------------------------------------------

    async def announce(self, connector: Connector) -> None:
        """StatusNotification, where the status has changed and somebody hears it."""
        if self.network.accepted.is_set() and connector.announced != connector.status:
            await self.send_status(connector.id)

    async def send_status(self, connector_id: int) -> None:
        """StatusNotification of a connector, or of the charge point as a whole (0)."""
        status = "Available"
        if connector_id:
            connector = self.connectors[connector_id]
            status = connector.announced = connector.status
        self.report("status", connector=connector_id, status=status)
        now = timestamp(datetime.now(UTC))
        await self.network.tell(
            call.StatusNotification(connector_id=connector_id, error_code="NoError", status=status, timestamp=now)
        )

    def send_triggered(self, message: str, connector_id: int | None) -> None:
        """What TriggerMessage asked for (5.17)."""
        if message == "BootNotification":
            self._boot_now.set()
            if self._booted:
                self.spawn(self._boot_again())
        else:
            self.spawn(send_triggered(self, message, connector_id))

    def reset(self, reason: str) -> None:
        """Ends the sessions, drops the connection and boots again (5.14)."""
        self.spawn(self._reset(reason))

    async def _reset(self, reason: str) -> None:
        self.report("reset", kind=reason)
        sessions = [one.session for one in self.connectors.values() if one.session is not None]
        for session in sessions:
            session.stop(reason)
        tasks = [session.task for session in sessions if session.task is not None]
        if tasks:
            await asyncio.wait(tasks)
        if reason == "SoftReset":
            await self.outbox.idle.wait()
        self._power_down()
        self.network.drop()

    def plan_availability(self, connector_id: int, *, operative: bool) -> bool:
        """Notes what ChangeAvailability wants; whether a session delays it."""
        chosen = [one for one in self.connectors.values() if connector_id in {0, one.id}]
        for connector in chosen:
            connector.planned = operative
        return any(connector.session is not None for connector in chosen)

    def apply_availability(self) -> None:
        """Makes planned changes true on connectors that are free."""
        for connector in self.connectors.values():
            if connector.planned is not None and connector.session is None:
                connector.operative, connector.planned = connector.planned, None
                self.spawn(self.announce(connector))
        self.session_over.set()

    def reservations_changed(self) -> None:
        """Shows Reserved where a connector is, and looks again when the next reservation expires."""
        now = datetime.now(UTC)
        self.reservations.expire(now)
        for connector in self.connectors.values():
            connector.reserved = self.reservations.on(connector.id) is not None
            if connector.session is None:
                self.spawn(self.announce(connector))
        for reservation in self.reservations.by_id.values():
            wait_s = (reservation.expires_at - now).total_seconds()
            asyncio.get_running_loop().call_later(wait_s, self._expire_reservations)

    def _expire_reservations(self) -> None:
        if self.reservations.expire(datetime.now(UTC)):
            self.reservations_changed()

    def configuration_changed(self) -> None:
        """Takes over the intervals."""
        self.meter_interval_s = self.configuration.number("MeterValueSampleInterval") or self.behaviour.duration_s
        self._heartbeat_changed.set()

    def use_key(self, key: bytes) -> None:
        """Reconnects with the new AuthorizationKey (WP A00)."""
        self.address.key = key
        self.network.drop()

    def composite_schedule(self, connector_id: int, now: datetime, duration_s: int) -> Profile:
        """The limits of the next `duration_s` seconds in W."""

        def limit_w(second: int) -> int:
            limit = self.profiles.limit_w(connector_id, now, now + timedelta(seconds=second))
            return self.behaviour.power_w if limit is None else limit

        return composite_schedule(limit_w, duration_s, self.configuration.number("ChargingScheduleMaxPeriods"))

    def report_progress(self, action: str, steps: list[str], request_id: int | None = None) -> None:
        """Sends the statuses of an upload or an installation."""
        self.spawn(report_progress(self, action, steps, request_id))

    def report(self, event: str, **details: object) -> None:
        """Tells whoever watches, and ends a session whose idTag turned out not to be accepted (4.8)."""
        if event == "started" and details["id_tag_status"] != "Accepted":
            session = self.session_of(cast("int", details["transaction"]))
            if session is not None and self.configuration.switch("StopTransactionOnInvalidId"):
                session.stop("DeAuthorized")
        self._on_event(event, details)
