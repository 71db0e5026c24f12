"""What is measured: closed and open loops in interleaved rounds, storms of connects, idle connections, validation.

After every run on Voltuj the answered messages are counted against the committed rows; a difference ends the run.
"""

import resource
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Final

import ocpp.messages

from bench.fleet import Fleet, Measurement, medians
from bench.stack import BenchError, Stack, Target
from bench.traffic import IDLE_CONNECTOR, Wallbox, meter_values
from bench.usage import cpu_s, memory_kib
from ocpp_gateway.validation import call_flaw

ALL: Final = ("voltuj", "bare", "ocpp")
WITH_SHELL: Final = ("voltuj", "bare", "shell", "ocpp")
"""Where the gateway's own cost is judged."""
FIRST_OF_STORM: Final = 100_000
FIRST_OF_FLEET: Final = 10_000
SPARE_FILES: Final = 500
"""Open files that a process needs besides its connections."""
OWN_ROWS: Final = frozenset({"BootNotification", "MeterValues", "StartTransaction", "StopTransaction"})
UNLOGGED: Final = frozenset({"Heartbeat"})
"""Answered by the gateway itself; its log entries may be dropped (DESIGN 3)."""


@dataclass(frozen=True)
class Scenario:
    """One line of the table for each target. `rate` None is a closed loop, 0 half of what the closed loop reached."""

    name: str
    script: str
    connections: int
    targets: tuple[str, ...] = ALL
    rate: float | None = None
    length: int = 1
    """How many times as long as the others: a session takes its time, and half ones are not rated."""


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    rounds: int
    seconds: float
    open_connections: int
    storm_connections: int
    idle_seconds: float
    workers: int


@dataclass
class Storm:
    """Many connecting at once, then saying nothing. `seconds` and latency count the waits of who was sent away."""

    target: str
    connections: int
    seconds: float
    sent_away: int
    connect_p99_ms: float
    kib_each: float
    idle_cpu_percent: float


@dataclass
class Results:
    """All that a run measured."""

    sizes: Sizes
    rounds: dict[Scenario, dict[str, list[Measurement]]] = field(default_factory=dict)
    storms: list[Storm] = field(default_factory=list)
    validation_us: dict[str, float] = field(default_factory=dict)
    acknowledged: Counter[str] = field(default_factory=Counter)
    memory_mib: dict[str, dict[str, float]] = field(default_factory=dict)
    """Of each of Voltuj's processes, by moment."""

    def of(self, scenario: Scenario) -> dict[str, Measurement]:
        """The medians of each target; none where it was left out."""
        return {target: medians(rounds) for target, rounds in self.rounds.get(scenario, {}).items()}


def scenarios(sizes: Sizes) -> list[Scenario]:
    """In the order in which each round goes through them."""
    count = sizes.open_connections
    return [
        Scenario("Heartbeat", "Heartbeat", 100, WITH_SHELL),
        Scenario("MeterValues", "MeterValues", 100, WITH_SHELL),
        Scenario("MeterValues", "MeterValues", 200),
        Scenario("StatusNotification", "StatusNotification", 200),
        Scenario("whole sessions", "sessions", 200, length=3),
        Scenario("MeterValues, 1,500/s", "MeterValues", count, ("voltuj", "bare"), 1500),
        Scenario("MeterValues, half of the maximum", "MeterValues", count, ("voltuj", "bare"), 0),
    ]


def steps(sizes: Sizes, with_storm: bool) -> int:
    """How often `tell` is called."""
    runs = sum(len(scenario.targets) for scenario in scenarios(sizes))
    return sizes.rounds * runs + 2 + 2 * with_storm


class Run:
    """One run from the start of the servers to the last figure."""

    def __init__(self, stack: Stack, sizes: Sizes, tell: Callable[[str], None]) -> None:
        self._stack, self._sizes, self._tell = stack, sizes, tell
        self._fleets: dict[tuple[str, int], Fleet] = {}
        self.results = Results(sizes)

    def measure(self, with_storm: bool) -> Results:
        """Everything, in order."""
        self._tell("validation")
        self.results.validation_us = validation_us()
        self._tell("starting the servers")
        most_open_files()
        self._stack.start_servers()
        self._stack.start_listener()
        if self._sizes.rounds:
            try:
                self._rounds()
            finally:
                self._close_fleets()
        if with_storm:
            self._storms()
        return self.results

    def _rounds(self) -> None:
        targets = {
            "voltuj": self._stack.start_gateway(),
            "bare": self._stack.start_anchor("bare"),
            "shell": self._stack.start_anchor("shell"),
            "ocpp": self._stack.start_anchor("ocpp"),
        }
        plan = scenarios(self._sizes)
        self._weigh(targets["voltuj"], "at the start")
        for scenario in plan:
            self._connect(scenario, targets)
        self._weigh(targets["voltuj"], "connected")
        for number in range(self._sizes.rounds):
            for scenario in plan:
                for target in scenario.targets:
                    self._tell(f"round {number + 1}: {scenario.name}, n={scenario.connections}, {target}")
                    self._one(scenario, target)
        self._weigh(targets["voltuj"], "at the end")

    def _weigh(self, target: Target, moment: str) -> None:
        """Memory of each process now."""
        for name, pid in target.processes.items():
            self.results.memory_mib.setdefault(name, {})[moment] = memory_kib(pid) / 1024

    def _connect(self, scenario: Scenario, targets: dict[str, Target]) -> None:
        count = scenario.connections
        for name in scenario.targets:
            if (name, count) in self._fleets:
                continue
            first = FIRST_OF_FLEET + 10 * count
            if name == "voltuj":
                self._stack.make_charge_points(first, count)
            fleet = Fleet(targets[name], first, count, key=self._stack.key, workers=self._sizes.workers)
            self._fleets[name, count] = fleet
            self._counted(name, lambda fleet=fleet: fleet.connect("begins"))  # type: ignore[misc]

    def _one(self, scenario: Scenario, target: str) -> None:
        fleet = self._fleets[target, scenario.connections]
        rate, seconds = self._rate(scenario), self._sizes.seconds * scenario.length

        def go() -> Measurement:
            if rate is None:
                return fleet.closed_loop(scenario.script, seconds)
            return fleet.open_loop(scenario.script, seconds, rate)

        measured = self._counted(target, go)
        self.results.rounds.setdefault(scenario, {}).setdefault(target, []).append(measured)

    def _rate(self, scenario: Scenario) -> float | None:
        if scenario.rate != 0:
            return scenario.rate
        closed = next(s for s in self.results.rounds if s.rate is None and s.script == scenario.script
                      and s.connections == 200)  # fmt: skip
        return self.results.rounds[closed]["voltuj"][0].per_second / 2

    def _counted(self, target: str, go: Callable[[], Measurement]) -> Measurement:
        """Runs, and ends the whole run where a message was lost, refused, or answered without its row."""
        if target != "voltuj":
            return _complete(go())
        before = self._stack.rows()
        measured = _complete(go())
        difference = differences(measured.answered, before, self._stack.rows())
        if difference:
            raise BenchError("Acknowledged messages and rows differ: " + "; ".join(difference))
        self.results.acknowledged += measured.answered
        return measured

    def _storms(self) -> None:
        count = min(self._sizes.storm_connections, most_open_files() - SPARE_FILES)
        self._stack.make_charge_points(FIRST_OF_STORM, count)
        for target in (self._stack.start_gateway(), self._stack.start_anchor("bare")):
            self._tell(f"{count} boots, then idle, {target.name}")
            self.results.storms.append(self._storm(target, count))

    def _storm(self, target: Target, count: int) -> Storm:
        server = next(iter(target.processes.values()))
        before_kib = memory_kib(server)
        fleet = Fleet(target, FIRST_OF_STORM, count, key=self._stack.key, workers=self._sizes.workers)
        try:
            measured = self._counted(target.name, lambda: fleet.connect("boots"))
            kib_each = (memory_kib(server) - before_kib) / count
            before_s = cpu_s(server)
            time.sleep(self._sizes.idle_seconds)
            idle = 100 * (cpu_s(server) - before_s) / self._sizes.idle_seconds
        finally:
            fleet.close()
        return Storm(target.name, count, measured.seconds, measured.sent_away, measured.latency_ms[99], kib_each, idle)

    def _close_fleets(self) -> None:
        for fleet in self._fleets.values():
            fleet.close()


def most_open_files() -> int:
    """How many files each process may open; raised as far as this user may, for those that are started from here on."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _complete(measured: Measurement) -> Measurement:
    if measured.errors or measured.unanswered:
        raise BenchError(
            f"{measured.target}: {measured.unanswered} messages unanswered, errors {dict(measured.errors)}"
        )
    return measured


def differences(answered: Counter[str], before: Counter[str], after: Counter[str]) -> list[str]:
    """What does not add up between answers and rows; empty where all does."""
    expected: Counter[str] = Counter()
    for action, count in answered.items():
        if action not in UNLOGGED:
            expected[f"{action} logged"] = count
        if action in OWN_ROWS:
            expected[action] = count
    expected["rated"] = answered["StopTransaction"]
    kinds = sorted(set(before) | set(after) | set(expected))
    changes = {kind: after[kind] - before[kind] for kind in kinds}
    return [f"{kind}: {expected[kind]} acknowledged, {change} rows" for kind, change in changes.items()
            if change != expected[kind]]  # fmt: skip


def validation_us() -> dict[str, float]:
    """Microseconds to judge one MeterValues of 1 kB, parsing included; each the median of several turns."""
    action, payload = meter_values(Wallbox(1, 1_700_000_000_000), IDLE_CONNECTOR, 1)
    frame = f'[2,"1","{action}",{payload.decode()}]'

    def with_ocpp() -> None:
        message = ocpp.messages.unpack(frame)
        if isinstance(message, ocpp.messages.Call):
            ocpp.messages._validate_payload(message, "1.6")  # noqa: SLF001 - the public one is a coroutine in a pool

    return {"voltuj": _each_us(lambda: call_flaw(action, payload), 5000), "ocpp": _each_us(with_ocpp, 200)}


def _each_us(work: Callable[[], object], times: int) -> float:
    def turn() -> float:
        began = time.process_time()
        for _ in range(times):
            work()
        return (time.process_time() - began) / times * 1e6

    return median(turn() for _ in range(5))
