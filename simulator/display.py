"""What a simulated charge point shows: one living line for people, or a JSON line an event for programs."""

import json
import sys
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from simulator.meter import timestamp

if TYPE_CHECKING:
    from simulator.charge_point import SimulatedChargePoint

SENTENCES = {
    "connected": "connected to {url}",
    "disconnected": "connection ended ({reason})",
    "refused": "{reason} Trying again in {retry_in_s} s.",
    "boot": "BootNotification {status}, heartbeat every {interval_s} s",
    "status": "connector {connector} {status}",
    "started": "transaction {transaction} started on connector {connector} for {id_tag} ({id_tag_status})",
    "stopped": "transaction {transaction} stopped: {energy_wh} Wh ({reason})",
    "not_authorized": "{id_tag} may not charge on connector {connector}",
    "offline": "the network is gone for {for_s} s",
    "power_loss": "the power failed",
    "reset": "reset ({kind})",
    "kept": "{action} is kept until the connection is back",
    "unanswered": "{action} got no answer",
    "answer_lost": "the answer to {action} got lost, it is sent again",
    "duplicate": "{action} is sent twice",
    "replay_differs": "a replayed start was answered with transaction {got} instead of {expected}",
    "call_error": "{action} was answered with an error: {error}",
}
QUIET = {"status"}
"""Events that the living line shows anyway."""


def print_json(event: str, details: dict[str, Any]) -> None:
    """One line of JSON an event, for programs."""
    line = {"at": timestamp(datetime.now(UTC)), "event": event, **details}
    print(json.dumps(line, ensure_ascii=False, default=str), flush=True)


class LivingLine:
    """Sentences scroll by; under them one line shows what the charge point does now."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._energy_wh, self._sessions = 0, 0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def tell(self, event: str, details: dict[str, Any]) -> None:
        """A sentence for an event."""
        if event == "stopped":
            self._energy_wh += details["energy_wh"]
            self._sessions += 1
        if event not in QUIET or not self._console.is_terminal:
            now = datetime.now().astimezone()
            self._console.print(Text(f"{now:%H:%M:%S}  {SENTENCES.get(event, event).format(**details)}"))

    def show(self, box: "SimulatedChargePoint") -> None:
        """Draws the line anew."""
        if not self._console.is_terminal:
            return
        parts = [box.address.identity, "online" if box.network.accepted.is_set() else "offline"]
        for connector in box.connectors.values():
            session = connector.session
            parts.append(f"{connector.id} {connector.status}" + (f" {session.power_w} W" if session else ""))
        parts += [f"{self._sessions} sessions, {self._energy_wh} Wh", f"{len(box.state.queue)} queued"]
        self._live.update(Text(" · ".join(parts), style="bold", no_wrap=True, overflow="ellipsis"), refresh=True)


def complain(sentence: str) -> None:
    """One sentence on standard error."""
    print(sentence, file=sys.stderr, flush=True)
