"""docs/production.md, "How it is shown": every file exists, and every test that it names."""

from standalone.databases import REPOSITORY
from tests.unit.docs.named import named_in

PAGE = (REPOSITORY / "docs" / "production.md").read_text()
SHOWN = PAGE.partition("## How it is shown")[2].partition("\n# ")[0]


def test_every_file_and_test_that_is_named_exists() -> None:
    assert len(named_in(SHOWN, "tests")) > 30


def test_every_deploy_test_is_in_it() -> None:
    files = {f"tests/deploy/{each.name}" for each in (REPOSITORY / "tests" / "deploy").glob("test_*.py")}
    assert files <= {path for path, _ in named_in(SHOWN, "tests")}
