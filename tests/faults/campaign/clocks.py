"""The time of day of a process under test, moved while it runs: a library that is compiled here and preloaded there.

The product knows nothing of it. Where there is no C compiler, or no Linux, clocks stay as they are.
"""

import mmap
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).with_name("clock.c")
NANOSECONDS: Final = 1_000_000_000
OFFSET: Final = struct.Struct("=q")


def compile_library(folder: Path) -> Path | None:
    """The library, made in `folder`; None where it cannot be made."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        return None
    library = folder / "clock.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE)]
    return library if subprocess.run(command, capture_output=True, check=False).returncode == 0 else None


class Clock:
    """What one process takes for the time. It starts right."""

    def __init__(self, library: Path, path: Path) -> None:
        path.write_bytes(OFFSET.pack(0))
        with path.open("r+b") as file:
            self._offset = mmap.mmap(file.fileno(), OFFSET.size)
        self.settings = {"LD_PRELOAD": str(library), "MOVED_CLOCK": str(path)}
        """Of the environment of the process."""

    def move(self, seconds: float) -> None:
        """The process reads a time that is ahead by so much from now on; 0 is right."""
        self._offset[:] = OFFSET.pack(round(seconds * NANOSECONDS))
