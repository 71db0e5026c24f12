"""What the gateway counts, under Prometheus names. Nothing is decided by these numbers.

What is counted for every frame is a plain number until it is asked for: prometheus_client's counters, which lock and
check each time, took 4 us of the 20 us of Python that a MeterValues costs.
"""

from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from ocpp_gateway.validation import FROM_CHARGE_POINT
from wire.messages import Message

PREFIX = "voltuj_gateway"
UNKNOWN = "unknown"
KNOWN = FROM_CHARGE_POINT | {""}
LATENCY_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 3, 6, 15)


class Traffic(Collector):
    """Frames by direction and action, and how long forwarded CALLs took."""

    def __init__(self) -> None:
        self.received: Tally[str] = Tally()
        """By action; empty for anything but a CALL."""
        self.sent = 0
        self._within = [0] * (len(LATENCY_BUCKETS_S) + 1)
        self._sum_s = 0.0

    def took(self, seconds: float) -> None:
        """From forwarding a CALL to its committed answer."""
        self._within[bisect_left(LATENCY_BUCKETS_S, seconds)] += 1
        self._sum_s += seconds

    def collect(self) -> Iterator[CounterMetricFamily | HistogramMetricFamily]:
        """For a scrape."""
        frames = CounterMetricFamily(f"{PREFIX}_frames", "Frames", labels=["direction", "action"])
        for action in (*sorted(FROM_CHARGE_POINT), "", UNKNOWN):
            frames.add_metric(["in", action], self.received[action])
        frames.add_metric(["out", ""], self.sent)
        yield frames
        bounds = [*map(str, map(float, LATENCY_BUCKETS_S)), "+Inf"]
        yield HistogramMetricFamily(
            f"{PREFIX}_forward_seconds",
            "From forwarding a CALL to its committed answer",
            buckets=list(zip(bounds, accumulate(self._within), strict=True)),
            sum_value=self._sum_s,
        )


class Metrics:
    """The counters of one gateway process."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.connections = Gauge(f"{PREFIX}_connections", "Charge points connected now", registry=registry)
        self.tasks = Gauge(f"{PREFIX}_tasks", "Tasks of the event loop; no charge point has one", registry=registry)
        self.handshakes = Counter(f"{PREFIX}_handshakes", "Handshakes by result", ["result"], registry=registry)
        self.closes = Counter(f"{PREFIX}_closes", "Ended connections by close code", ["code"], registry=registry)
        self.call_errors = Counter(f"{PREFIX}_call_errors", "CALLERRORs by code", ["code"], registry=registry)
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
        self.traffic = Traffic()
        registry.register(self.traffic)

    def received(self, action: str) -> None:
        """A frame of the charge point; `action` is empty for anything but a CALL."""
        self.traffic.received[action if action in KNOWN else UNKNOWN] += 1

    def sent(self) -> None:
        """A frame to the charge point."""
        self.traffic.sent += 1

    def published(self, batches: Sequence[tuple[str, list[Message]]]) -> None:
        """One turn's worth of PUBLISH commands."""
        self.publishes.inc(len(batches))
        self.messages.inc(sum(len(messages) for _, messages in batches))

    def text(self) -> bytes:
        """The exposition format that Prometheus scrapes."""
        return generate_latest(self.registry)
