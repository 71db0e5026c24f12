"""Which revision of a database this code may serve with."""

import pytest

from api.migrations import Revisions, Standing, known_revisions

REVISIONS = Revisions("c", frozenset({"a", "b"}))


@pytest.mark.parametrize(
    ("found", "standing", "serves"),
    [
        ("c", Standing.OWN, True),
        ("d", Standing.LATER, True),
        ("b", Standing.EARLIER, False),
        ("a", Standing.EARLIER, False),
        ("", Standing.NONE, False),
    ],
)
def test_standing(found: str, standing: Standing, serves: bool) -> None:
    assert REVISIONS.standing(found) is standing
    assert standing.serves is serves


def test_every_revision_but_the_newest_is_an_earlier_one() -> None:
    known = known_revisions()
    assert "7b1406f4df66" in known.earlier, "the first one"
    assert known.newest
    assert known.newest not in known.earlier
