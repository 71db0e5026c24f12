"""PostgreSQL and Redis of a campaign, which it kills, fills and starts again on the ports that they keep."""

import asyncio
import os
import shutil
import signal
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from standalone.servers import Server, ServerError, free_port, start_postgres, start_redis
from tests.harness.stack import eventually

START_DEADLINE_S = 60.0
DISK_MIB = 2048
"""Room for the write-ahead log, which PostgreSQL lets grow to 1 GiB, and for what an overload of 20 s leaves behind."""
BALLAST_CHUNK_BYTES = 1 << 20


@dataclass
class Servers:
    """PostgreSQL and Redis on ports that they keep."""

    folder: Path
    postgres: Server
    postgres_port: int
    redis: Server
    redis_port: int
    has_own_disk: bool
    _changing: threading.Lock = field(default_factory=threading.Lock)
    """A start goes on in its thread when nobody waits for it any more; whoever ends the servers comes after it."""

    @classmethod
    def start(cls, folder: Path) -> "Servers":
        """Both, empty. Those that the main thread starts end with this process, however it ends."""
        postgres_port, redis_port = free_port(), free_port()
        has_own_disk = mount_disk(folder / "postgres")
        postgres = start_postgres(folder / "postgres", port=postgres_port)
        redis = start_redis(folder / "redis", port=redis_port)
        return cls(folder, postgres, postgres_port, redis, redis_port, has_own_disk)

    async def crash_postgres(self) -> None:
        """kill -9 for PostgreSQL and all its processes, and a new start that recovers."""
        kill_tree(self.postgres.process.pid)
        self.postgres.process.wait()
        await self.start_postgres()

    async def start_postgres(self) -> None:
        """Starts it again; after a crash its memory may take a moment to be free."""
        await eventually(lambda: asyncio.to_thread(self._start_postgres), "PostgreSQL to start again", START_DEADLINE_S)

    def _start_postgres(self) -> bool:
        with self._changing, suppress(ServerError):
            if self.postgres.process.poll() is not None:
                self.postgres = start_postgres(self.folder / "postgres", port=self.postgres_port)
            return True
        return False

    async def crash_redis(self) -> None:
        """kill -9 for Redis, and an empty one in its place."""
        self.redis.process.kill()
        self.redis.process.wait()
        await asyncio.to_thread(self._start_redis)

    def _start_redis(self) -> None:
        with self._changing:
            if self.redis.process.poll() is not None:
                self.redis = start_redis(self.folder / "redis", port=self.redis_port)

    def fill_disk(self) -> None:
        """Leaves PostgreSQL without a byte to write."""
        with suppress(OSError), self._ballast.open("wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(BALLAST_CHUNK_BYTES))

    async def empty_disk(self) -> None:
        """Gives the space back; PostgreSQL, which may have died of it, is started again."""
        self._ballast.unlink(missing_ok=True)
        if self.postgres.process.poll() is not None:
            await self.start_postgres()

    @property
    def _ballast(self) -> Path:
        return self.folder / "postgres" / "ballast"

    def stop(self) -> None:
        """Ends both."""
        with self._changing:
            self.redis.stop()
            self.postgres.stop()
        if self.has_own_disk:
            subprocess.run(["umount", "--lazy", str(self.folder / "postgres")], check=False)


def mount_disk(folder: Path) -> bool:
    """A small file system for PostgreSQL, which root can make; without it the disk cannot be filled."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=0755", "voltuj-faults", str(folder)]
    return subprocess.run(mount, capture_output=True, check=False).returncode == 0


def kill_tree(pid: int) -> None:
    """SIGKILL for a process and those it started."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.send_signal(signal.SIGKILL)
