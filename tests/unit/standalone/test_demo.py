"""What the demo shows and keeps."""

from pathlib import Path
from typing import Any

import pytest

from standalone.demo import Demo, describe, load_demo
from standalone.folder import write_private
from standalone.problems import Problem


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"energy_wh": 12_345, "total_minor": 6790, "currency": "CZK"}, "12.345 kWh, 67.90 CZK"),
        ({"energy_wh": 9, "total_minor": 5, "currency": "CZK"}, "0.009 kWh, 0.05 CZK"),
        ({"energy_wh": 183, "total_minor": None, "currency": None}, "0.183 kWh, no price"),
        ({"energy_wh": None, "total_minor": None, "currency": None}, "energy unknown, no price"),
    ],
)
def test_a_transaction_in_words(fields: dict[str, Any], expected: str) -> None:
    assert describe(fields) == expected


def test_passwords_differ_between_installations() -> None:
    first, second = Demo(), Demo()
    assert len({first.owner.password, first.guest.password, second.owner.password, second.guest.password}) == 4


@pytest.mark.parametrize("content", [{}, {"owner": {}, "guest": {}}, {"owner": 3, "guest": 4}])
def test_a_broken_file_is_named(tmp_path: Path, content: dict[str, Any]) -> None:
    write_private(tmp_path / "demo.json", content)
    with pytest.raises(Problem, match=r"demo\.json is broken"):
        load_demo(tmp_path / "demo.json")
