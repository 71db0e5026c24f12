"""One campaign: a gateway process, frames thrown at it, and what must hold of it afterwards. Figures come back."""

import asyncio
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from api.bus import end_tasks
from standalone.servers import free_port
from tests.fuzz.frames import Frames
from tests.fuzz.sides import FuzzingChargePoint, Listener
from tests.harness.stack import eventually

SUSPECT = re.compile(rb"Traceback|never retrieved|never awaited|was destroyed|\[(error|critical) *\]|(ERROR|CRITICAL) ")
START_DEADLINE_S = 30.0
WARM_UP = 0.3
"""Share of the frames after which memory must be flat."""
MOST_GROWTH_KIB = 24 * 1024
COMMAND_EVERY_S = 0.02
MIB = 1024


@dataclass
class Report:
    """What happened, and what is wrong; nothing is wrong where `problems` is empty."""

    seconds: float = 0
    counts: Counter[str] = field(default_factory=Counter)
    memory_kib: list[tuple[int, int]] = field(default_factory=list)
    """(frames sent, resident set) over time."""
    tasks: tuple[int, int] = (0, 0)
    problems: list[str] = field(default_factory=list)

    def judge_memory(self) -> None:
        """Flat after the warm-up: the last tenth against the first samples after it."""
        total = self.memory_kib[-1][0]
        warm = [rss for sent, rss in self.memory_kib if sent >= total * WARM_UP]
        if warm and warm[-1] - warm[0] > MOST_GROWTH_KIB:
            self.problems.append(f"memory grew from {warm[0] // MIB} to {warm[-1] // MIB} MiB after the warm-up")


async def run(
    *, total: int, seed: int, charge_points: int, redis_url: str, folder: Path, progress: Callable[[str], None]
) -> Report:
    """Throws `total` frames at a gateway process of its own."""
    prefix, port, operations_port = f"fuzz-{os.getpid()}-{seed}:", free_port(), free_port()
    listener, subscribed = Listener(redis_url, prefix), asyncio.Event()
    serving = asyncio.create_task(listener.serve(subscribed))
    await asyncio.wait_for(subscribed.wait(), START_DEADLINE_S)
    log = folder / "gateway.log"
    process = await _start(log, redis_url, prefix, port, operations_port)
    report = Report()
    commanding = asyncio.create_task(_command(listener))
    try:
        await _until(lambda: _get(operations_port, "/readyz"), process)
        points = [FuzzingChargePoint(n, port, Frames(seed * 1000 + n)) for n in range(charge_points)]
        tasks_before = await _metric(operations_port, "voltuj_gateway_tasks")
        began = time.monotonic()
        await _send(points, total, process, report, progress)
        report.seconds = time.monotonic() - began
        await _until(lambda: _is_empty(operations_port), process)
        report.tasks = (tasks_before, await _metric(operations_port, "voltuj_gateway_tasks"))
        report.counts = sum((point.counts for point in points), Counter()) + listener.counts
    finally:
        await end_tasks(commanding, serving)
        await listener.close()
        with suppress(ProcessLookupError):
            process.terminate()
        status = await process.wait()
    judge(report, status, log)
    return report


async def _start(log: Path, redis_url: str, prefix: str, port: int, operations_port: int) -> asyncio.subprocess.Process:
    environment = {
        "PATH": os.environ["PATH"],
        "REDIS_URL": redis_url,
        "REDIS_PREFIX": prefix,
        "GATEWAY_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "GATEWAY_OPERATIONS_PORT": str(operations_port),
        "GATEWAY_HANDSHAKES_PER_MINUTE": "0",
        "LOG_FORMAT": "console",
        "LOG_LEVEL": "warning",
    }
    with log.open("wb") as output:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ocpp_gateway"), env=environment, stdout=output, stderr=output
        )


async def _send(
    points: list[FuzzingChargePoint],
    total: int,
    process: asyncio.subprocess.Process,
    report: Report,
    progress: Callable[[str], None],
) -> None:
    shares = [total // len(points) + (number < total % len(points)) for number in range(len(points))]
    sending = [asyncio.create_task(point.send(share)) for point, share in zip(points, shares, strict=True)]
    began, pause_s = time.monotonic(), 1.0
    try:
        while True:
            done, running = await asyncio.wait(sending, timeout=pause_s, return_when=asyncio.FIRST_EXCEPTION)
            sent = sum(point.counts["frames"] for point in points)
            report.memory_kib.append((sent, _resident_kib(process.pid)))
            speed = sent / (time.monotonic() - began)
            progress(f"{sent} of {total} frames, {speed:.0f}/s, gateway {report.memory_kib[-1][1] // MIB} MiB")
            failed = [task for task in done if task.exception() is not None]
            if failed or not running:
                break
    finally:
        for task in sending:
            task.cancel()
        results = await asyncio.gather(*sending, return_exceptions=True)
    report.problems += [f"{type(error).__name__}: {error}" for error in results if isinstance(error, Exception)]
    for point in points:
        await point.leave()


async def _command(listener: Listener) -> None:
    while True:
        await asyncio.sleep(COMMAND_EVERY_S)
        await listener.command()


def _resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0
    return next((int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmRSS")), 0)


async def _get(port: int, path: str) -> str:
    async with httpx.AsyncClient(timeout=10) as client:
        with suppress(httpx.HTTPError):
            answer = await client.get(f"http://127.0.0.1:{port}{path}")
            return answer.text if answer.status_code == 200 else ""
    return ""


async def _metric(port: int, name: str) -> int:
    found = re.search(rf"^{name} (\S+)$", await _get(port, "/metrics"), re.MULTILINE)
    return int(float(found[1])) if found else -1


async def _is_empty(port: int) -> bool:
    return await _metric(port, "voltuj_gateway_connections") == 0


async def _until(condition: Callable[[], Awaitable[object]], process: asyncio.subprocess.Process) -> None:
    async def alive_and_well() -> object:
        assert process.returncode is None, "the gateway has ended"
        return await condition()

    await eventually(alive_and_well, "the gateway to answer", START_DEADLINE_S)


def judge(report: Report, status: int, log: Path) -> None:
    """Writes down what is wrong with the process that ended with `status`."""
    report.judge_memory()
    if status != 0:
        report.problems.append(f"the gateway ended with {status}")
    if report.tasks[1] > report.tasks[0]:
        report.problems.append(f"{report.tasks[0]} tasks before, {report.tasks[1]} after")
    lines = [line for line in log.read_bytes().splitlines() if SUSPECT.search(line)]
    report.problems += [f"log: {line.decode(errors='replace')}" for line in lines[:10]]
