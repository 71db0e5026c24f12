"""The data folder of one installation: its layout, its lock, its secrets, and what earlier runs left running.

Nothing is started here.
"""

import fcntl
import json
import os
import secrets
import signal
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from standalone.problems import Problem

ENDING_S = 10.0
"""How long a left-over may take to end; PostgreSQL on the way down needs it, the others have nobody to talk to."""
START_TIME_TOLERANCE_S = 2.0
"""Start times come from clock ticks and the boot time; two processes with one pid are farther apart."""
LARGEST_LOG_BYTES = 20_000_000


@dataclass(frozen=True)
class Secrets:
    """What this installation made up for itself, once."""

    database_password: str
    jwt_secret: str


class Folder:
    """An open data folder; nobody else can open it until it is closed.

    Raises:
        Problem: it cannot be made or written, or somebody else has it open.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.postgres = self.path / "postgres"
        self.redis = self.path / "redis"
        self.logs = self.path / "logs"
        self.demo = self.path / "demo.json"
        self.simulator_state = self.path / "simulator.json"
        self._processes = self.path / "processes.json"
        self._secrets = self.path / "secrets.json"
        self._lock: int | None = None

    def __enter__(self) -> Self:
        try:
            # As root PostgreSQL runs as another user, who must be able to pass through.
            self.path.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
            self.logs.mkdir(mode=0o700, exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise Problem(f"The data folder {self.path} cannot be used: {error.strerror}.") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise Problem(
                f"Voltuj already runs on the data folder {self.path}: stop it first, or choose another one with --data."
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            os.close(self._lock)

    def log(self, name: str) -> Path:
        """The log of a program; the older part is put aside when it has grown large."""
        path = self.logs / f"{name}.log"
        if path.exists() and path.stat().st_size > LARGEST_LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return path

    def secrets(self) -> Secrets:
        """The secrets of this installation, made at the first start.

        Raises:
            Problem: the file cannot be read, or holds something else.
        """
        kept = read_private(self._secrets)
        if kept is None:
            made = Secrets(secrets.token_urlsafe(24), secrets.token_urlsafe(48))
            write_private(self._secrets, asdict(made))
            return made
        try:
            return Secrets(str(kept["database_password"]), str(kept["jwt_secret"]))
        except KeyError as error:
            raise Problem(
                f"{self._secrets} is broken: {error} is missing. Restore it, or move it away: everybody logs in anew."
            ) from error

    def remember(self, processes: list[psutil.Process]) -> None:
        """Writes down what runs now, for the case that we are killed."""
        running = {str(process.pid): process.create_time() for process in processes if process.is_running()}
        write_private(self._processes, running)

    def end_left_overs(self) -> list[str]:
        """Ends what a killed run left behind, known by process id and start time; returns the names of the programs."""
        left = [*self._remembered(), *self._left_over_postgres()]
        names = [process.name() for process in left]
        for process in reversed(left):
            _end(process)
        self._processes.unlink(missing_ok=True)
        return names

    def _remembered(self) -> list[psutil.Process]:
        try:
            kept = read_private(self._processes) or {}
        except Problem:
            return []
        return [process for pid, started in kept.items() if (process := _same_process(int(pid), started)) is not None]

    def _left_over_postgres(self) -> list[psutil.Process]:
        """The process in line 1 of postmaster.pid, if its command line names our data folder."""
        data = self.postgres / "data"
        try:
            process = psutil.Process(int((data / "postmaster.pid").read_text().split("\n", 1)[0]))
            return [process] if str(data) in process.cmdline() else []
        except (OSError, ValueError, psutil.Error):
            return []


def read_private(path: Path) -> dict[str, Any] | None:
    """A JSON object that only we may read; None where there is none yet.

    Raises:
        Problem: it cannot be read, or is no JSON object.
    """
    try:
        kept = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Problem(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise Problem(f"{path} is broken (no JSON): restore it, or move it away.") from error
    if not isinstance(kept, dict):
        raise Problem(f"{path} is broken (no JSON object): restore it, or move it away.")
    return kept


def write_private(path: Path, content: dict[str, Any]) -> None:
    """Replaces the file in one step; only we may read it.

    Raises:
        Problem: it cannot be written.
    """
    draft = path.with_name(path.name + ".new")
    try:
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(content, file, indent=2)
        draft.replace(path)
    except OSError as error:
        raise Problem(f"{path} cannot be written: {error.strerror}.") from error


def _same_process(pid: int, started: float) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        alive = process.status() != psutil.STATUS_ZOMBIE
        return process if alive and abs(process.create_time() - started) < START_TIME_TOLERANCE_S else None
    except psutil.Error:
        return None


def _end(process: psutil.Process) -> None:
    """Asks, waits, kills. SIGINT is PostgreSQL's fast shutdown, and ends our own programs too."""
    try:
        process.send_signal(signal.SIGINT)
        process.wait(ENDING_S)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait()
    except psutil.NoSuchProcess:
        return
