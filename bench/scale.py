"""`python -m bench.scale` (`make bench-scale`): one gateway and one listener beside two of each, and what follows.

Two of each are measured with as many connections in all, and with as many a gateway. The stacks are measured in turns;
from the costs and sizes of the smallest one `bench.model` tells what fleets need.
"""

import argparse
import asyncio
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from rich.console import Console

from bench import model
from bench.fleet import Fleet, Measurement
from bench.program import Tables, conditions, conduct, show
from bench.scenarios import differences, most_open_files
from bench.stack import BenchError, Stack
from bench.usage import cpu_s

SCRIPTS: Final = ("Heartbeat", "MeterValues", "sessions")
SETUPS: Final = ((1, 1), (2, 1), (2, 2))
"""Gateways and listeners, and how many times the connections."""
HEAD: Final = ("messages", "gateways and listeners", "connections", "messages/s",
               *(f"{part} us" for part in model.PARTS), "all us", "of 1 + 1")  # fmt: skip
BYTES: Final = ("wal", "log", "rows")
"""Written, and what the message log and all other tables have grown by."""
WEIGHTS: Final = """
select (pg_current_wal_lsn() - '0/0'::pg_lsn)::float8 as wal,
    sum(pg_total_relation_size(oid)) filter (where relname ~ '^message_log')::float8 as log,
    sum(pg_total_relation_size(oid)) filter (where relname !~ '^message_log')::float8 as rows
from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace
"""


@dataclass
class Setup:
    """A stack with so many gateways and listeners, its fleets, and what each round cost."""

    stack: Stack
    pids: Mapping[str, list[int]]
    fleets: list[Fleet]
    rounds: dict[str, list[tuple[float, dict[str, float]]]] = field(default_factory=lambda: defaultdict(list))

    @property
    def name(self) -> str:
        """How many gateways and listeners."""
        return f"{len(self.pids['gateway'])} + {len(self.pids['listener'])}"

    @property
    def connections(self) -> int:
        """To all gateways together."""
        return sum(fleet.count for fleet in self.fleets)

    def run(self, script: str, seconds: float) -> None:
        """One round: messages a second; a message's microseconds of CPU by kind of process, and its bytes."""
        rows, weight, before = self.stack.rows(), asyncio.run(_weigh(self.stack)), self._cpu()
        results = _together(self.fleets, lambda fleet: fleet.closed_loop(script, seconds))
        after = self._cpu()
        answered = sum((each.answered for each in results[1:]), results[0].answered)
        wrong = differences(answered, rows, self.stack.rows())
        if wrong or any(each.errors or each.unanswered for each in results):
            raise BenchError(f"{script}: {wrong}, {[each.errors for each in results]}")
        messages = answered.total()
        cost = {part: (after[part] - before[part]) / messages * 1e6 for part in self.pids}
        heavier = asyncio.run(_weigh(self.stack))
        cost |= {kind: (heavier[kind] - weight[kind]) / messages for kind in BYTES}
        self.rounds[script].append((sum(each.per_second for each in results), cost))

    def costs(self, script: str) -> dict[str, float]:
        """Medians."""
        return {what: median(cost[what] for _, cost in self.rounds[script]) for what in (*self.pids, *BYTES)}

    def speed(self, script: str) -> float:
        """Median of messages a second."""
        return median(speed for speed, _ in self.rounds[script])

    def _cpu(self) -> dict[str, float]:
        return {part: sum(map(cpu_s, pids)) for part, pids in self.pids.items()}


def make(folder: Path, count: int, connections: int, ending: ExitStack) -> Setup:
    """Starts one; `connections` are spread over its gateways."""
    folder.mkdir()
    folder.chmod(0o711)
    stack = Stack(folder)
    ending.callback(stack.close)
    stack.start_servers()
    listeners = [stack.start_listener() for _ in range(count)]
    gateways = [stack.start_gateway() for _ in range(count)]
    shared = gateways[0].processes
    pids = {
        "gateway": [each.processes["gateway"] for each in gateways],
        "listener": listeners,
        "postgresql": [shared["postgresql"]],
        "redis": [shared["redis"]],
    }
    stack.make_charge_points(0, connections)
    share = connections // count
    fleets = []
    for number, gateway in enumerate(gateways):
        fleets.append(Fleet(gateway, number * share, share, key=stack.key, workers=1 if count > 1 else 2))
        ending.callback(fleets[-1].close)
    return Setup(stack, pids, fleets)


def _together(fleets: list[Fleet], work: Callable[[Fleet], Measurement]) -> list[Measurement]:
    with ThreadPoolExecutor(len(fleets)) as pool:
        return list(pool.map(work, fleets))


async def _weigh(stack: Stack) -> dict[str, float]:
    connection = await stack.connect()
    try:
        return dict(await connection.fetchrow(WEIGHTS))
    finally:
        await connection.close()


def measure(asked: argparse.Namespace, folder: Path, console: Console) -> tuple[list[Setup], model.Measured]:
    """All setups, in turns; what the rows of the smallest weigh."""
    with ExitStack() as ending:
        setups = [
            make(folder / f"{count}-{times}", count, times * asked.connections, ending) for count, times in SETUPS
        ]
        for setup in setups:
            _together(setup.fleets, lambda fleet: fleet.connect("begins"))
        for number in range(asked.rounds):
            for script in SCRIPTS:
                for setup in setups if number % 2 == 0 else reversed(setups):
                    console.print(f"round {number + 1}: {script}, {setup.name}, n={setup.connections:,}")
                    setup.run(script, asked.seconds)
    heartbeat, value, session = (setups[0].costs(script) for script in SCRIPTS)
    return setups, model.Measured(heartbeat, value, session, asked.request_us)


def rows(setups: Sequence[Setup]) -> list[list[str]]:
    """As `HEAD` names it."""
    found = []
    for script in SCRIPTS:
        wholes = [sum(setup.costs(script)[part] for part in model.PARTS) for setup in setups]
        for setup, whole in zip(setups, wholes, strict=True):
            costs = setup.costs(script)
            found.append([
                *(script, setup.name, f"{setup.connections:,}", f"{setup.speed(script):,.0f}"),
                *(f"{costs[part]:,.0f}" for part in model.PARTS),
                *(f"{whole:,.0f}", f"{whole / wholes[0]:.2f}"),
            ])  # fmt: skip
    return found


def measure_all(asked: argparse.Namespace, folder: Path) -> None:
    """Measures and shows."""
    notes = [
        f"{conditions()};",
        f"  medians of {asked.rounds} rounds of {asked.seconds:g} s in turns; us of CPU a message",
    ]
    setups, measured = measure(asked, folder, Console(stderr=True))
    show(asked.write, "scale", notes, [(HEAD, rows(setups))])
    tables: Tables = [
        (model.HEAD, [model.row(measured, fleet) for fleet in model.FLEETS]),
        (model.WEIGHTS_HEAD, model.weights(measured)),
        (("one core of", f"wallboxes at {model.BUSY:.0%}", "wallboxes, full"), model.saturation(measured)),
    ]
    show(asked.write, "model", model.assumptions(measured), tables)


def main() -> int:
    """The entry of the process; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description="Measures two of each beside one.")
    parser.add_argument("--rounds", type=int, default=3, help="in turns, of which medians are taken (3)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each run (4)")
    parser.add_argument("--connections", type=int, default=200, help="charge points of one gateway (200)")
    parser.add_argument("--request-us", type=float, default=3000.0, help="CPU of a REST request, by `make bench-rest`")
    parser.add_argument("--write", type=Path, help="the page for the figures, such as docs/performance.md")
    asked = parser.parse_args()
    most_open_files()
    return conduct(partial(measure_all, asked))


if __name__ == "__main__":
    sys.exit(main())
