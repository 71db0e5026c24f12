"""Failpoints: a process of the stack is killed at a named moment that shows on its connections. Only bytes are read.

The product knows nothing of this: what a process says to PostgreSQL (frontend/backend protocol 3.0), to Redis (RESP)
and to people (HTTP/1.1) passes through a link of ours, and the moment is recognised there.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

Moment = tuple[str, str, str]
"""(kind of process, phase, point)."""

ACTIONS: Final = {
    b"BootNotification": "boot",
    b"Authorize": "authorize",
    b"StartTransaction": "start",
    b"MeterValues": "meter",
    b"StopTransaction": "stop",
}
"""What a message is about, by the action that stands in it."""

EFFECTS: Final = {
    "boot": re.compile(r"update charge_points\b.*\bboot_count", re.DOTALL | re.IGNORECASE),
    "start": re.compile(r"insert into transactions\b", re.IGNORECASE),
    "meter": re.compile(r"insert into meter_values\b", re.IGNORECASE),
    "stop": re.compile(r"insert into transaction_stops\b", re.IGNORECASE),
    "settle": re.compile(r"insert into settlements\b", re.IGNORECASE),
    "command": re.compile(r"(insert into|update) commands\b", re.IGNORECASE),
    "top_up": re.compile(r"insert into bank_movements\b", re.IGNORECASE),
}
"""What a database transaction is about, by a statement that stands in it."""

REQUESTS: Final = {
    "command": re.compile(rb"POST /api/v1/charge-points/[^/ ]+/commands "),
    "top_up": re.compile(rb"POST /api/v1/operator/bank-statements "),
}
"""What an HTTP request is about, by its first line."""

CONTENT_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)

LISTENER_POINTS: Final = ("received", "before_commit", "after_commit", "before_answer", "after_answer")
LISTENER_MOMENTS: Final = (
    *((phase, point) for phase in ("boot", "start", "meter", "stop") for point in LISTENER_POINTS),
    ("authorize", "received"),
    ("authorize", "before_answer"),
    ("authorize", "after_answer"),
    ("settle", "before_commit"),
    ("settle", "after_commit"),
    ("command", "before_commit"),
    ("command", "after_commit"),
)
GATEWAY_MOMENTS: Final = tuple(
    (phase, point) for phase in ACTIONS.values() for point in ("before_forward", "after_forward", "outcome")
)
API_MOMENTS: Final = (
    *((phase, point) for phase in REQUESTS for point in LISTENER_POINTS),
    ("command", "before_publish"),
    ("command", "after_publish"),
)
PUBLISHING: Final = {
    "listener": ("before_answer", "after_answer"),
    "gateway": ("before_forward", "after_forward"),
    "api": ("before_publish", "after_publish"),
}
"""What is called the moment before and after a PUBLISH of each kind of process."""

SSL_REQUEST: Final = 80877103
TAIL_BYTES: Final = 24
"""Kept of each chunk: an action's name may be torn in two."""


class KilledError(Exception):
    """The process died at this chunk: it goes no further."""


@dataclass
class Trap:
    """What one process is to die of. `kill` ends it by SIGKILL."""

    kill: Callable[[], None] = lambda: None
    armed: tuple[str, str] | None = None
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Moments that passed, whether armed or not."""

    def spring(self, phase: str, point: str) -> bool:
        """Tells of a moment; whether the process was killed at it."""
        self.seen[phase, point] += 1
        if self.armed != (phase, point):
            return False
        self.armed = None
        self.kill()
        return True


class Tap:
    """Watches one connection of a process. `before_*` is called ahead of forwarding a chunk, `after_*` behind it.

    A `before_*` that raises KilledError keeps the chunk from its receiver.
    """

    def __init__(self, trap: Trap) -> None:
        self.trap = trap

    def before_server(self, chunk: bytes) -> None:
        """A chunk of the process, on its way to the server."""

    def after_server(self) -> None:
        """That chunk has been handed to the server."""

    def before_process(self, chunk: bytes) -> None:
        """A chunk of the server, on its way to the process."""

    def after_process(self) -> None:
        """That chunk has been handed to the process."""

    def spring(self, phase: str, point: str) -> None:
        """Raises KilledError where the process is to die now."""
        if self.trap.spring(phase, point):
            raise KilledError


class PostgresTap(Tap):
    """Recognises the commit of a database transaction by its phase, before and after PostgreSQL made it.

    Phases are shared with the RedisTap of the same process by `committed`: the next PUBLISH is their answer.
    """

    def __init__(self, trap: Trap, committed: list[str]) -> None:
        super().__init__(trap)
        self._committed = committed
        self._out, self._in = bytearray(), bytearray()
        self._started = False
        self._plain_bytes = 0
        self._statements: dict[bytes, str] = {}
        self._explicit = False
        self._phases: list[str] = []
        self._committing: list[str] = []

    def before_server(self, chunk: bytes) -> None:
        self._out += chunk
        while (message := self._next(self._out, typed=self._started)) is not None:
            kind, body = message
            if self._started:
                self._said(kind, body)
            else:
                self._begin(body)

    def before_process(self, chunk: bytes) -> None:
        self._in += chunk
        if self._plain_bytes and self._in:
            del self._in[:1]  # the answer to SSLRequest is one byte without a length
            self._plain_bytes = 0
        while (message := self._next(self._in, typed=True)) is not None:
            if message[0] == b"Z":
                self._ready()

    @staticmethod
    def _next(buffer: bytearray, *, typed: bool) -> tuple[bytes, bytes] | None:
        head = 1 if typed else 0
        if len(buffer) < head + 4:
            return None
        length = int.from_bytes(buffer[head : head + 4], "big")
        if len(buffer) < head + length:
            return None
        kind, body = bytes(buffer[:head]), bytes(buffer[head + 4 : head + length])
        del buffer[: head + length]
        return kind, body

    def _begin(self, body: bytes) -> None:
        if int.from_bytes(body[:4], "big") == SSL_REQUEST:
            self._plain_bytes = 1
        else:
            self._started = True

    def _said(self, kind: bytes, body: bytes) -> None:
        if kind == b"Q":
            self._run(body.rstrip(b"\0").decode(errors="replace"))
        elif kind == b"P":
            name, _, rest = body.partition(b"\0")
            self._statements[name] = rest.partition(b"\0")[0].decode(errors="replace")
        elif kind == b"B":
            name = body.split(b"\0", 2)[1]
            self._run(self._statements.get(name, ""))
        elif kind == b"S" and not self._explicit:
            self._commit()

    def _run(self, statement: str) -> None:
        verb = statement.lstrip()[:8].lower()
        if verb.startswith("begin"):
            self._explicit = True
        elif verb.startswith("commit"):
            self._explicit = False
            self._commit()
        elif verb.startswith("rollback") and "savepoint" not in statement.lower():
            self._explicit = False
            self._phases.clear()
        else:
            self._phases += [phase for phase, effect in EFFECTS.items() if effect.search(statement)]

    def _commit(self) -> None:
        self._committing += self._phases
        self._phases.clear()
        for phase in dict.fromkeys(self._committing):
            self.spring(phase, "before_commit")

    def _ready(self) -> None:
        """ReadyForQuery: what was being committed is, unless it failed, in which case nothing was to be lost."""
        done, self._committing = list(dict.fromkeys(self._committing)), []
        for phase in done:
            self.spring(phase, "after_commit")
        self._committed += done


class RedisTap(Tap):
    """Recognises by its action that a message was received, and by the PUBLISH after its commit that it is answered."""

    def __init__(self, trap: Trap, committed: list[str], kind: str) -> None:
        super().__init__(trap)
        self._committed = committed
        self._is_gateway = kind == "gateway"
        self._before, self._after = PUBLISHING[kind]
        self._tails = {"in": b"", "out": b""}
        self._received: list[str] = []
        self._sending: list[str] = []
        self._forwarded: set[str] = set()

    def before_server(self, chunk: bytes) -> None:
        if b"PUBLISH" not in chunk:
            return
        if self._is_gateway:
            phases = self._phases("out", chunk)
        else:
            phases = list(dict.fromkeys(self._committed))
            self._committed.clear()
        self._sending = phases
        for phase in phases:
            self.spring(phase, self._before)

    def after_server(self) -> None:
        sent, self._sending = self._sending, []
        self._committed += sent if self._is_gateway else []
        for phase in sent:
            self.spring(phase, self._after)

    def before_process(self, chunk: bytes) -> None:
        if self._is_gateway:
            phases = list(dict.fromkeys(self._committed)) if b"message" in chunk else []
            self._committed[:] = [] if phases else self._committed
            for phase in phases:
                self.spring(phase, "outcome")
            return
        self._received = self._phases("in", chunk)
        self._committed += [phase for phase in self._received if phase == "authorize"]  # nothing is committed for it

    def after_process(self) -> None:
        received, self._received = self._received, []
        for phase in received:
            self.spring(phase, "received")

    def _phases(self, way: str, chunk: bytes) -> list[str]:
        tail, self._tails[way] = self._tails[way], chunk[-TAIL_BYTES:]
        window = tail + chunk
        return [phase for action, phase in ACTIONS.items() if window.find(action) + len(action) > len(tail)]


class HttpTap(Tap):
    """Recognises by its first line what a person asks, and the answer that follows on the same connection."""

    def __init__(self, trap: Trap) -> None:
        super().__init__(trap)
        self._asked = self._received = self._answered = ""
        self._request = b""

    def before_server(self, chunk: bytes) -> None:
        if not self._asked:
            self._asked = next((phase for phase, line in REQUESTS.items() if line.match(chunk)), "")
            self._request = b""
        if self._asked:
            self._request += chunk
            self._received = self._asked if _is_whole(self._request) else ""

    def after_server(self) -> None:
        received, self._received = self._received, ""
        self._spring_for(received, "received")

    def before_process(self, chunk: bytes) -> None:
        self._answered, self._asked = self._asked, ""
        self._spring_for(self._answered, "before_answer")

    def after_process(self) -> None:
        self._spring_for(self._answered, "after_answer")

    def _spring_for(self, phase: str, point: str) -> None:
        if phase:
            self.spring(phase, point)


def _is_whole(request: bytes) -> bool:
    head, end, body = request.partition(b"\r\n\r\n")
    length = CONTENT_LENGTH.search(head)
    return bool(end) and length is not None and len(body) >= int(length[1])
