"""Golden frames of real kinds of charge points, as JSON files, and how they are read. No test lives here."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "quirks"


@dataclass(frozen=True)
class Case:
    """A frame that is refused with `refused`, and taken as `repaired` once `quirk` is set."""

    quirk: str
    name: str
    action: str
    frame: bytes
    refused: str
    repaired: bytes


def frame_cases() -> list[Case]:
    """Every golden frame of a quirk that concerns single frames."""
    cases = []
    for file in sorted(FOLDER.glob("*.json")):
        document: dict[str, Any] = json.loads(file.read_bytes())
        for case in document.get("cases", []):
            texts = {name: case[name].encode() for name in ("frame", "repaired")}
            cases.append(Case(document["quirk"], case["name"], case["action"], refused=case["refused"], **texts))
    return cases
