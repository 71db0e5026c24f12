"""The load generator's processes for one target, and one measured run of them: speed, latency, cost, losses."""

import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

import orjson

from bench.stack import BenchError, Target
from bench.usage import cpu_s, memory_kib
from standalone.databases import REPOSITORY
from standalone.tether import tether

DAY_MS: Final = 24 * 3600 * 1000
LOAD: Final = "load generator"


@dataclass
class Measurement:
    """One run, or the medians of several. CPU is in microseconds a message, memory in MiB, latencies in ms."""

    target: str
    per_second: float
    latency_ms: dict[int, float]
    cpu_us: dict[str, float]
    memory_mib: dict[str, float]
    seconds: float
    answered: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    sent_away: int = 0
    """Handshakes that were answered with 503, and tried again."""

    @property
    def stack_cpu_us(self) -> float:
        """Of all server processes together."""
        return sum(cost for name, cost in self.cpu_us.items() if name != LOAD)

    @property
    def stack_memory_mib(self) -> float:
        """Of all server processes together."""
        return sum(size for name, size in self.memory_mib.items() if name != LOAD)


class Fleet:
    """Charge points numbered from `first`, spread over processes, all of one target."""

    def __init__(self, target: Target, first: int, count: int, *, key: str, workers: int) -> None:
        self.target, self.first, self.count = target, first, count
        clock_ms = int(time.time() * 1000) - 30 * DAY_MS
        shares = [count // workers + (place < count % workers) for place in range(workers)]
        starts = [first + sum(shares[:place]) for place in range(workers)]
        self._workers = [
            _worker({"port": target.port, "first": start, "count": share, "key": key, "clock_ms": clock_ms})
            for start, share in zip(starts, shares, strict=True)
        ]

    def connect(self, script: str) -> Measurement:
        """Connects every charge point and lets it speak `script` to the end."""
        return self._measured({"do": "connect", "script": script})

    def closed_loop(self, script: str, seconds: float) -> Measurement:
        """As many messages as the answers allow."""
        return self._measured({"do": "run", "script": script, "seconds": seconds})

    def open_loop(self, script: str, seconds: float, rate: float) -> Measurement:
        """`rate` messages a second in all."""
        return self._measured({"do": "run", "script": script, "seconds": seconds, "rate": rate / len(self._workers)})

    def close(self) -> None:
        """Ends the processes, and with them the connections."""
        for worker in self._workers:
            if worker.stdin is not None:
                worker.stdin.close()
        for worker in self._workers:
            worker.wait()

    def _measured(self, order: dict[str, Any]) -> Measurement:
        before = self._cpu_s()
        with ThreadPoolExecutor(len(self._workers)) as pool:
            results = list(pool.map(lambda worker: _ask(worker, order), self._workers))
        spent = {name: cost - before[name] for name, cost in self._cpu_s().items()}
        return self._measurement(results, spent)

    def _measurement(self, results: list[dict[str, Any]], spent: dict[str, float]) -> Measurement:
        answered: Counter[str] = sum((Counter(result["answered"]) for result in results), Counter())
        messages = answered.total()
        seconds = max(result["seconds"] for result in results)
        memory = {name: memory_kib(pid) / 1024 for name, pid in self.target.processes.items()}
        return Measurement(
            self.target.name,
            messages / seconds if seconds else 0.0,
            percentiles([latency for result in results for latency in result["latencies_us"]]),
            {name: 1e6 * cost / max(messages, 1) for name, cost in spent.items()},
            memory,
            seconds,
            answered,
            sum((Counter(result["errors"]) for result in results), Counter()),
            sum(result["unanswered"] for result in results),
            sum(result["sent_away"] for result in results),
        )

    def _cpu_s(self) -> dict[str, float]:
        costs = {name: cpu_s(pid) for name, pid in self.target.processes.items()}
        return costs | {LOAD: sum(cpu_s(worker.pid) for worker in self._workers)}


def percentiles(latencies_us: list[int]) -> dict[int, float]:
    """p50, p95 and p99 in milliseconds."""
    ordered = sorted(latencies_us)
    return {p: ordered[len(ordered) * p // 100] / 1000 if ordered else 0.0 for p in (50, 95, 99)}


def medians(rounds: list[Measurement]) -> Measurement:
    """Each figure's median; counts are sums."""
    return Measurement(
        rounds[0].target,
        median(m.per_second for m in rounds),
        {p: median(m.latency_ms[p] for m in rounds) for p in rounds[0].latency_ms},
        {name: median(m.cpu_us[name] for m in rounds) for name in rounds[0].cpu_us},
        {name: median(m.memory_mib[name] for m in rounds) for name in rounds[0].memory_mib},
        median(m.seconds for m in rounds),
        sum((m.answered for m in rounds), Counter()),
        sum((m.errors for m in rounds), Counter()),
        sum(m.unanswered for m in rounds),
        sum(m.sent_away for m in rounds),
    )


def _worker(settings: dict[str, Any]) -> subprocess.Popen[bytes]:
    worker = subprocess.Popen(
        [sys.executable, "-m", "bench.load"],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=tether(signal.SIGTERM),  # noqa: PLW1509 - only a system call, from the main thread
    )
    _tell(worker, settings)
    return worker


def _tell(worker: subprocess.Popen[bytes], order: dict[str, Any]) -> None:
    if worker.stdin is None:
        raise BenchError("a load generator was started without a pipe")
    worker.stdin.write(orjson.dumps(order) + b"\n")
    worker.stdin.flush()


def _ask(worker: subprocess.Popen[bytes], order: dict[str, Any]) -> dict[str, Any]:
    _tell(worker, order)
    line = worker.stdout.readline() if worker.stdout is not None else b""
    if not line:
        raise BenchError(f"a load generator ended with {worker.wait()} while it did {order}")
    result: dict[str, Any] = orjson.loads(line)
    return result
