"""Passwords that would be guessed early are refused, and no other: no rule asks for kinds of characters."""

import pytest

from api.identity.password_strength import why_weak

ABOUT = ("petr.novak@example.org", "Petr Novák")


@pytest.mark.parametrize(
    "password",
    [
        "1234567890",
        "password123",
        "qwertyuiop",
        "aaaaaaaaaaaaaaaaaaaaaaaa",
        "abcabcabcabc",
        "2026-11-23",
        "petr.novak@example.org",
        "petr.novak",
        "voltujvoltuj",
        "Wallbox123",
    ],
)
def test_early_guesses_are_refused_with_advice(password: str) -> None:
    weakness = why_weak(password, *ABOUT)
    assert weakness is not None
    assert "Take a few words" in weakness


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "nabijecka pod okny 8",
        "xk4Pq0zR7w",
        "žluťoučký kůň",
        "\U0001f50c\U0001f697 doma v garáži",
        "  spaces belong to it ",
    ],
)
def test_others_will_do(password: str) -> None:
    assert why_weak(password, *ABOUT) is None


def test_only_its_beginning_is_looked_at() -> None:
    """A password of the greatest length is answered like any other, however it repeats."""
    assert why_weak("a" * 256) is not None
    assert why_weak("xk4Pq0zR7w" + "a" * 246) is None


def test_a_name_counts_only_for_whose_it_is() -> None:
    assert why_weak("vaclavalenda", "Václav", "vaclavalenda@example.org") is not None
    assert why_weak("vaclavalenda", "Jana", "jana@example.org") is None
