"""What `make run` shows: a line for each step while it sets up, a table of addresses, then one living line.

Only shows; decides nothing.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text


class Display:
    """The terminal, or with `plain` a stream of ordinary lines."""

    def __init__(self, console: Console, *, plain: bool) -> None:
        self._console = console
        self._moving = console.is_terminal and not plain
        self._live: Live | None = None
        self._shown = ""

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Names a step, and how long it took when it is done."""
        begin = time.monotonic()
        self._console.print(f"{name} ... ", end="")
        try:
            yield
        except BaseException:
            self._console.print("")
            raise
        self._console.print(f"{time.monotonic() - begin:.1f} s")

    def say(self, sentence: str) -> None:
        """A sentence above the living line."""
        self._console.print(Text(sentence), soft_wrap=True)

    def table(self, rows: list[tuple[str, str]]) -> None:
        """What people need to go on."""
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, value in rows:
            grid.add_row(name, Text(value))
        self._console.print("")
        self._console.print(grid)
        self._console.print("")

    def status(self, line: str) -> None:
        """The living line; where nothing can move, a line whenever it changes."""
        if not self._moving:
            if line != self._shown:
                self.say(line)
        else:
            if self._live is None:
                self._live = Live(console=self._console, auto_refresh=False, transient=True)
                self._live.start()
            self._live.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)
        self._shown = line

    def end_status(self) -> None:
        """No living line any more."""
        if self._live is not None:
            self._live.stop()
            self._live = None
