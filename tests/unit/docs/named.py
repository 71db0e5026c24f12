"""What a page of docs/ names in backticks, `file` or `file::test`, and that it exists."""

import re

from standalone.databases import REPOSITORY


def named_in(text: str, folders: str) -> list[tuple[str, str]]:
    """Files below these folders (a|b) with the test behind them, which may be ""; each of them exists."""
    named: list[tuple[str, str]] = re.findall(rf"`((?:{folders})/[\w./-]+)(?:::(\w+))?`", text)
    for path, test in named:
        found = REPOSITORY / path
        assert found.exists(), path
        assert not test or re.search(rf"def {test}\(", found.read_text()), f"{path}::{test}"
    return named
