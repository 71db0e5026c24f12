"""IBANs by their check digits, and the Czech form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.accounting.iban import czech_account, parse_iban

GOOD = "CZ6508000000192000145399"


def test_an_iban_is_taken_as_people_write_it() -> None:
    assert parse_iban(" cz65 0800 0000 1920 0014 5399 ") == GOOD
    assert parse_iban("DE89370400440532013000") == "DE89370400440532013000"
    assert parse_iban("GB82 WEST 1234 5698 7654 32") == "GB82WEST12345698765432"


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "CZ65",
        "CZ650800000019200014539",
        "19-2000145399/0800",
        "ČZ6508000000192000145399",
        "CZ65080000001920001453999",
        "XX00123456789012345",
        "CZ6508000000192000145399*AM:1",
    ],
)
def test_what_is_not_an_iban_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="IBAN"):
        parse_iban(wrong)


@given(place=st.integers(2, len(GOOD) - 1), digit=st.sampled_from("0123456789"))
def test_one_wrong_digit_is_noticed(place: int, digit: str) -> None:
    slip = GOOD[:place] + digit + GOOD[place + 1 :]
    if slip != GOOD:
        with pytest.raises(ValueError, match="check digits"):
            parse_iban(slip)


@pytest.mark.parametrize(
    ("iban", "account"),
    [(GOOD, "19-2000145399/0800"), ("CZ4920100000004561093331", "4561093331/2010"), ("DE89370400440532013000", None)],
)
def test_the_czech_form(iban: str, account: str | None) -> None:
    assert czech_account(iban) == account
