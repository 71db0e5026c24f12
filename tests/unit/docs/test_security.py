"""docs/security.md claims nothing that is not there: every file exists, and every test that it names."""

import re

from standalone.databases import REPOSITORY

PAGE = (REPOSITORY / "docs" / "security.md").read_text()
NAMED = re.findall(r"`((?:api|ocpp_gateway|wire|standalone|tests|docs|apache|deploy)/[\w./-]+)(?:::(\w+))?`", PAGE)


def test_every_file_and_test_that_is_named_exists() -> None:
    assert len(NAMED) > 80
    for path, test in NAMED:
        found = REPOSITORY / path
        assert found.exists(), path
        assert not test or re.search(rf"def {test}\(", found.read_text()), f"{path}::{test}"


def test_every_row_names_a_file_or_says_why_not() -> None:
    rows = re.findall(r"^\| (?!threat|risk|section).+\|$", PAGE, re.MULTILINE)
    assert len(rows) > 60
    for row in rows:
        assert "`" in row.rsplit(" | ", 1)[1] or re.search("not apply|we serve no", row), row
