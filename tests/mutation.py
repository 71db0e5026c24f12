"""Mutation tests of `api/accounting`: breaks the money code in every small way and counts what its tests notice.

`make mutation` runs it. Only what a failing test killed counts; a mutant that timed out does not.
"""

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Final

LEAST_PERCENT: Final = 90
FOLDER: Final = Path("mutants")
KILLED: Final = "killed"
VERDICTS: Final = {0: "survived", 1: KILLED, 3: KILLED, -24: "timeout", 24: "timeout", 36: "timeout", 152: "timeout"}
"""By the exit code of a mutant's tests; 3 is an error inside pytest, the others are a limit of CPU or time."""
COLUMNS: Final = (KILLED, "survived", "timeout", "other")


def main(children: str) -> int:
    """0 where enough mutants were killed, 1 where not, 2 where they could not be made or tested."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    print("Thousands of mutants are made and tested, for some ten minutes; mutants.log says how far it is.", flush=True)
    with Path("mutants.log").open("w") as log:
        ran = subprocess.run(
            [sys.executable, "-m", "mutmut", "run", "--max-children", children], stdout=log, stderr=log, check=False
        )
    counts = {path: count(path) for path in sorted(FOLDER.glob("api/accounting/*.meta"))}
    total = sum(counts.values(), Counter[str]())
    if ran.returncode != 0 or not total:
        print("The mutants could not be made or tested; mutants.log says why.", file=sys.stderr)
        return 2
    print(f"{'':24}" + "".join(f"{column:>10}" for column in (*COLUMNS, "percent")))
    for path, counted in counts.items():
        if counted:
            print(row(path.name.removesuffix(".meta"), counted))
    print(row("all", total))
    enough = total[KILLED] * 100 >= LEAST_PERCENT * total.total()
    print(f"{'At least' if enough else 'Less than'} {LEAST_PERCENT} % of the mutants were killed.")
    print("`mutmut results` lists the others, `mutmut show NAME` shows one.")
    return 0 if enough else 1


def count(path: Path) -> Counter[str]:
    """The verdicts of one file's mutants."""
    codes = json.loads(path.read_text())["exit_code_by_key"].values()
    return Counter(VERDICTS.get(code, "other") for code in codes)


def row(name: str, counted: Counter[str]) -> str:
    """A line of the table."""
    numbers = "".join(f"{counted[column]:>10}" for column in COLUMNS)
    return f"{name:24}{numbers}{counted[KILLED] * 100 / counted.total():>10.1f}"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:] or ("2",)))
