"""OCPP-J session of one connection: who may send what next, in both directions. Pure: frames and `now` in, effects out.

It knows neither sockets nor Redis; `connection` carries out its effects in order. `now` is Unix seconds.
"""

from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from ocpp_gateway import frames, tolerance, validation
from ocpp_gateway.frames import Call, CallError, CallResult, Unreadable
from ocpp_gateway.tolerance import Judged
from ocpp_gateway.validation import TRANSACTION_RELATED, Flaw
from wire.messages import CallOutcome, Command, CommandOutcome
from wire.quirks import STATUS_BEFORE_BOOT, ZOMBIE_LINK

MAX_WAITING_CALLS: Final = 16
"""CALLs that a charge point sends without waiting for answers; beyond them its socket is not read (J 4.1.1)."""
MAX_WAITING_BYTES: Final = 256 * 1024
"""The same for what they weigh; the last of them may exceed it."""
MAX_WAITING_COMMANDS: Final = 32
MAX_UNREADABLE_IN_A_ROW: Final = 10
MOST_UNANSWERED: Final = 2
"""Commands in a row that time out while the charge point goes on talking: then it does not hear us."""


class Send(msgspec.Struct, frozen=True):
    """Write this frame to the socket."""

    frame: bytes
    error_code: str = ""
    """The code, where it is a CALLERROR."""


class Forward(msgspec.Struct, frozen=True):
    """Hand this CALL to the api and come back with `answered`."""

    judged: Judged
    sequence: int
    received_at: float

    @property
    def call(self) -> Call:
        """The CALL, repaired where a quirk allows it."""
        return self.judged.call

    @property
    def flaw(self) -> Flaw | None:
        """Why it will be refused all the same."""
        return self.judged.flaw


class Note(msgspec.Struct, frozen=True):
    """A frame for the message log that no forwarded CALL carries."""

    direction: Literal["in", "out"]
    frame: bytes
    action: str = ""
    """Empty for anything but a CALL."""
    note: str = ""
    """What was repaired."""


class Seen(msgspec.Struct, frozen=True):
    """Quirks that are not set would have helped."""

    quirks: tuple[str, ...]


class Close(msgspec.Struct, frozen=True):
    """End the connection."""

    code: int
    reason: str


Effect = Send | Forward | Note | Seen | Close | CommandOutcome


class _Waiting(msgspec.Struct, frozen=True):
    frame: Call | Unreadable
    data: bytes
    received_at: float
    original: bytes = b""
    notes: tuple[str, ...] = ()


class _Forwarded(msgspec.Struct, frozen=True):
    message_id: str
    flaw: Flaw | None


class Session:
    """One outstanding CALL per direction (J 4.1.1); CALLs that cross are legal."""

    def __init__(self, registration: str, quirks: Iterable[str], *, command_timeout_s: float) -> None:
        self.registration = registration
        self.quirks = frozenset(quirks)
        self._command_timeout_s = command_timeout_s
        self._sequence = 0
        self._waiting: deque[_Waiting] = deque()
        self._forwarded: _Forwarded | None = None
        self._commands: deque[Command] = deque()
        self._sent: Command | None = None
        self._sent_deadline = 0.0
        self._unreadable_in_a_row = 0
        self._unanswered = 0
        """Commands in a row that timed out."""
        self._heard = False
        """Whether a CALL came since the oldest unanswered command was sent."""
        self._draining = False

    # --- what connection asks ---

    @property
    def wants_more(self) -> bool:
        """False while so many CALLs wait that the socket should not be read."""
        if not self._waiting:
            return True
        weight = sum(len(waiting.data) for waiting in self._waiting)
        return len(self._waiting) < MAX_WAITING_CALLS and weight < MAX_WAITING_BYTES

    @property
    def is_busy(self) -> bool:
        """Whether a CALL of either side waits for its answer."""
        return self._forwarded is not None or self._sent is not None

    @property
    def next_deadline(self) -> float | None:
        """When `tick` has something to do."""
        deadlines = [command.deadline for command in self._commands]
        if self._sent is not None:
            deadlines.append(self._sent_deadline)
        return min(deadlines, default=None)

    # --- what happens ---

    def receive(self, data: bytes, now: float) -> list[Effect]:
        """A text frame of the charge point arrived."""
        frame = frames.parse(data)
        if isinstance(frame, CallResult | CallError):
            self._unreadable_in_a_row = 0
            return self._command_answered(frame, data, now)
        self._heard = True
        waiting = self._read(frame, data, now)
        if isinstance(waiting.frame, Unreadable):
            self._unreadable_in_a_row += 1
            if self._unreadable_in_a_row >= MAX_UNREADABLE_IN_A_ROW:
                return [Note("in", data, frame.action), Close(1008, "too many unreadable frames")]
            if not waiting.frame.answerable:
                return [Note("in", data)]
        else:
            self._unreadable_in_a_row = 0
        effects: list[Effect] = []
        if not self._draining:
            self._waiting.append(waiting)
            self._advance(now, effects)
        return effects

    def _read(self, frame: Call | Unreadable, data: bytes, now: float) -> _Waiting:
        """What is not JSON may be made readable by a quirk."""
        if isinstance(frame, Unreadable):
            filled = tolerance.readable(frame, self.quirks)
            if filled is not None:
                call = Call(frame.message_id, frame.action, filled.payload)
                return _Waiting(call, data, now, frame.payload, filled.notes)
        return _Waiting(frame, data, now)

    def answered(self, outcome: CallOutcome, now: float) -> list[Effect]:
        """The api committed the forwarded CALL; only now is it answered (DESIGN 2)."""
        effects: list[Effect] = []
        forwarded = self._forwarded
        if forwarded is None:
            return effects
        self._forwarded = None
        if outcome.registration:
            self.registration = outcome.registration
        effects.append(_answer(forwarded, outcome))
        self._advance(now, effects)
        return effects

    def command(self, command: Command, now: float) -> list[Effect]:
        """The api wants a CALL sent to the charge point."""
        if len(self._commands) >= MAX_WAITING_COMMANDS:
            return [_ended(command, "call_error", now, code="InternalError", description="too many commands wait")]
        effects: list[Effect] = []
        self._commands.append(command)
        self._send_next(now, effects)
        return effects

    def tick(self, now: float) -> list[Effect]:
        """Ends commands whose deadline has passed; the charge point's late answer will be dropped."""
        effects: list[Effect] = []
        if self._sent is not None and self._sent_deadline <= now:
            effects.append(_ended(self._sent, "timeout", now))
            self._note_unanswered(effects)
            self._sent = None
        late = [command for command in self._commands if command.deadline <= now]
        effects.extend(_ended(command, "timeout", now) for command in late)
        self._commands = deque(command for command in self._commands if command.deadline > now)
        self._send_next(now, effects)
        return effects

    def drain(self) -> None:
        """From now on CALLs of the charge point are left unanswered, so that it keeps them; our own are awaited."""
        self._draining = True
        self._waiting.clear()

    def end(self, now: float) -> list[CommandOutcome]:
        """The connection is gone: what became of the commands."""
        outcomes = [_ended(self._sent, "unknown", now)] if self._sent is not None else []
        outcomes += [_ended(command, "offline", now) for command in self._commands]
        self._sent, self._forwarded = None, None
        self._commands.clear()
        self._waiting.clear()
        return outcomes

    # --- the charge point's CALLs ---

    def _advance(self, now: float, effects: list[Effect]) -> None:
        while self._waiting and self._forwarded is None:
            waiting = self._waiting.popleft()
            judged = self._judge(waiting)
            if judged.suggested:
                effects.append(Seen(judged.suggested))
            self._serve(waiting, judged, now, effects)

    def _judge(self, waiting: _Waiting) -> Judged:
        frame = waiting.frame
        if self.registration != "Accepted" and isinstance(frame, Call) and not self._may_come_early(frame.action):
            return self._too_early(frame)
        judged = tolerance.judge(frame, self.quirks)
        if not waiting.notes:
            return judged
        return msgspec.structs.replace(judged, original=waiting.original, notes=waiting.notes + judged.notes)

    def _may_come_early(self, action: str) -> bool:
        """Until it is accepted, a charge point may send nothing but BootNotification (4.2, J errata 3.8)."""
        if action == "StatusNotification":
            return STATUS_BEFORE_BOOT in self.quirks
        return action == "BootNotification"

    def _too_early(self, call: Call) -> Judged:
        flaw = Flaw("SecurityError", "send a BootNotification and wait until it is accepted")
        if call.action == "StatusNotification":
            return Judged(call, flaw, suggested=(STATUS_BEFORE_BOOT,))
        return tolerance.refuse(call, flaw, self.quirks) if call.action in TRANSACTION_RELATED else Judged(call, flaw)

    def _serve(self, waiting: _Waiting, judged: Judged, now: float, effects: list[Effect]) -> None:
        call, flaw = judged.call, judged.flaw
        if flaw is not None and call.action not in TRANSACTION_RELATED:
            answer = frames.call_error_frame(call.message_id, flaw.code, flaw.description)
        elif flaw is None and call.action == "Heartbeat":
            answer = frames.call_result_frame(call.message_id, _current_time(now))
        else:
            self._forward(judged, waiting.received_at, effects)
            return
        sent = Send(answer, flaw.code if flaw is not None else "")
        note = "; ".join(judged.notes)
        effects += (Note("in", waiting.data, call.action, note), sent, Note("out", answer))

    def _forward(self, judged: Judged, received_at: float, effects: list[Effect]) -> None:
        self._sequence += 1
        self._forwarded = _Forwarded(judged.call.message_id, judged.flaw)
        effects.append(Forward(judged, self._sequence, received_at))

    # --- our CALLs ---

    def _send_next(self, now: float, effects: list[Effect]) -> None:
        if self._sent is not None or not self._commands:
            return
        command = self._commands.popleft()
        self._sent, self._sent_deadline = command, min(now + self._command_timeout_s, command.deadline)
        self._heard = self._heard and self._unanswered > 0
        frame = frames.call_frame(command.id, command.action, command.payload)
        effects += (Send(frame), Note("out", frame, command.action), _ended(command, "sent", now))

    def _note_unanswered(self, effects: list[Effect]) -> None:
        """A charge point that talks and never answers does not hear us: only a new connection helps."""
        self._unanswered += 1
        if self._unanswered < MOST_UNANSWERED or not self._heard:
            return
        self._unanswered = 0
        closes = ZOMBIE_LINK in self.quirks
        effects.append(Close(1013, "commands go unanswered") if closes else Seen((ZOMBIE_LINK,)))

    def _command_answered(self, frame: CallResult | CallError, data: bytes, now: float) -> list[Effect]:
        """An answer that nobody waits for, such as a CALLERROR of id "-1", ends nothing: noted and dropped."""
        self._unanswered = 0
        if self._sent is None or frame.message_id != self._sent.id:
            return [Note("in", data)]
        command, self._sent = self._sent, None
        outcome, note = _outcome(command, frame, now, self.quirks)
        effects: list[Effect] = [Note("in", data, note=note), outcome]
        self._send_next(now, effects)
        return effects


def _answer(forwarded: _Forwarded, outcome: CallOutcome) -> Send:
    code, description = outcome.error_code, outcome.error_description
    if not code and forwarded.flaw is not None:
        code, description = forwarded.flaw.code, forwarded.flaw.description
    if code:
        return Send(frames.call_error_frame(forwarded.message_id, code, description), code)
    return Send(frames.call_result_frame(forwarded.message_id, outcome.payload))


def _outcome(
    command: Command, frame: CallResult | CallError, now: float, quirks: frozenset[str]
) -> tuple[CommandOutcome, str]:
    """How the charge point answered, and what was repaired in it.

    A CALLRESULT that does not fit its schema ends the command all the same.
    """
    if isinstance(frame, CallError):
        return _ended(command, "call_error", now, code=frame.code, description=frame.description), ""
    flaw = validation.result_flaw(command.action, frame.payload)
    if flaw is None:
        return _ended(command, "result", now, payload=frame.payload), ""
    repaired = tolerance.repaired_result(command.action, frame.payload, quirks)
    if repaired is not None:
        return _ended(command, "result", now, payload=repaired.payload), "; ".join(repaired.notes)
    code, description = "FormationViolation", f"{flaw.code}: {flaw.description}"
    return _ended(command, "call_error", now, payload=frame.payload, code=code, description=description), ""


def _ended(
    command: Command,
    status: Literal["sent", "result", "call_error", "offline", "timeout", "unknown"],
    now: float,
    *,
    payload: bytes = b"",
    code: str = "",
    description: str = "",
) -> CommandOutcome:
    return CommandOutcome(
        command.id, command.charge_point_id, status, now, payload, code, description, notify=command.notify
    )


def _current_time(now: float) -> bytes:
    """4.6; times that we send end in Z."""
    moment = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
    return b'{"currentTime":"%bZ"}' % moment.encode()
