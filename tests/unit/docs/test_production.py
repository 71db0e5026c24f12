"""docs/production.md, "How it is shown": every file exists, and every test that it names."""

import re

from standalone.databases import REPOSITORY

PAGE = (REPOSITORY / "docs" / "production.md").read_text()
SHOWN = PAGE.partition("## How it is shown")[2].partition("\n# ")[0]
NAMED = re.findall(r"`(tests/[\w./-]+)(?:::(\w+))?`", SHOWN)


def test_every_file_and_test_that_is_named_exists() -> None:
    assert len(NAMED) > 30
    for path, test in NAMED:
        found = REPOSITORY / path
        assert found.exists(), path
        assert not test or re.search(rf"def {test}\(", found.read_text()), f"{path}::{test}"


def test_every_deploy_test_is_in_it() -> None:
    files = {f"tests/deploy/{each.name}" for each in (REPOSITORY / "tests" / "deploy").glob("test_*.py")}
    assert files <= {path for path, _ in NAMED}
