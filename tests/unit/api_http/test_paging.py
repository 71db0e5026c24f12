"""Cursors: what was written is read back, and nothing else is accepted."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import Invalid
from api.paging import decode_cursor, encode_cursor

KINDS = (datetime, UUID, int)
MOMENTS = st.datetimes(timezones=st.just(UTC))


@given(MOMENTS, st.uuids(), st.integers(-(2**63) + 1, 2**63 - 1))
def test_a_cursor_is_read_back(at: datetime, key: UUID, number: int) -> None:
    assert decode_cursor(encode_cursor([at, key, number]), KINDS) == [at, key, number]


@given(st.text(max_size=100))
def test_no_text_that_we_did_not_write_is_a_cursor(text: str) -> None:
    with pytest.raises(Invalid):
        decode_cursor(text, KINDS)


@pytest.mark.parametrize(
    "values",
    [
        [],
        [1],
        [datetime(2026, 5, 4, tzinfo=UTC), uuid4()],
        [datetime(2026, 5, 4), uuid4(), 1],  # noqa: DTZ001 - the point of the test
        [datetime(2026, 5, 4, tzinfo=UTC), "no uuid", 1],
        [datetime(2026, 5, 4, tzinfo=UTC), uuid4(), 2**63],
        [datetime(2026, 5, 4, tzinfo=UTC), uuid4(), "1e5"],
    ],
    ids=["empty", "short", "two", "no zone", "no uuid", "too large", "no integer"],
)
def test_a_cursor_of_another_list_is_invalid(values: list[object]) -> None:
    with pytest.raises(Invalid):
        decode_cursor(encode_cursor(values), KINDS)


def test_a_cursor_survives_a_url() -> None:
    cursor = encode_cursor([datetime(2026, 5, 4, tzinfo=timezone(timedelta(hours=2))), uuid4(), 1])
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
