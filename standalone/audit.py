"""`make audit`: known vulnerabilities in what the services are locked to. Never green for what could not be looked up.

Exit status 0: looked up and clean; 1: a vulnerability without a valid exception, or an exception out of date; 3: not
audited, because the database of vulnerabilities could not be reached or does not know a package.
"""

import json
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

EXCEPTIONS: Final = Path(__file__).resolve().parent.parent / "deploy" / "audit-exceptions.toml"
NOT_AUDITED: Final = 3
SOURCES: Final = ("pypi", "osv")


@dataclass(frozen=True)
class Known:
    """A vulnerability that we live with until a day, and why."""

    id: str
    package: str
    reason: str
    until: date


@dataclass
class Findings:
    """Of one requirements file. `audited` counts the packages that were looked up."""

    audited: int = 0
    skipped: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    excused: tuple[str, ...] = ()

    @property
    def status(self) -> int:
        """The exit status."""
        if self.open:
            return 1
        return NOT_AUDITED if self.skipped or not self.audited else 0


def read_exceptions(path: Path) -> list[Known]:
    """The exceptions file: an array `exception` with id, package, reason and until of each."""
    entries = tomllib.loads(path.read_text())["exception"]
    return [Known(entry["id"], entry["package"], entry["reason"], entry["until"]) for entry in entries]


def judge(report: Mapping[str, Any], exceptions: Sequence[Known], today: date) -> Findings:
    """What a report of pip-audit in JSON comes to."""
    skipped, found, excused, audited = [], [], [], 0
    for dependency in report["dependencies"]:
        if "skip_reason" in dependency:
            skipped.append(dependency["name"])
            continue
        audited += 1
        for vulnerability in dependency["vulns"]:
            names = {vulnerability["id"], *vulnerability.get("aliases", ())}
            known = next((k for k in exceptions if k.id in names and k.package == dependency["name"]), None)
            what = f"{dependency['name']} {dependency['version']}: {vulnerability['id']}"
            if known is None:
                found.append(what)
            elif known.until < today:
                found.append(f"{what} (its exception ended on {known.until})")
            else:
                excused.append(f"{what} until {known.until}: {known.reason}")
    return Findings(audited, tuple(skipped), tuple(found), tuple(excused))


def audit(requirements: str, exceptions: Sequence[Known], today: date) -> Findings:
    """Looks a requirements file up in the first database that answers for all of it."""
    findings = Findings(skipped=("everything",))
    for source in SOURCES:
        command = [
            *(sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--progress-spinner", "off"),
            *("--vulnerability-service", source, "--format", "json", "--requirement", requirements),
        ]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        try:
            findings = judge(json.loads(result.stdout), exceptions, today)
        except (json.JSONDecodeError, KeyError):
            continue
        if findings.open or not findings.skipped:
            return findings
    return findings


def main(files: Sequence[str]) -> int:
    exceptions, today = read_exceptions(EXCEPTIONS), datetime.now(UTC).date()
    worst = 0
    for requirements in files:
        findings = audit(requirements, exceptions, today)
        tell(requirements, findings)
        worst = {0: worst, 1: 1, NOT_AUDITED: worst or NOT_AUDITED}[findings.status]
    return worst


def tell(requirements: str, findings: Findings) -> None:
    """Prints the findings of one file."""
    said = {0: "clean", 1: "VULNERABLE", NOT_AUDITED: "NOT AUDITED"}[findings.status]
    print(f"{requirements}: {said} ({findings.audited} looked up, {len(findings.skipped)} not)")
    for line in findings.open:
        print(f"  {line}")
    for line in findings.excused:
        print(f"  excused: {line}")
    if findings.skipped:
        print("  no database of vulnerabilities answered for: " + ", ".join(findings.skipped[:5])
              + (", ..." if len(findings.skipped) > 5 else ""))  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
