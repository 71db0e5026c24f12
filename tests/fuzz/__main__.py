"""`python -m tests.fuzz`: one campaign with progress and a table at its end. Exit status 1 where something is wrong."""

import argparse
import sys

from standalone.servers import start_redis
from tests.fuzz import campaign
from tests.harness.campaigns import conduct, judge, make_folder, show


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzzes the gateway process.")
    parser.add_argument("--count", type=int, default=100_000, help="frames")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same frames")
    parser.add_argument("--charge-points", type=int, default=24, help="connections at a time")
    arguments = parser.parse_args()
    folder = make_folder("fuzz")
    redis = start_redis(folder / "redis")
    work = campaign.run(
        total=arguments.count,
        seed=arguments.seed,
        charge_points=arguments.charge_points,
        redis_url=redis.url,
        folder=folder,
        progress=show,
    )
    try:
        report = conduct(work, folder)
    finally:
        redis.stop()
    tell(report)
    return judge(report.problems, folder, f"make fuzz COUNT={arguments.count} SEED={arguments.seed}")


def tell(report: campaign.Report) -> None:
    """Prints what happened."""
    frames = report.counts["frames"]
    print(f"\n{frames} frames in {report.seconds:.0f} s ({frames / max(report.seconds, 1):.0f}/s)")
    for name, count in sorted(report.counts.items()):
        print(f"  {name:<32}{count:>10}")
    memory = [rss // campaign.MIB for _, rss in report.memory_kib]
    print(f"  memory in MiB: first {memory[0]}, highest {max(memory)}, last {memory[-1]}")
    print(f"  tasks: {report.tasks[0]} before, {report.tasks[1]} after")


if __name__ == "__main__":
    sys.exit(main())
