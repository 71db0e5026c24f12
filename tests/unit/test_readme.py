"""The two READMEs say the same: the same headings in the same order, the same commands; their links lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
READMES = [ROOT / "README.md", ROOT / "README.cs.md"]


def parts(readme: Path, pattern: str) -> list[str]:
    return re.findall(pattern, readme.read_text(), re.MULTILINE | re.DOTALL)


def test_the_commands_are_the_same() -> None:
    english, czech = (parts(readme, r"^ *```sh\n(.*?)```") for readme in READMES)
    assert english == czech


def test_the_headings_are_of_the_same_levels() -> None:
    english, czech = (parts(readme, r"^(#+) ") for readme in READMES)
    assert english == czech


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.name)
def test_links_lead_somewhere(readme: Path) -> None:
    for target in parts(readme, r"\]\(([^)#:]+)\)"):
        assert (ROOT / target).exists(), target
