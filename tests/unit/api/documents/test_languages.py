"""The language that a reader gets, and catalogues that miss nothing and keep nothing that is not said any more."""

import string
from pathlib import Path
from typing import Any

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from api.documents.languages import LANGUAGES, LOCALES, Language, choose_language, words_of

API = Path(__file__).parents[4] / "api"


@pytest.mark.parametrize(
    ("asked", "header", "own", "chosen"),
    [
        (None, "", "cs", "cs"),
        (None, "", "cs-CZ", "cs"),
        (None, "", "de", "en"),
        (None, "cs", "en", "cs"),
        (None, "de, cs-CZ;q=0.8, en;q=0.9", "cs", "en"),
        (None, "en;q=0.2,cs;q=0.20001", "en", "cs"),
        (None, "cs;q=0, *;q=0.5", "en", "en"),
        (None, "CS", "en", "cs"),
        (None, ";;;,,q=,cs;q=x,\x00", "en", "en"),
        ("en", "cs", "cs", "en"),
    ],
)
def test_the_query_counts_before_the_header_before_the_account(
    asked: Language | None, header: str, own: str, chosen: str
) -> None:
    assert choose_language(asked, header, own) == chosen


def test_every_text_has_its_words_and_every_word_its_text() -> None:
    said = {
        text
        for _, _, text, _, _ in extract_from_dir(
            str(API), method_map=[("**.py", "python")], keywords={"say": None, "marked": None}
        )
    }
    assert len(said) > 50
    for language in set(LANGUAGES) - {"en"}:
        with (LOCALES / f"{language}.po").open("rb") as file:
            entries = {str(entry.id): entry for entry in read_po(file, locale=language) if entry.id}
        assert set(entries) == said
        for text, entry in entries.items():
            assert entry.string, text
            assert not entry.fuzzy, text
            assert places(entry.string) == places(text), text


def places(text: Any) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(str(text)) if name}


def test_what_people_wrote_is_never_a_place_of_a_text() -> None:
    assert words_of("cs").say("{rate} of {base}", rate="{base}", base="{rate}") == "{base} z {rate}"
