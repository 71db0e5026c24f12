"""`python -m bench` (`make bench`): reads the options, runs, shows, writes the page. It measures nothing itself.

Exit status 1 where acknowledged messages and rows differ, 130 where it was interrupted.
"""

import argparse
import os
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench import report
from bench.program import conduct, output
from bench.scenarios import Results, Run, Sizes, steps
from bench.stack import Stack
from standalone.databases import REPOSITORY


def options(arguments: list[str]) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures Voltuj beside anchors.")
    parser.add_argument("--quick", action="store_true", help="about two minutes; does not touch the page")
    parser.add_argument(
        "--rounds", type=int, help="interleaved rounds, of which medians are taken (5; quick: 3; 0: none)"
    )
    parser.add_argument("--seconds", type=float, help="length of one run (4; quick: 1)")
    parser.add_argument("--connections", type=int, help="boots at once, then idle (10000; quick: 1000; 0: none)")
    parser.add_argument("--workers", type=int, default=2, help="processes of the load generator (2)")
    parser.add_argument("--write", type=Path, help="page for the figures (docs/performance.md; quick: none)")
    return parser.parse_args(arguments)


def sizes_of(asked: argparse.Namespace) -> Sizes:
    """The options with their defaults."""
    quick: bool = asked.quick
    storm = asked.connections if asked.connections is not None else (1_000 if quick else 10_000)
    return Sizes(
        rounds=asked.rounds if asked.rounds is not None else (3 if quick else 5),
        seconds=asked.seconds or (1.0 if quick else 4.0),
        open_connections=200 if quick else 1_000,
        storm_connections=storm,
        idle_seconds=3.0 if quick else 60.0,
        workers=asked.workers,
    )


def run(stack: Stack, sizes: Sizes) -> Results:
    """Measures, with a progress bar."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with_storm = sizes.storm_connections > 0
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("", total=steps(sizes, with_storm))

        def tell(step: str) -> None:
            progress.update(bar, description=step)
            progress.advance(bar)

        return Run(stack, sizes, tell).measure(with_storm)


def measure(asked: argparse.Namespace, folder: Path) -> None:
    """Measures, shows, and writes the page."""
    page = asked.write or (None if asked.quick else REPOSITORY / "docs" / "performance.md")
    load_before = os.getloadavg()[0]
    with closing(Stack(folder)) as stack:
        results = run(stack, sizes_of(asked))
    report.show(output(), results)
    if page is not None:
        report.write(page, results, load_before)


def main() -> int:
    """The entry of the process; returns its exit status."""
    return conduct(partial(measure, options(sys.argv[1:])))


if __name__ == "__main__":
    sys.exit(main())
