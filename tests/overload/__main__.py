"""`python -m tests.overload`: one overload with progress and a verdict. Exit status 1 where something is wrong."""

import argparse
import asyncio
import sys
from pathlib import Path

from tests.harness.campaigns import conduct, judge, make_folder, show
from tests.overload import campaign
from tests.overload.campaign import GATEWAYS, LISTENERS, TIMES, Sizes

LONGEST_S = 300.0
"""For everything beside the load itself."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.overload", description="Overloads the stack, and checks.")
    parser.add_argument("--seconds", type=float, default=20, help="how long the flood talks")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--in-flight", type=int, default=20, help="slots of a gateway at a listener")
    parser.add_argument("--charge-points", type=int, default=6, help="whose sessions are judged")
    arguments = parser.parse_args()
    folder = make_folder("overload")
    sizes = Sizes(arguments.seconds, arguments.in_flight, arguments.charge_points)
    report = conduct(_bounded(sizes, arguments.seed, folder), folder)
    tell(report)
    return judge(report.problems, folder, f"make overload SECONDS={sizes.seconds:g} SEED={report.seed}")


async def _bounded(sizes: Sizes, seed: int, folder: Path) -> campaign.Report:
    async with asyncio.timeout(LONGEST_S + 3 * sizes.seconds):
        return await campaign.run(sizes=sizes, seed=seed, folder=folder, progress=show)


def tell(report: campaign.Report) -> None:
    """Prints what happened."""
    sizes = report.sizes
    pauses_s = f"{min(report.pauses_s, default=0)} to {max(report.pauses_s, default=0)} s"
    print(f"\nseed {report.seed}: {GATEWAYS * sizes.flood} charge points, {TIMES} times as many as {GATEWAYS} gateways "
          f"have slots at {LISTENERS} listeners; {report.seconds:.0f} s in all")  # fmt: skip
    print(f"  readings answered:   {report.capacity_per_s:.0f}/s with the slots full, "
          f"{report.overloaded_per_s:.0f}/s with {TIMES} times as many")  # fmt: skip
    print(f"  acknowledged:        {report.acknowledged} messages, {report.sessions} sessions")
    print(f"  handshakes refused:  {report.refusals['503']} with 503, Retry-After {pauses_s}")
    print(f"  after the load:      all back and served in {report.storm_s:.1f} s, calm in {report.recovery_s:.1f} s")
    for name, highest in sorted(report.memory.highest.items()):
        print(f"  {name:<20} {report.memory.began[name]:.0f} MiB before, {highest:.0f} MiB at most")


if __name__ == "__main__":
    sys.exit(main())
