"""What the gateway counts, under Prometheus names. Nothing is decided by these numbers.

Children of the hot counters are kept, since looking one up costs more than counting.
"""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ocpp_gateway.validation import FROM_CHARGE_POINT
from wire.messages import Message

PREFIX = "voltuj_gateway"
LATENCY_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 3, 6, 15)


class Metrics:
    """The counters of one gateway process."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.connections = Gauge(f"{PREFIX}_connections", "Charge points connected now", registry=registry)
        self.tasks = Gauge(f"{PREFIX}_tasks", "Tasks of the event loop; no charge point has one", registry=registry)
        self.handshakes = Counter(f"{PREFIX}_handshakes", "Handshakes by result", ["result"], registry=registry)
        self.closes = Counter(f"{PREFIX}_closes", "Ended connections by close code", ["code"], registry=registry)
        self.call_errors = Counter(f"{PREFIX}_call_errors", "CALLERRORs by code", ["code"], registry=registry)
        self.latency = Histogram(
            f"{PREFIX}_forward_seconds",
            "From forwarding a CALL to its committed answer",
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.retries = Counter(f"{PREFIX}_retries", "Attempts after the first of a message", registry=registry)
        self.misses = Counter(
            f"{PREFIX}_missed_attempts", "Attempts that a listener left unanswered", registry=registry
        )
        self.expired = Counter(f"{PREFIX}_expired_calls", "CALLs whose deadline passed unanswered", registry=registry)
        self.in_flight = Gauge(f"{PREFIX}_in_flight", "CALLs and handshakes that listeners hold", registry=registry)
        self.waiting = Gauge(f"{PREFIX}_waiting", "CALLs and handshakes that wait for a slot", registry=registry)
        self.listeners = Gauge(f"{PREFIX}_listeners", "Listeners of the api that are up", registry=registry)
        self.avoided = Gauge(f"{PREFIX}_avoided_listeners", "Listeners that missed an attempt", registry=registry)
        self.commands = Counter(f"{PREFIX}_commands", "Commands by what became of them", ["status"], registry=registry)
        self.dropped = Counter(f"{PREFIX}_dropped", "Messages given up, by type", ["type"], registry=registry)
        self.publishes = Counter(f"{PREFIX}_publishes", "PUBLISH commands", registry=registry)
        self.messages = Counter(f"{PREFIX}_published_messages", "Messages in them", registry=registry)
        self._frames = Counter(f"{PREFIX}_frames", "Frames", ["direction", "action"], registry=registry)
        self._received = {action: self._frames.labels("in", action) for action in (*sorted(FROM_CHARGE_POINT), "")}
        self._received_unknown = self._frames.labels("in", "unknown")
        self._sent = self._frames.labels("out", "")

    def received(self, action: str) -> None:
        """A frame of the charge point; `action` is empty for anything but a CALL."""
        self._received.get(action, self._received_unknown).inc()

    def sent(self) -> None:
        """A frame to the charge point."""
        self._sent.inc()

    def published(self, batches: Sequence[tuple[str, list[Message]]]) -> None:
        """One turn's worth of PUBLISH commands."""
        self.publishes.inc(len(batches))
        self.messages.inc(sum(len(messages) for _, messages in batches))

    def text(self) -> bytes:
        """The exposition format that Prometheus scrapes."""
        return generate_latest(self.registry)
