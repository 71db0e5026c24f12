"""CPU time and memory of processes, as /proc tells them. Linux only; measures nothing else."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
UTIME, STIME, CUTIME, CSTIME = 11, 12, 13, 14
"""Places in /proc/<pid>/stat behind the command, from 0 (proc(5) counts from 1 and has two fields before)."""


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and of all its children, those that ended included."""
    try:
        own = _ticks(pid, UTIME, STIME, CUTIME, CSTIME)
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return own / TICKS_PER_S + sum(cpu_s(child) for child in _children(pid))


def memory_kib(pid: int) -> int:
    """Resident memory of a process; of one with children the proportional share (PSS) of all, which shared memory
    does not inflate.
    """
    children = list(_children(pid))
    if not children:
        return _kib(pid, "status", "VmRSS:")
    return _kib(pid, "smaps_rollup", "Pss:") + sum(_pss_kib(child) for child in children)


def _pss_kib(pid: int) -> int:
    return _kib(pid, "smaps_rollup", "Pss:") + sum(_pss_kib(child) for child in _children(pid))


def _ticks(pid: int, *places: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(fields[place]) for place in places)


def _children(pid: int) -> Iterator[int]:
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            yield from map(int, (task / "children").read_text().split())
    except (FileNotFoundError, ProcessLookupError):
        return


def _kib(pid: int, file: str, name: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)
