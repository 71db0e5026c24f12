"""`python -m tests.fuzz`: one campaign with progress and a table at its end. Exit status 1 where something is wrong."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from standalone.servers import start_redis
from tests.fuzz import campaign
from tests.harness.campaigns import show


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzzes the gateway process.")
    parser.add_argument("--count", type=int, default=100_000, help="frames")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same frames")
    parser.add_argument("--charge-points", type=int, default=24, help="connections at a time")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="voltuj-fuzz-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        redis = start_redis(folder / "redis")
        try:
            report = asyncio.run(
                campaign.run(
                    total=arguments.count,
                    seed=arguments.seed,
                    charge_points=arguments.charge_points,
                    redis_url=redis.url,
                    folder=folder,
                    progress=show,
                )
            )
        finally:
            redis.stop()
    return _tell(report)


def _tell(report: campaign.Report) -> int:
    frames = report.counts["frames"]
    print(f"\n{frames} frames in {report.seconds:.0f} s ({frames / max(report.seconds, 1):.0f}/s)")
    for name, count in sorted(report.counts.items()):
        print(f"  {name:<32}{count:>10}")
    memory = [rss // campaign.MIB for _, rss in report.memory_kib]
    print(f"  memory in MiB: first {memory[0]}, highest {max(memory)}, last {memory[-1]}")
    print(f"  tasks: {report.tasks[0]} before, {report.tasks[1]} after")
    for problem in report.problems:
        print(f"WRONG: {problem}")
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
