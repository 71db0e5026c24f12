"""Transaction ids: positive 31-bit integers, never twice, and not to be guessed from one another."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.transactions.transaction_id import LARGEST, ocpp_transaction_id

KEY = bytes(range(32))


@given(st.binary(min_size=32, max_size=32), st.integers(1, LARGEST))
def test_always_positive_and_within_31_bits(key: bytes, number: int) -> None:
    assert 1 <= ocpp_transaction_id(key, number) <= LARGEST


def test_never_twice() -> None:
    assert len({ocpp_transaction_id(KEY, number) for number in range(1, 20_001)}) == 20_000


def test_neighbours_are_far_apart_and_another_key_gives_other_ids() -> None:
    ids = [ocpp_transaction_id(KEY, number) for number in range(1, 101)]
    assert min(abs(a - b) for a, b in itertools.pairwise(ids)) > 1000
    assert not set(ids) & {ocpp_transaction_id(KEY[::-1], number) for number in range(1, 101)}


def test_ids_stay_what_they_were() -> None:
    """Changing the permutation would give an id to two transactions of an existing installation."""
    assert [ocpp_transaction_id(KEY, number) for number in (1, 2, LARGEST)] == [1492328901, 821712300, 1541477308]


@pytest.mark.parametrize("number", [0, -1, LARGEST + 1])
def test_numbers_out_of_range_are_refused(number: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        ocpp_transaction_id(KEY, number)
