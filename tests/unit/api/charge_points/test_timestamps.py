"""Times of charge points, sane and otherwise."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.charge_points.timestamps import UNREADABLE, effective_time, format_timestamp, parse_timestamp

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-05-01T12:00:00Z", NOW),
        ("2026-05-01t12:00:00z", NOW),
        ("2026-05-01T14:00:00+02:00", NOW),
        ("2026-05-01T14:00:00+02", NOW),
        ("2026-05-01T12:00:00", NOW),
        ("2026-05-01T12:00:00.1234567Z", NOW.replace(microsecond=123456)),
        ("0001-01-01T00:00:00Z", UNREADABLE),
        ("9999-12-31T23:59:59.999999Z", UNREADABLE),
        ("0001-01-01T00:00:00+02:00", UNREADABLE),
        ("0000-00-00T00:00:00Z", UNREADABLE),
        ("", UNREADABLE),
        ("yesterday", UNREADABLE),
    ],
)
def test_parse(text: str, expected: datetime) -> None:
    assert parse_timestamp(text) == expected


@given(st.text(max_size=40))
def test_parse_never_fails(text: str) -> None:
    assert parse_timestamp(text).utcoffset() == timedelta(0)


@given(st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis adds the zone
def test_what_we_write_we_read(at: datetime) -> None:
    assert format_timestamp(at).endswith("Z")
    assert parse_timestamp(format_timestamp(at)) == at.replace(microsecond=at.microsecond // 1000 * 1000)


def test_effective_time_is_never_after_the_arrival() -> None:
    for at in (None, NOW + timedelta(hours=1), NOW + timedelta(days=9), UNREADABLE):
        assert effective_time(at, NOW) == NOW
    assert effective_time(NOW - timedelta(hours=1), NOW) == NOW - timedelta(hours=1)
