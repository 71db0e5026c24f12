"""docs/security.md claims nothing that is not there, and leaves out no requirement that the standard asks of us."""

import re

from standalone.databases import REPOSITORY
from tests.unit.docs.named import named_in

PAGE = (REPOSITORY / "docs" / "security.md").read_text()
ROOMS = "api|ocpp_gateway|wire|standalone|tests|docs|apache|deploy"
SECTIONS = """
1.1:1-2 1.2:1-9 1.3:1-11 1.4:1-3 1.5:1-2
2.1:1-3 2.2:1-3 2.3:1-4 2.4:1-1
3.2:1-2 3.3:1-4 3.4:1-6 3.5:1-5 3.7:1-2
4.1:1-3 4.2:1-1 4.3:1-2 4.4:1-4
5.1:1-1 5.2:1-3 5.3:1-2 5.4:1-3
6.1:1-3 6.2:1-12 6.3:1-4 6.4:1-4 6.5:1-5 6.6:1-3 6.8:1-4
7.1:1-3 7.2:1-4 7.3:1-2 7.4:1-5 7.5:1-2 7.6:1-2
8.1:1-2 8.2:1-3 8.3:1-1 8.4:1-1
9.1:1-3 9.2:1-4
10.1:1-2 10.2:1-2 10.3:1-4 10.4:1-11 10.5:1-5 10.6:1-2 10.7:1-3
11.1:1-2 11.2:1-3 11.3:1-3 11.4:1-4 11.5:1-1 11.6:1-1
12.1:1-3 12.2:1-2 12.3:1-4
13.1:1-1 13.2:1-5 13.3:1-2 13.4:1-5
14.1:1-2 14.2:1-4 14.3:1-3
15.1:1-3 15.2:1-3 15.3:1-7
16.1:1-1 16.2:1-5 16.3:1-4 16.4:1-3 16.5:1-3
17.1:1-1 17.2:1-4 17.3:1-2
"""
"""Of ASVS 5.0.0, levels 1 and 2: the first and last requirement of each section."""


def _range(section: str, first: str, last: str) -> list[str]:
    return [f"{section}.{number}" for number in range(int(first), int(last) + 1)]


def _asked() -> list[str]:
    return [each for found in re.findall(r"(\S+):(\d+)-(\d+)", SECTIONS) for each in _range(*found)]


def _answered() -> list[str]:
    """Every number in the first cells of the tables of the standard, ranges written out."""
    standard = PAGE[PAGE.index("## ASVS") : PAGE.index("## Keys")]
    answered: list[str] = []
    for cell in re.findall(r"^\| (\d[\d., to]*?) \|", standard, re.MULTILINE):
        for part in cell.split(", "):
            first, _, last = part.partition(" to ")
            section, _, number = first.rpartition(".")
            answered += _range(section, number, (last or first).rpartition(".")[2])
    return answered


def test_every_requirement_of_the_standard_is_answered_once() -> None:
    assert sorted(_answered()) == sorted(_asked())


def test_every_file_and_test_that_is_named_exists() -> None:
    assert len(named_in(PAGE, ROOMS)) > 80


def test_every_row_names_a_file_or_says_why_not() -> None:
    rows = re.findall(r"^\| (?!threat|risk|section|requirement).+\|$", PAGE[: PAGE.index("## Keys")], re.MULTILINE)
    assert len(rows) > 150
    for row in rows:
        assert "`" in row.rsplit(" | ", 1)[1] or "not apply" in row, row
