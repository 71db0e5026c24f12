"""One charge point's connection: asks the api to let it in, then carries out what its OCPP session decides.

No rule of OCPP lives here (`rpc`), and nothing of WebSocket (`websocket`).
"""

import asyncio
import random
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import structlog
from websockets.headers import parse_subprotocol
from websockets.http11 import Request

from ocpp_gateway import handshake, rpc
from ocpp_gateway.bus import Bus
from ocpp_gateway.forwarding import Forwarding, Outcome
from ocpp_gateway.frames import MAX_FRAME_BYTES
from ocpp_gateway.knocks import Knocks
from ocpp_gateway.message_log import MessageLog
from ocpp_gateway.metrics import Metrics
from ocpp_gateway.registry import Registry
from ocpp_gateway.remarks import Remarks
from ocpp_gateway.settings import Settings
from ocpp_gateway.timing import Timing
from ocpp_gateway.tolerance import Judged
from ocpp_gateway.websocket import Limits, Rounds, WebSocket
from wire.messages import (
    CallOutcome,
    ChargePointCall,
    ChargePointChanged,
    Command,
    CommandOutcome,
    Connect,
    ConnectOutcome,
    Disconnected,
    LoggedFrame,
    Tolerance,
)

log = structlog.get_logger(__name__)

REPLACED: Final = (1008, "a newer connection of this charge point replaced this one")
CHANGED: Final = (1008, "access of this charge point changed")
UNAVAILABLE: Final = (1013, "try again later")
RESTART: Final = (1012, "service restart")
TRY_AGAIN: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


@dataclass(slots=True)
class Services:
    """What every connection of one gateway shares."""

    settings: Settings
    timing: Timing
    bus: Bus
    forwarding: Forwarding
    registry: Registry
    message_log: MessageLog
    remarks: Remarks
    metrics: Metrics
    sockets: "set[Connection]" = field(default_factory=set)
    draining: bool = False
    rounds: Rounds = field(init=False)
    knocks: Knocks = field(init=False)

    def __post_init__(self) -> None:
        self.knocks = Knocks(self.settings.gateway_handshakes_per_minute)
        limits = Limits(
            handshake_s=self.timing.handshake_s,
            close_s=self.timing.close_s,
            ping_s=self.settings.gateway_ping_interval_s,
            silence_pings=self.timing.silence_pings,
            max_frame_bytes=MAX_FRAME_BYTES,
            subprotocol=handshake.SUBPROTOCOL,
        )
        self.rounds = Rounds(limits)

    @property
    def can_ask(self) -> bool:
        """Whether an answer of the api can be hoped for."""
        return self.bus.subscribed and len(self.forwarding.listeners) > 0

    @property
    def is_saturated(self) -> bool:
        """Whether those who are here are as many as can be served."""
        return self.forwarding.is_saturated or len(self.sockets) > self.settings.gateway_most_connections


class Connection(WebSocket):
    """`epoch` is 0 and `session` None until the api has let it in."""

    def __init__(self, services: Services) -> None:
        super().__init__(services.rounds)
        self.charge_point_id = ""
        self.identity = ""
        self.address = ""
        """The charge point's own, also behind a proxy."""
        self.epoch = 0
        self.since = 0.0
        self.session: rpc.Session | None = None
        self._services = services
        self._call_id = ""
        self._held_back = False
        """Its CALL had to wait for a slot: the socket is not read until that CALL is answered."""
        self._command_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A TCP connection."""
        super().connection_made(transport)
        self._services.sockets.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._services.sockets.discard(self)
        super().connection_lost(exc)

    # --- handshake ---

    def on_request(self, request: Request) -> None:
        """J 3: what can be judged without the api is judged at once, the rest by the api."""
        headers = request.headers
        prefix = self._services.settings.gateway_path_prefix
        self.address, secure = self._origin(request)
        self.identity = handshake.identity_of(request.path, prefix) or ""
        if not self._services.knocks.admits(self.address, self.identity, self._loop.time()):
            self._refuse(handshake.TOO_OFTEN)
            return
        offered = [name for value in headers.get_all("Sec-WebSocket-Protocol") for name in parse_subprotocol(value)]
        verdict = handshake.check(request.path, offered, headers.get_all("Authorization"), prefix=prefix)
        if isinstance(verdict, handshake.Refusal):
            self._refuse(verdict)
            self._tell_refused(verdict)
        elif self._services.draining or not self._services.can_ask:
            self._refuse(handshake.UNAVAILABLE)
        elif self._services.is_saturated:
            self._refuse(handshake.SATURATED)
        else:
            shown = (headers.get_all("X-Client-Verify"), headers.get_all("X-Client-Certificate"))
            trusted = self._services.settings.gateway_trusted_proxies
            certificate = handshake.client_certificate(self.peer, *shown, trusted)
            self._ask_to_connect(verdict, self.address, secure=secure, certificate=certificate)

    def _origin(self, request: Request) -> tuple[str, bool]:
        headers = request.headers
        forwarded = (headers.get_all("X-Forwarded-For"), headers.get_all("X-Forwarded-Proto"))
        return handshake.origin(self.peer, *forwarded, self._services.settings.gateway_trusted_proxies)

    def _tell_refused(self, refusal: handshake.Refusal) -> None:
        """So that its owner can be told why it does not come in."""
        if self.identity:
            self._services.remarks.refused(self.identity, refusal.result, self.address)

    def on_refused(self, status: int) -> None:
        """Counted only."""
        self._services.metrics.handshakes.labels("no_websocket").inc()

    def _ask_to_connect(self, knock: handshake.Knock, address: str, *, secure: bool, certificate: bytes) -> None:
        now, wait_s = time.time(), self._services.timing.connect_deadline_s
        question = Connect(
            id=uuid.uuid4().hex,
            gateway_id=self._services.bus.gateway_id,
            identity=knock.identity,
            key_digests=list(knock.key_digests),
            offered_subprotocol=knock.offered_subprotocol,
            remote_address=address,
            secure=secure,
            received_at=now,
            deadline=now + wait_s,
            reply_to=self._services.bus.inbox,
            client_certificate=certificate,
        )
        self._services.forwarding.ask(question, knock.identity, wait_s, self._on_connect_outcome)

    def _on_connect_outcome(self, outcome: Outcome | None) -> None:
        accepted = isinstance(outcome, ConnectOutcome) and outcome.status == "accepted"
        if isinstance(outcome, ConnectOutcome) and accepted:
            self._let_in(outcome)
        elif isinstance(outcome, ConnectOutcome):
            self._refuse(handshake.REFUSALS.get(outcome.status, handshake.REFUSALS["refused"]))
        else:
            self._refuse(handshake.UNAVAILABLE)
        self.flush()

    def _let_in(self, outcome: ConnectOutcome) -> None:
        """The api has given it an epoch, so that its end must be told even where it never began."""
        self.charge_point_id, self.epoch, self.since = outcome.charge_point_id, outcome.epoch, time.time()
        if not self.is_waiting or self._services.draining or not self._services.registry.admit(self):
            self._tell_disconnected("gone before it was let in")
            self._refuse(handshake.UNAVAILABLE)
            return
        timeout_s = self._services.timing.command_s
        self.session = rpc.Session(outcome.registration, outcome.quirks, command_timeout_s=timeout_s)
        self.be_patient(outcome.heartbeat_interval_s)
        self.accept()
        self._services.metrics.handshakes.labels("accepted").inc()
        log.info("connected", identity=self.identity, charge_point_id=self.charge_point_id, epoch=self.epoch)

    def _refuse(self, refusal: handshake.Refusal) -> None:
        is_later = refusal.status in TRY_AGAIN
        if not is_later:
            self._services.knocks.failed(self.address, self.identity, self._loop.time())
        if self.is_waiting:
            if refusal.status == HTTPStatus.SERVICE_UNAVAILABLE:
                self._services.knocks.give_back(self.address, self._loop.time())
            again = (handshake.retry_after(random.random()),) if is_later else ()  # noqa: S311 - spreads load only
            self.refuse(refusal.status, refusal.text, (*refusal.headers, *again))
            self._services.metrics.handshakes.labels(refusal.result).inc()
            log.info("refused", identity=self.identity, peer=self.peer, status=refusal.status, reason=refusal.result)

    # --- the session's effects ---

    def on_text(self, data: bytes) -> None:
        """A frame of the charge point."""
        if self.session is not None:
            self._carry_out(self.session.receive(data, time.time()))

    def wants_more(self) -> bool:
        """As the session says, and nothing while its CALL waits for its turn with all the others'."""
        return not self._held_back and (self.session is None or self.session.wants_more)

    def _carry_out(self, effects: Iterable[rpc.Effect]) -> None:
        metrics = self._services.metrics
        for effect in effects:
            if isinstance(effect, rpc.Send):
                self.send_text(effect.frame)
                metrics.sent()
                if effect.error_code:
                    metrics.call_errors.labels(effect.error_code).inc()
            elif isinstance(effect, rpc.Forward):
                metrics.received(effect.call.action)
                self._forward(effect)
            elif isinstance(effect, rpc.Note):
                self._note(effect)
            elif isinstance(effect, rpc.Seen):
                self._services.remarks.seen(self.charge_point_id, self.epoch, effect.quirks)
            elif isinstance(effect, CommandOutcome):
                self._tell_command_outcome(effect)
            else:
                self.close(effect.code, effect.reason)

    def _forward(self, effect: rpc.Forward) -> None:
        wait_s = self._services.timing.call_deadline_s
        call, flaw = effect.call, effect.flaw
        self._call_id = f"{self.epoch}-{effect.sequence}"
        question = ChargePointCall(
            id=self._call_id,
            charge_point_id=self.charge_point_id,
            epoch=self.epoch,
            sequence=effect.sequence,
            message_id=call.message_id,
            action=call.action,
            payload=call.payload,
            received_at=effect.received_at,
            deadline=time.time() + wait_s,
            reply_to=self._services.bus.inbox,
            refused=flaw.code if flaw is not None else "",
            refused_description=flaw.description if flaw is not None else "",
            tolerance=_tolerance(effect.judged),
        )
        sent = self._services.forwarding.ask(question, self.charge_point_id, wait_s, self._on_call_outcome)
        self._held_back = not sent

    def _on_call_outcome(self, outcome: Outcome | None) -> None:
        """Without an outcome we cannot process, which is no CALLERROR: it keeps the message and comes back."""
        self._call_id, self._held_back = "", False
        if self.session is None or not self.is_open:
            return
        if isinstance(outcome, CallOutcome):
            if outcome.heartbeat_interval_s:
                self.be_patient(outcome.heartbeat_interval_s)
            self._carry_out(self.session.answered(outcome, time.time()))
            self.read_on()
        else:
            self.close(*UNAVAILABLE)
        self.flush_soon()

    def _note(self, note: rpc.Note) -> None:
        if note.direction == "in":
            self._services.metrics.received(note.action)
        frame = LoggedFrame(self.charge_point_id, self.epoch, time.time(), note.direction, note.frame, note.note)
        self._services.message_log.add(frame)

    def _tell_command_outcome(self, outcome: CommandOutcome) -> None:
        self._services.metrics.commands.labels(outcome.status).inc()
        self._services.forwarding.tell(outcome)

    # --- what the api wants ---

    def command(self, command: Command) -> None:
        """Sends a CALL of ours, or lets it wait for its turn."""
        if self.session is not None:
            self._carry_out(self.session.command(command, time.time()))
            self.flush()
            self._set_command_timer()

    def changed(self, message: ChargePointChanged) -> None:
        """Its registration, intervals or quirks changed, or it may stay no longer."""
        if message.close:
            self.close(*CHANGED)
            self.flush()
        elif self.session is not None:
            self.session.registration = message.registration or self.session.registration
            if message.quirks is not None:
                self.session.quirks = frozenset(message.quirks)
            if message.heartbeat_interval_s:
                self.be_patient(message.heartbeat_interval_s)

    def supersede(self) -> None:
        """A newer connection of the same charge point is there."""
        self.close(*REPLACED)
        self.flush()

    def _set_command_timer(self) -> None:
        if self._command_timer is not None:
            self._command_timer.cancel()
            self._command_timer = None
        deadline = self.session.next_deadline if self.session is not None and self.is_open else None
        if deadline is not None:
            self._command_timer = self._loop.call_later(max(0.001, deadline - time.time()), self._command_tick)

    def _command_tick(self) -> None:
        if self.session is not None and self.is_open:
            self._carry_out(self.session.tick(time.time()))
            self.flush()
            self._set_command_timer()

    # --- the end ---

    def drain(self) -> None:
        """Takes no new CALL; one that is with the api is still answered."""
        if self.session is not None:
            self.session.drain()
        self._refuse(handshake.UNAVAILABLE)
        self.flush()

    def restart(self) -> None:
        """The gateway stops."""
        if self.is_open:
            self.close(*RESTART)
            self.flush()
        elif self.session is None:
            self.abort()

    def on_end(self, reason: str, code: int) -> None:
        """Tells the rest of the house, once."""
        if self.session is None:
            return
        if self._command_timer is not None:
            self._command_timer.cancel()
        self._services.metrics.closes.labels(str(code) if code else "peer").inc()
        self._services.registry.leave(self)
        self._services.forwarding.abandon(self._call_id)
        for outcome in self.session.end(time.time()):
            self._tell_command_outcome(outcome)
        self._tell_disconnected(reason)
        about = {"identity": self.identity, "charge_point_id": self.charge_point_id, "epoch": self.epoch}
        log.info("disconnected", **about, reason=reason)

    def _tell_disconnected(self, reason: str) -> None:
        self._services.forwarding.tell(Disconnected(self.charge_point_id, self.epoch, time.time(), reason))


def _tolerance(judged: Judged) -> Tolerance | None:
    if not (judged.notes or judged.repaired):
        return None
    return Tolerance(judged.original, list(judged.notes), list(judged.suggested), judged.repaired)
