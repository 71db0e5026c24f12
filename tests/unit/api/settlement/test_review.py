"""Every reason to hold a session has words and a suggestion, and of several the most careful counts."""

import pytest

from api.accounting import plausibility
from api.documents.languages import words_of
from api.settlement.review import REASONS, Suggestion, explain, suggest
from api.transactions import held


def test_no_reason_is_without_words() -> None:
    for room in (held, plausibility):
        for name, value in vars(room).items():
            if name.isupper() and isinstance(value, str):
                assert value in REASONS, name
                assert explain(value, words_of("cs")) != explain(value, words_of("en"))


@pytest.mark.parametrize(
    ("reasons", "suggestion"),
    [
        (["energy_above_rated_power"], "bill"),
        (["energy_above_rated_power", "register_backwards"], "correct"),
        (["register_backwards", "id_tag_not_accepted"], "waive"),
        (["id_tag_not_accepted", "refused"], "replay"),
        (["second_start", "unheard_of"], None),
        ([], None),
    ],
)
def test_the_most_careful_suggestion_counts(reasons: list[str], suggestion: Suggestion | None) -> None:
    assert suggest(reasons) == suggestion
