"""Puts a run's figures into one table: on the terminal, and as Markdown in docs/performance.md. Measures nothing.

Of the page only what lies between the two marks is replaced; what people wrote around it stays.
"""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from bench.fleet import LOAD, Measurement
from bench.goals import verdicts
from bench.scenarios import Results, Scenario

BEGIN: Final = "<!-- figures: begin (written by make bench) -->"
END: Final = "<!-- figures: end -->"
HEAD: Final = (
    *("scenario", "n", "server", "messages/s", "p50 ms", "p95 ms", "p99 ms"),
    *("CPU us a message", "CPU x bare", "CPU x ocpp", "RSS MiB"),
)
PARTS: Final = ("gateway", "listener", "postgresql", "redis", LOAD)
STORM_HEAD: Final = ("server", "connections", "boots in s", "sent away", "p99 ms", "KiB a connection", "idle CPU %")
MOMENTS: Final = ("at the start", "connected", "at the end")
WORDS: Final = {True: "met", False: "**not met**", None: "not measured"}

Rows = list[list[str]]


def table(results: Results) -> Rows:
    """A row a scenario and server."""
    return [row for scenario in results.rounds for row in _rows(scenario, results.of(scenario))]


def _rows(scenario: Scenario, measured: dict[str, Measurement]) -> Rows:
    return [
        [
            *(scenario.name, f"{scenario.connections:,}", name, f"{m.per_second:,.0f}"),
            *(f"{m.latency_ms[p]:.1f}" for p in (50, 95, 99)),
            f"{m.stack_cpu_us:,.0f}",
            *(_times(m, measured.get(anchor)) for anchor in ("bare", "ocpp")),
            f"{m.stack_memory_mib:,.0f}",
        ]
        for name, m in measured.items()
    ]


def parts(results: Results) -> Rows:
    """What each process of Voltuj, and the load generator, costs a message."""
    ours = {scenario: results.of(scenario)["voltuj"] for scenario in results.rounds}
    return [
        [scenario.name, f"{scenario.connections:,}", *(f"{m.cpu_us.get(name, 0):,.0f}" for name in PARTS)]
        for scenario, m in ours.items()
    ]


def _times(measured: Measurement, anchor: Measurement | None) -> str:
    return f"{measured.stack_cpu_us / anchor.stack_cpu_us:.2f}" if anchor and anchor.stack_cpu_us else ""


def storms(results: Results) -> Rows:
    """A row a server."""
    return [
        [storm.target, f"{storm.connections:,}", f"{storm.seconds:.1f}", f"{storm.sent_away:,}",
         f"{storm.connect_p99_ms:,.0f}", f"{storm.kib_each:.1f}", f"{storm.idle_cpu_percent:.1f}"]
        for storm in results.storms
    ]  # fmt: skip


def memory(results: Results) -> Rows:
    """A row a process. PostgreSQL's grows while the pages of its shared buffers are touched for the first time."""
    return [[name, *(f"{sizes[moment]:,.0f}" for moment in MOMENTS)] for name, sizes in results.memory_mib.items()]


def goals(results: Results) -> Rows:
    """A row a goal."""
    return [[verdict.goal, verdict.measured, WORDS[verdict.met]] for verdict in verdicts(results)]


def show(console: Console, results: Results) -> None:
    """All tables on the terminal."""
    for title, head, rows in _tables(results):
        drawn = Table(*head, title=title, title_justify="left")
        for row in rows:
            drawn.add_row(*(cell.replace("**", "") for cell in row))
        console.print(drawn)
    console.print(_accounted(results))


def write(page: Path, results: Results, load_before: float) -> None:
    """Replaces the figures in the page, or makes it."""
    text = page.read_text() if page.exists() else f"# Performance\n\n{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n{_markdown(results, load_before)}{END}{after}")


def write_part(
    page: Path, name: str, notes: Sequence[str], tables: Sequence[tuple[Sequence[str], Sequence[Sequence[str]]]]
) -> None:
    """Replaces what stands between the marks of this name: notes, then tables of a head and rows.

    Raises:
        ValueError: the page has no such marks.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, opened, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not (opened and closed):
        raise ValueError(f"{page} has no {begin} and {end}")
    parts = ["\n".join(["", *notes, ""])]
    for head, rows in tables:
        lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
        parts.append("\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]))
    text = "\n".join(parts)
    page.write_text(f"{before}{begin}\n{text}{end}{after}")


def _tables(results: Results) -> list[tuple[str, tuple[str, ...], Rows]]:
    tables: list[tuple[str, tuple[str, ...], Rows]] = [
        ("Figures", HEAD, table(results)),
        ("Voltuj's CPU us a message, by process", ("scenario", "n", *PARTS), parts(results)),
    ]
    if results.storms:
        tables.append(("Connecting at once, then idle", STORM_HEAD, storms(results)))
    if results.memory_mib:
        tables.append(("Memory of Voltuj's processes, MiB", ("process", *MOMENTS), memory(results)))
    validation = [[name, f"{cost:.1f}"] for name, cost in results.validation_us.items()]
    tables.append(("Validation of a 1 kB MeterValues, in one process", ("with", "us"), validation))
    tables.append(("Goals", ("goal", "measured", "verdict"), goals(results)))
    return tables


def _markdown(results: Results, load_before: float) -> str:
    parts = ["\n".join(["", *_machine(results, load_before), ""])]
    for title, head, rows in _tables(results):
        lines = [f"### {title}", "", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
        parts.append("\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]))
    return "\n".join([*parts, _accounted(results), ""])


def _accounted(results: Results) -> str:
    counts = ", ".join(f"{count:,} {action}" for action, count in sorted(results.acknowledged.items()))
    return f"Acknowledged by Voltuj and found as rows, without a difference (Heartbeats are not counted): {counts}."


def _machine(results: Results, load_before: float) -> list[str]:
    sizes = results.sizes
    return [
        f"- taken {datetime.now(UTC):%Y-%m-%d %H:%M} UTC: medians of {sizes.rounds} rounds of {sizes.seconds:g} s,",
        f"  {sizes.workers} load generator processes",
        f"- {os.cpu_count()} cores, {_processor()}; {_memory_gib()} GiB; {platform.system()} {platform.release()}",
        f"- load average of the machine before the run: {load_before:.1f}",
        f"- Python {platform.python_version()}, websockets {version('websockets')}, ocpp {version('ocpp')}, "
        f"uvloop {version('uvloop')}; PostgreSQL and Redis embedded, synchronous_commit on",
    ]


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _memory_gib() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
