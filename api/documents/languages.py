"""In which language a reader gets a text, and the catalogues with its words. Neither figures nor layout live here.

The catalogues are gettext `.po` files, read as they are at the first use. The English text is its own key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal, get_args

from babel.messages.pofile import read_po

Language = Literal["cs", "en"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
DEFAULT: Final[Language] = "en"
LOCALES: Final = Path(__file__).parent / "locales"


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of one language."""

    language: Language
    catalogue: Mapping[str, str]

    def say(self, text: str, **values: object) -> str:
        """The text in this language, with its `{places}` filled in."""
        return self.catalogue.get(text, text).format(**values)


def marked(text: str) -> str:
    """Marks a text for the catalogue that is said somewhere else."""
    return text


@cache
def words_of(language: Language) -> Words:
    """The texts of a language; English has none but its keys."""
    if language == DEFAULT:
        return Words(language, {})
    with (LOCALES / f"{language}.po").open("rb") as file:
        entries = read_po(file, locale=language)
    return Words(language, {str(entry.id): str(entry.string) for entry in entries if entry.id and entry.string})


def choose_language(asked: Language | None, accept_language: str, own: str) -> Language:
    """What was asked for, or else the first that the Accept-Language header likes, or else the person's own."""
    if asked is not None:
        return asked
    return next((language for tag in _by_liking(accept_language) if (language := _known(tag))), _known(own) or DEFAULT)


def _known(tag: str) -> Language | None:
    primary = tag.lower().partition("-")[0]
    return primary if primary in LANGUAGES else None


def _by_liking(header: str) -> list[str]:
    """RFC 9110, 12.5.4: tags by their weight, the order of the header among equals."""
    weighed = []
    for part in header.split(","):
        tag, _, parameter = part.partition(";")
        name, _, value = parameter.strip().partition("=")
        weight = value.strip() if name.strip() == "q" else "1"
        if weight.replace(".", "", 1).isdecimal() and weight.strip("0."):
            weighed.append((weight, tag.strip()))
    return [tag for _, tag in sorted(weighed, key=lambda each: each[0], reverse=True)]
