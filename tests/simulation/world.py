"""A charge point, a gateway's session, listeners and a database in memory, on one fake clock. What must hold is here.

Real are `ocpp_gateway.rpc`, `ocpp_gateway.listeners` and `api.transactions.replays`; the rest is the plainest model of
their surroundings. `test_world` draws what happens next.
"""

import json
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from api.accounting.plausibility import is_plausible_time
from api.transactions.replays import ACTIVE, Known, NewStart, find_replayed
from ocpp_gateway.listeners import Listeners
from ocpp_gateway.rpc import Close, Effect, Forward, Send, Session
from wire.messages import CallOutcome, Command, CommandOutcome

EPOCH_S: Final = 1_767_225_600.0
AVOID_S: Final = 10.0
COMMAND_TIMEOUT_S: Final = 30.0
RESET_CLOCK: Final = datetime(2000, 1, 1, tzinfo=UTC)
SESSION_GAP: Final = timedelta(seconds=1)
TERMINAL: Final = frozenset({"result", "call_error", "offline", "timeout", "unknown"})
CHANNELS: Final = tuple(f"api:{number}" for number in range(4))


@dataclass
class Database:
    """What listeners commit: a Start becomes a transaction, once. Decided by `find_replayed` as the api does."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    boot_count: int = 0

    def start(self, start: dict[str, Any], now: datetime) -> int:
        """The transactionId of a Start."""
        started_at = datetime.fromisoformat(start["timestamp"])
        same = [row for row in self.rows if (row["idTag"], row["meterStart"]) == (start["idTag"], start["meterStart"])]
        known = [Known(row["id"], row["at"], row["occurrence"], row["boot"], row["status"]) for row in same]
        plausible = is_plausible_time(started_at, now)
        found = find_replayed(known, started_at, is_plausible=plausible, boot_count=self.boot_count)
        if not isinstance(found, NewStart):
            return found.id
        fresh = {"id": len(self.rows) + 1, "at": started_at, "occurrence": found.occurrence, "boot": self.boot_count}
        self.rows.append({**fresh, "status": ACTIVE, "idTag": start["idTag"], "meterStart": start["meterStart"]})
        return int(self.rows[-1]["id"])

    def stop(self, transaction_id: int) -> None:
        """Ends a transaction; a second Stop changes nothing."""
        self.rows[transaction_id - 1]["status"] = "stopped"


@dataclass
class World:
    """All of it. Methods are what may happen; each checks what must hold of its effects."""

    now: float = EPOCH_S
    session: Session = field(default_factory=lambda: _session(""))
    listeners: Listeners = field(default_factory=lambda: Listeners(avoid_s=AVOID_S))
    up: set[str] = field(default_factory=lambda: set(CHANNELS[:2]))
    database: Database = field(default_factory=Database)
    queue: deque[tuple[str, str, dict[str, Any]]] = field(default_factory=deque)
    """The charge point's CALLs on this connection that are unanswered, oldest first: (id, action, payload)."""
    forwarded: Forward | None = None
    commands: dict[str, Command] = field(default_factory=dict)
    outcomes: dict[str, list[str]] = field(default_factory=dict)
    with_charge_point: deque[str] = field(default_factory=deque)
    """Commands that it was sent and has not answered."""
    closed: bool = False
    identities: Counter[str] = field(default_factory=Counter)
    sessions: dict[int, int] = field(default_factory=dict)
    """transactionId by the charge point's own number of the session."""
    charging: dict[str, Any] | None = None
    meter_wh: int = 0

    def __post_init__(self) -> None:
        self.listeners.replace(self.up)

    @property
    def clock(self) -> datetime:
        """The time, as a datetime."""
        return datetime.fromtimestamp(self.now, UTC)

    # --- the charge point ---------------------------------------------------------------------------------------

    def call(self, action: str, payload: dict[str, Any]) -> None:
        """The charge point sends a CALL, whether or not the last one is answered."""
        if self.closed or not self.session.wants_more:
            return
        name = self._name("m")
        self.queue.append((name, action, payload))
        self._effects(self.session.receive(_frame(2, name, action, payload), self.now))

    def boot(self) -> None:
        """BootNotification; it counts when it is committed."""
        self.call("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})

    def begin_session(self, *, reset_clock: bool) -> None:
        """A car comes. The Start is kept until it is answered, over any number of connections."""
        if self.charging is not None:
            return
        number = len(self.sessions) + 1
        self.meter_wh += 1
        at = RESET_CLOCK if reset_clock else self.clock
        self.sessions[number] = 0
        self.charging = {
            "number": number, "booted": self.database.boot_count,
            "start": {"connectorId": 1, "idTag": "A", "meterStart": self.meter_wh, "timestamp": _text(at)},
        }  # fmt: skip
        self.call("StartTransaction", self.charging["start"])

    def repeat_start(self) -> None:
        """The Start was not answered, or its answer is forgotten."""
        if self.charging is not None:
            self.call("StartTransaction", self.charging["start"])

    def end_session(self) -> None:
        """The car leaves: a Stop, once the transactionId is known."""
        if self.charging is None or not self.sessions[self.charging["number"]]:
            return
        transaction_id = self.sessions[self.charging["number"]]
        stop = {"transactionId": transaction_id, "meterStop": self.meter_wh, "timestamp": _text(self.clock)}
        self.call("StopTransaction", stop)
        self.charging = None
        self.now += SESSION_GAP.total_seconds()

    def say(self, frame: bytes) -> None:
        """Something that is no CALL of ours."""
        if not self.closed:
            self._effects(self.session.receive(frame, self.now))

    def answer_command(self, kind: str) -> None:
        """The charge point answers the oldest command that it has."""
        if self.closed or not self.with_charge_point:
            return
        name = self.with_charge_point.popleft()
        frames = {
            "result": _frame(3, name, {"status": "Accepted"}),
            "wrong": _frame(3, name, {"status": "Perhaps"}),
            "error": _frame(4, name, "InternalError", "", {}),
            "other": _frame(3, "nobody's", {"status": "Accepted"}),
        }
        self._effects(self.session.receive(frames[kind], self.now))

    def reconnect(self) -> None:
        """The connection ends, and the charge point is back on a new one."""
        self._effects(list(self.session.end(self.now)))
        self.queue.clear()
        self.with_charge_point.clear()
        self.forwarded, self.closed = None, False
        registration = self.session.registration
        self.session = _session(registration)
        assert all(past and past[-1] in TERMINAL for past in self.outcomes.values()), self.outcomes

    # --- the api ------------------------------------------------------------------------------------------------

    def commit(self, *, attempts: int) -> None:
        """A listener commits the forwarded CALL, `attempts` of them the same one, and the answer goes back."""
        forward = self.forwarded
        if forward is None:
            return
        answers = [self._attempt(forward) for _ in range(attempts)]
        assert len({answer.payload for answer in answers}) == 1, "two listeners answered differently"
        self.forwarded = None
        self._effects(self.session.answered(answers[0], self.now))

    def _attempt(self, forward: Forward) -> CallOutcome:
        payload = json.loads(forward.call.payload)
        registration, result = "", {}
        if forward.call.action == "BootNotification":
            registration, result = "Accepted", {"status": "Accepted", "interval": 300, "currentTime": _text(self.clock)}
        elif forward.flaw is None and forward.call.action == "StartTransaction":
            result = {"transactionId": self.database.start(payload, self.clock), "idTagInfo": {"status": "Accepted"}}
        elif forward.flaw is None and forward.call.action == "StopTransaction":
            self.database.stop(payload["transactionId"])
        return CallOutcome("1", "cp", json.dumps(result, sort_keys=True).encode(), registration=registration)

    def command(self, deadline_s: float) -> None:
        """The api wants a CALL sent."""
        if self.closed:
            return
        made = Command(self._name("c"), "cp", 1, "ClearCache", b"{}", self.now + deadline_s)
        self.commands[made.id], self.outcomes[made.id] = made, []
        self._effects(self.session.command(made, self.now))

    # --- the network and the clock ------------------------------------------------------------------------------

    def pass_time(self, seconds: float) -> None:
        """The clock goes on and the gateway looks at it."""
        self.now += seconds
        self._effects(self.session.tick(self.now))
        deadline = self.session.next_deadline
        assert deadline is None or deadline > self.now, "a deadline was let pass"

    def membership(self, up: set[str]) -> None:
        """Redis says who is up."""
        self.up = up
        self.listeners.replace(up)

    def publish(self, key: str, *, misses: bool) -> None:
        """A message for `key` goes to a listener, which may be gone or miss it."""
        chosen = self.listeners.choose(key, self.now)
        assert (chosen is None) == (not self.up)
        if chosen is None:
            return
        assert chosen in self.up
        assert self.listeners.choose(key, self.now) == chosen, "it moved without a reason"
        elsewhere = self.listeners.choose(key, self.now, tried=[chosen])
        assert elsewhere != chosen or self.up == {chosen}, "another attempt at the same listener"
        if misses:
            self.listeners.missed(chosen, self.now)
            second = self.listeners.choose(key, self.now, tried=[chosen])
            assert second in self.up
            assert second != chosen or self.up == {chosen}, "the retry went to the one that missed"
            assert self.listeners.choose(key, self.now) is not None
        assert self.listeners.avoided(self.now) <= len(self.up)
        assert self.listeners.avoided(self.now + AVOID_S) == 0

    # --- what must hold -----------------------------------------------------------------------------------------

    def _effects(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Forward):
                assert self.forwarded is None, "two CALLs are forwarded at a time (J 4.1.1)"
                self.forwarded = effect
            elif isinstance(effect, Send):
                self._sent(json.loads(effect.frame))
            elif isinstance(effect, CommandOutcome):
                self._ended(effect)
            elif isinstance(effect, Close):
                self.closed = True

    def _sent(self, frame: list[Any]) -> None:
        if frame[0] == 2:
            self.with_charge_point.append(frame[1])
            return
        if frame[1] in {"-1", "bad"}:
            return
        assert self.queue, f"an answer to nothing: {frame}"
        name, action, payload = self.queue.popleft()
        assert frame[1] == name, "answers come in the order of the CALLs"
        assert self.forwarded is None, "answered before the commit"
        if frame[0] == 3:
            self._heard(action, payload, frame[2])

    def _heard(self, action: str, payload: dict[str, Any], answer: dict[str, Any]) -> None:
        if action == "BootNotification":
            self.database.boot_count += 1
        if action == "StartTransaction" and self.charging is not None and self.charging["start"] == payload:
            number = self.charging["number"]
            before, told = self.sessions[number], answer["transactionId"]
            rebooted = self.database.boot_count != self.charging["booted"]
            assert before in {0, told} or rebooted, "a replay got another transactionId"
            assert told not in {other for key, other in self.sessions.items() if key != number}, "two sessions, one id"
            self.sessions[number] = told

    def _ended(self, outcome: CommandOutcome) -> None:
        history = self.outcomes[outcome.id]
        assert not (history and history[-1] in TERMINAL), f"{outcome.id} ended twice: {history} {outcome.status}"
        assert outcome.status != "sent" or not history, "sent twice"
        assert outcome.status not in {"result", "unknown"} or history == ["sent"], (history, outcome.status)
        history.append(outcome.status)
        underway = [name for name, past in self.outcomes.items() if past and past[-1] == "sent"]
        assert len(underway) <= 1, "two commands are with the charge point at a time (J 4.1.1)"

    def settle(self) -> None:
        """Everything is answered once the api works again: nothing was forgotten."""
        if self.closed:
            return
        while self.forwarded is not None:
            self.commit(attempts=1)
        assert not self.queue, f"never answered: {self.queue}"
        self.pass_time(COMMAND_TIMEOUT_S * (1 + len(self.outcomes)))
        while any(not past or past[-1] == "sent" for past in self.outcomes.values()) and not self.closed:
            self.pass_time(COMMAND_TIMEOUT_S)

    def _name(self, kind: str) -> str:
        self.identities[kind] += 1
        return f"{kind}{self.identities[kind]}"


def _session(registration: str) -> Session:
    return Session(registration, (), command_timeout_s=COMMAND_TIMEOUT_S)


def _frame(*parts: Any) -> bytes:
    return json.dumps(parts).encode()


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
