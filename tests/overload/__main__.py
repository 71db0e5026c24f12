"""`python -m tests.overload`: one overload with progress and a verdict. Exit status 1 where something is wrong."""

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from tests.faults.campaign.verdict import MOST_SHOWN
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
    folder = Path(tempfile.mkdtemp(prefix="voltuj-overload-"))
    folder.chmod(0o711)
    sizes = Sizes(arguments.seconds, arguments.in_flight, arguments.charge_points)
    try:
        report = asyncio.run(_bounded(sizes, arguments.seed, folder))
    except KeyboardInterrupt:
        print(f"\nInterrupted; nothing was checked. Logs: {folder}")
        return 130
    if report.problems:
        print(f"\nJournal and logs: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return tell(report)


async def _bounded(sizes: Sizes, seed: int, folder: Path) -> campaign.Report:
    async with asyncio.timeout(LONGEST_S + 3 * sizes.seconds):
        return await campaign.run(sizes=sizes, seed=seed, folder=folder, progress=_show)


def _show(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def tell(report: campaign.Report) -> int:
    """Prints the report; the exit status."""
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
    for problem in report.problems[:MOST_SHOWN]:
        print(f"WRONG: {problem[:500]}")
    print(f"{len(report.problems)} problems; again with: make overload SECONDS={sizes.seconds:g} SEED={report.seed}")
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
