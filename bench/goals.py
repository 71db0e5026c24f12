"""The goals, and what a run says of each: met, not met, or not measured. Ratios are of one run. Measures nothing."""

from dataclasses import dataclass
from typing import Final

from bench.scenarios import Results, Scenario, Storm, scenarios

STORM: Final = 10_000
OPEN: Final = 1_000


@dataclass(frozen=True)
class Verdict:
    """One goal, what was measured, and whether that meets it; None where it was not measured as the goal has it."""

    goal: str
    measured: str
    met: bool | None


def verdicts(results: Results) -> list[Verdict]:
    """All goals, in their order."""
    return [
        *(_loops(results) if results.rounds else []),
        *_storm(results.storms),
        _validation(results.validation_us["voltuj"]),
        Verdict("7. REST and SSE at 1,000,000 transactions", "by bench-rest and bench-streams", None),
        Verdict("8. scale-out", "by bench-scale", None),
    ]


def _loops(results: Results) -> list[Verdict]:
    heartbeat, hundred, two_hundred, _, sessions, at_1500, at_half = scenarios(results.sizes)
    return [
        *_gateway(results, heartbeat, hundred),
        *_durable(results, two_hundred),
        _sessions(results, sessions),
        _latency(results, at_1500, "1,500 messages/s", 20),
        _latency(results, at_half, "half of the closed-loop maximum", 40),
    ]


def _gateway(results: Results, heartbeat: Scenario, values: Scenario) -> list[Verdict]:
    found = []
    for scenario, most in ((values, 1.0), (heartbeat, 0.6)):
        measured = results.of(scenario)
        ratio = _ratio(measured["voltuj"].cpu_us["gateway"], measured["bare"].stack_cpu_us)
        goal = f"1. gateway CPU a {scenario.script}, n=100: at most {most:.1f} x bare"
        found.append(Verdict(goal, f"{ratio:.2f} x", ratio <= most))
    return found


def _durable(results: Results, scenario: Scenario) -> list[Verdict]:
    measured = results.of(scenario)
    ours, bare, ocpp = (measured[name] for name in ("voltuj", "bare", "ocpp"))
    to_bare, to_ocpp = _ratio(ours.stack_cpu_us, bare.stack_cpu_us), _ratio(ours.stack_cpu_us, ocpp.stack_cpu_us)
    return [
        Verdict(
            "2. durable MeterValues, n=200: at least 8,000/s", f"{ours.per_second:,.0f}/s", ours.per_second >= 8000
        ),
        Verdict("2. CPU of the whole stack: at most 3.0 x bare", f"{to_bare:.2f} x", to_bare <= 3.0),
        Verdict("2. CPU of the whole stack: at most 1/8 of the ocpp package", f"{to_ocpp:.3f} x", to_ocpp <= 1 / 8),
    ]


def _sessions(results: Results, scenario: Scenario) -> Verdict:
    speed = results.of(scenario)["voltuj"].per_second
    goal = "3. durable whole sessions: at least 5,000 messages/s"
    return Verdict(goal, f"{speed:,.0f}/s", speed >= 5000)


def _latency(results: Results, scenario: Scenario, rate: str, most_ms: int) -> Verdict:
    measured = results.of(scenario)
    ours, bare = measured["voltuj"].latency_ms[99], measured["bare"].latency_ms[99]
    said = f"{ours:.1f} ms (bare: {bare:.1f} ms), n={scenario.connections:,}"
    met = ours <= most_ms if scenario.connections >= OPEN else None
    return Verdict(f"4. p99, open loop, 1,000 charge points, {rate}: at most {most_ms} ms", said, met)


def _storm(storms: list[Storm]) -> list[Verdict]:
    goals = (
        "5. gateway memory an idle connection: at most 20 KiB, n=10,000",
        "5. gateway CPU, 10,000 idle connections: at most 2 %",
        "5. 10,000 authenticated boots, each committed: at most 10 s",
    )
    storm = next((storm for storm in storms if storm.target == "voltuj"), None)
    if storm is None:
        return [Verdict(goal, "not measured", None) for goal in goals]
    values, limits = (storm.kib_each, storm.idle_cpu_percent, storm.seconds), (20, 2, 10)
    units = ("KiB", "%", "s")
    return [
        Verdict(goal, f"{value:.1f} {unit}, n={storm.connections:,}",
                value <= limit if storm.connections >= STORM else None)
        for goal, value, limit, unit in zip(goals, values, limits, units, strict=True)
    ]  # fmt: skip


def _validation(cost_us: float) -> Verdict:
    return Verdict("6. validation of a 1 kB MeterValues: at most 10 us", f"{cost_us:.1f} us", cost_us <= 10)


def _ratio(ours: float, theirs: float) -> float:
    return ours / theirs if theirs else 0.0
