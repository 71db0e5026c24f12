"""What the doctor says of one thing. No check lives here."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's table; `advice` is what to do, empty where all is well."""

    subject: str
    verdict: Verdict
    found: str
    advice: str = ""


def healthy(subject: str, found: str) -> Finding:
    """All is well."""
    return Finding(subject, "ok", found)


def doubtful(subject: str, found: str, advice: str) -> Finding:
    """It works, and somebody should look."""
    return Finding(subject, "warn", found, advice)


def broken(subject: str, found: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(subject, "fail", found, advice)
