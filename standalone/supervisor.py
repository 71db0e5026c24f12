"""The processes of one installation: started in order, watched, started again, stopped in reverse order.

What the programs are and how they are told what to do is not known here.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import psutil

from standalone.folder import Folder
from standalone.interrupts import Interrupts
from standalone.problems import ChildEndedError, Problem
from standalone.servers import ServerError
from standalone.tether import tether

STOP_TIMEOUT_S = 20.0
HARD_TIMEOUT_S = 5.0
POLL_S = 0.05
FIRST_RESTART_S = 1.0
LONGEST_RESTART_S = 30.0
LONG_ENOUGH_S = 60.0
"""A program that ran this long starts its back-off anew."""
LONGEST_REASON = 300


@dataclass
class Part:
    """One process of the installation; `start` starts it and returns when it may be relied on."""

    name: str
    log: Path
    start: Callable[[], "subprocess.Popen[bytes]"]
    stop_signal: signal.Signals = signal.SIGTERM
    hard_signal: signal.Signals = signal.SIGKILL
    cleans_up: bool = False
    """Its `start` takes time, may be interrupted, and then leaves nothing behind."""
    process: "subprocess.Popen[bytes] | None" = None
    log_offset: int = 0
    started_at: float = 0.0
    failures: int = 0
    restart_at: float | None = None

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self.process is not None and self.process.poll() is None

    def last_words(self) -> str:
        """The last line that it logged since it was started."""
        try:
            with self.log.open("rb") as file:
                file.seek(self.log_offset)
                lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
        except OSError:
            lines = []
        return _readable(lines[-1].strip())[:LONGEST_REASON] if lines else "it said nothing"


class Supervisor:
    """Keeps `parts` running, in the order in which they were started."""

    def __init__(self, folder: Folder, interrupts: Interrupts) -> None:
        self.parts: list[Part] = []
        self._folder = folder
        self._interrupts = interrupts

    def start(self, part: Part) -> None:
        """Starts a part and keeps it from now on.

        Raises:
            ServerError, Problem: it does not start.
        """
        self.parts.append(part)
        self._start(part)

    def _start(self, part: Part) -> None:
        part.log_offset = part.log.stat().st_size if part.log.exists() else 0
        part.restart_at, part.started_at = None, time.monotonic()
        with nullcontext() if part.cleans_up else self._interrupts.held():
            part.process = part.start()
        self._remember()

    def _remember(self) -> None:
        running = [psutil.Process(part.process.pid) for part in self.parts if part.process and part.running]
        self._folder.remember(running)

    def check_all_run(self) -> None:
        """For the time of starting: nothing may have ended.

        Raises:
            ChildEndedError: something has; says what, why, and where its log is.
        """
        for part in self.parts:
            if part.process is not None and not part.running:
                code = part.process.returncode
                raise ChildEndedError(
                    f"The {part.name} ended at once (exit code {code}): {part.last_words()} (log: {part.log})"
                )

    def watch(self) -> list[str]:
        """Starts again what has ended, with back-off; returns a sentence for each event."""
        now, sentences = time.monotonic(), []
        for part in self.parts:
            if part.running:
                continue
            if part.restart_at is None:
                sentences.append(self._plan_restart(part, now))
            elif now >= part.restart_at:
                sentences.append(self._restart(part, now))
        return sentences

    def _plan_restart(self, part: Part, now: float) -> str:
        if now - part.started_at > LONG_ENOUGH_S:
            part.failures = 0
        wait_s = min(FIRST_RESTART_S * 2**part.failures, LONGEST_RESTART_S)
        part.failures += 1
        part.restart_at = now + wait_s
        code = part.process.returncode if part.process is not None else None
        return (
            f"The {part.name} ended (exit code {code}): {part.last_words()} (log: {part.log}). "
            f"It is started again in {wait_s:.0f} s."
        )

    def _restart(self, part: Part, now: float) -> str:
        try:
            self._start(part)
        except (ServerError, Problem) as error:
            part.process = None
            return f"{error} {self._plan_restart(part, now)}"
        return f"The {part.name} is started again."

    def stop(self, say: Callable[[str], None]) -> None:
        """Stops everything, last started first. Another Ctrl-C makes it hard."""
        self._interrupts.count_from_now()
        for part in reversed(self.parts):
            if part.running:
                say(part.name)
                self._stop(part)
        self._remember()

    def _stop(self, part: Part) -> None:
        process = part.process
        assert process is not None  # noqa: S101 - narrows the type: only running parts are stopped
        if not self._interrupts.hard:
            process.send_signal(part.stop_signal)
            end = time.monotonic() + STOP_TIMEOUT_S
            while process.poll() is None and time.monotonic() < end and not self._interrupts.hard:
                time.sleep(POLL_S)
        if process.poll() is None:
            process.send_signal(part.hard_signal)
            try:
                process.wait(HARD_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def spawn(command: list[str], log: Path, environment: dict[str, str], folder: Path) -> "subprocess.Popen[bytes]":
    """Starts a program in a session of its own, so that Ctrl-C reaches only us; it ends when we are killed."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=folder,
            start_new_session=True,
            preexec_fn=tether(signal.SIGTERM),  # noqa: PLW1509 - only a system call, and we have no other threads
        )


def _readable(line: str) -> str:
    """The message of a JSON log line; any other line as it is."""
    try:
        content = json.loads(line)
    except ValueError:
        return line
    if not isinstance(content, dict):
        return line
    parts = [content.get(key) for key in ("event", "error", "reason", "exception")]
    return ": ".join(str(part).strip().splitlines()[-1] for part in parts if part and str(part).strip()) or line
