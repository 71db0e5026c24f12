"""The worked examples of docs/tariffs.md come to what they say."""

import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from api.accounting.explain import explain
from api.accounting.money import format_minor
from api.accounting.ocpi import tariff_from_ocpi
from api.accounting.postings import Accounts, Terms, post
from api.accounting.preview import preview

PAGE = Path(__file__).parents[3] / "docs" / "tariffs.md"
EXAMPLES = [
    json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
]


def test_they_are_found() -> None:
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize("example", EXAMPLES)
def test_it_comes_to_what_it_says(example: dict[str, Any]) -> None:
    tariff, session = tariff_from_ocpi(example["tariff"]), example["session"]
    charging_s = session.get("charging_s", session["connected_s"])
    record = preview(
        tariff,
        energy_wh=session["energy_wh"],
        started_at=datetime.fromisoformat(session["from"]),
        connected=timedelta(seconds=session["connected_s"]),
        charging=timedelta(seconds=charging_s),
        time_zone="Europe/Prague",
    )
    assert [explain(line, tariff) for line in record.lines] == example["lines"]
    assert format_minor(record.total_minor, record.currency) == example["total"]
    terms = Terms(example.get("fee_bp", 0), owner_is_vat_registered=True)
    posted = post(record, Accounts("driver", "owner", "platform"), terms)
    told = [f"{t.kind}: {t.debit} to {t.credit} {format_minor(t.amount_minor, t.currency)}" for t in posted]
    assert told == example.get("transfers", [f"charge: driver to owner {example['total']}"])
