"""What the programs of this room have in common: a folder, a way to be stopped, tables at the end. Measures nothing.

A program that is stopped by Ctrl-C, SIGTERM or SIGHUP ends all that it started.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from bench.report import write_part
from bench.stack import BenchError
from standalone.interrupts import stop_like_ctrl_c
from standalone.servers import ServerError

INTERRUPTED: Final = 130
"""Exit status."""
WIDE: Final = 160
"""Columns of a table that goes into a file."""

Tables = Sequence[tuple[Sequence[str], Sequence[Sequence[str]]]]


def conduct(measure: Callable[[Path], None]) -> int:
    """Runs it in a folder of its own, which is kept where it fails; the exit status."""
    stop_like_ctrl_c()
    folder = Path(tempfile.mkdtemp(prefix="voltuj-bench-"))
    folder.chmod(0o711)  # PostgreSQL may run as another user
    status = 0
    try:
        measure(folder)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except Exception as error:
        print(f"Logs of this run: {folder}", file=sys.stderr)
        if not isinstance(error, BenchError | ServerError):
            raise
        print(error, file=sys.stderr)
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return status


def conditions() -> str:
    """When and where, for a program to say at its beginning."""
    now, load = datetime.now(UTC), os.getloadavg()[0]
    return f"- {now:%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores for everything, load average before: {load:.1f}"


def output() -> Console:
    """Where tables go."""
    return Console(width=None if sys.stdout.isatty() else WIDE)


def show(page: Path | None, name: str, notes: Sequence[str], tables: Tables) -> None:
    """Tables on the terminal, and in the part of the page that has this name."""
    console = output()
    for head, rows in tables:
        drawn = Table(*head)
        for row in rows:
            drawn.add_row(*(cell.replace("**", "") for cell in row))
        console.print(drawn)
    console.print("\n".join(notes))
    if page is not None:
        write_part(page, name, notes, tables)
