"""What the programs of the campaigns have in common: a folder, a way to be stopped, and a verdict. They break nothing.

A program that is stopped by Ctrl-C, SIGTERM or SIGHUP ends all that it started.
"""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from standalone.interrupts import stop_like_ctrl_c

T = TypeVar("T")

INTERRUPTED: Final = 130
"""Exit status."""
MOST_SHOWN: Final = 10


def make_folder(name: str) -> Path:
    """One of its own, through which PostgreSQL's user may pass."""
    folder = Path(tempfile.mkdtemp(prefix=f"voltuj-{name}-"))
    folder.chmod(0o711)
    return folder


def conduct(work: Coroutine[Any, Any, T], folder: Path) -> T:
    """Runs it in order, and ends it in order where it is stopped.

    Raises:
        SystemExit: it was stopped.
    """
    stop_like_ctrl_c()
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        print(f"\nInterrupted; nothing was checked. What there is: {folder}")
        raise SystemExit(INTERRUPTED) from None


def judge(problems: Sequence[str], folder: Path, again: str, notes: Sequence[str] = ()) -> int:
    """Prints what is wrong and keeps the folder with it, or removes the folder; the exit status."""
    for problem in problems[:MOST_SHOWN]:
        print(f"WRONG: {problem[:500]}")
    if problems or notes:
        (folder / "problems.txt").write_text("\n".join([*problems, *notes]))
        print(f"Journal, logs and all problems: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{len(problems)} problems; again with: {again}")
    return 1 if problems else 0


def show(line: str) -> None:
    """Progress: on a terminal each line takes the place of the one before."""
    end = "\r" if sys.stderr.isatty() else "\n"
    print(line[:119].ljust(119), end=end, file=sys.stderr, flush=True)
