"""`python -m tests.faults.campaign`: one campaign with progress and a table. Exit status 1 where something is wrong."""

import argparse
import sys

from tests.faults.campaign import campaign
from tests.faults.campaign.troubles import MOMENTS
from tests.harness.campaigns import conduct, judge, make_folder, show

SECONDS_PER_SESSION = 2.0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.campaign", description="Breaks the stack, and checks."
    )
    parser.add_argument("--sessions", type=int, default=campaign.ENOUGH_SESSIONS)
    parser.add_argument("--seed", type=int, default=1, help="the same seed draws the same troubles in the same order")
    parser.add_argument("--charge-points", type=int, default=40)
    parser.add_argument("--minutes", type=float, help="after which no more sessions are begun")
    arguments = parser.parse_args()
    folder = make_folder("faults")
    work = campaign.run(
        sessions=arguments.sessions,
        seed=arguments.seed,
        charge_points=arguments.charge_points,
        deadline_s=60 * arguments.minutes if arguments.minutes else 60 + SECONDS_PER_SESSION * arguments.sessions,
        folder=folder,
        progress=show,
    )
    report = conduct(work, folder)
    tell(report)
    again = f"make faults SESSIONS={report.wanted} SEED={report.seed}"
    return judge(report.problems, folder, again, report.collapses)


def tell(report: campaign.Report) -> None:
    """Prints what happened."""
    print(f"\nseed {report.seed}: {report.sessions} sessions, {report.acknowledged} acknowledged messages, "
          f"{report.commands} commands, {report.top_ups} top-ups,\n"
          f"{len(report.troubles)} troubles in {report.seconds:.0f} s")  # fmt: skip
    for line in coverage(report):
        print(line)
    for impossible in sorted({trouble for trouble in report.troubles if "that needs" in trouble}):
        print(f"NOT DONE: {impossible}")
    for name, count in sorted(report.deaths.items()):
        print(f"  ended: {name:<24}{count:>5}")
    for collapse in report.collapses:
        print(f"ENDED BY ITSELF: {collapse}")


def coverage(report: campaign.Report) -> list[str]:
    """How often something was killed at each failpoint, a line for each kind of process and phase."""
    rows: dict[tuple[str, str], list[str]] = {}
    for kind, phase, point in MOMENTS:
        rows.setdefault((kind, phase), []).append(f"{point} {report.failpoints[kind, phase, point]}")
    table = [f"  {kind:<9}{phase:<10}{', '.join(points)}" for (kind, phase), points in rows.items()]
    head = f"killed at {len(MOMENTS) - len(report.missed)} of {len(MOMENTS)} failpoints:"
    missed = ", ".join(" ".join(moment) for moment in report.missed)
    return [head, *table, *([f"NOT COVERED: {missed}"] if missed else [])]


if __name__ == "__main__":
    sys.exit(main())
