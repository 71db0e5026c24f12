"""Requests as they are read from raw JSON, and what is saved of those that cannot be."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.charge_points.timestamps import UNREADABLE
from api.transactions.requests import (
    LARGEST_BIGINT,
    LARGEST_CONNECTOR,
    read_start,
    read_stop,
    salvage_start,
    salvage_transaction_id,
)

STOP = {"transactionId": 5, "meterStop": 10, "timestamp": "2026-01-01T10:00:00Z"}


@given(st.binary(max_size=200))
def test_salvage_takes_anything_and_is_storable(payload: bytes) -> None:
    request = salvage_start(payload)
    assert 0 <= request.connector_id <= LARGEST_CONNECTOR
    assert 0 <= request.meter_start <= LARGEST_BIGINT
    assert "\0" not in request.id_tag + request.timestamp
    (request.tag + request.timestamp).encode()
    assert salvage_start(payload) == request, "a replay finds its transaction"
    assert 0 <= salvage_transaction_id(payload) <= LARGEST_CONNECTOR


@given(st.text(max_size=30), st.integers(), st.integers(), st.text(max_size=30))
def test_salvage_of_json_keeps_what_it_can(tag: str, connector: int, meter: int, timestamp: str) -> None:
    fields = f'"connectorId":{connector},"meterStart":{meter},"timestamp":'
    payload = b'{"idTag":' + orjson.dumps(tag) + b"," + fields.encode() + orjson.dumps(timestamp) + b"}"
    request = salvage_start(payload)
    assert request.id_tag == tag.replace("\0", "\N{REPLACEMENT CHARACTER}")
    assert request.connector_id == (connector if 0 <= connector <= LARGEST_CONNECTOR else 0)
    assert request.meter_start == (meter if 0 <= meter <= LARGEST_BIGINT else 0)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[" * 100_000,
        b'{"connectorId":' + b"9" * 10_000 + b"}",
        b'{"connectorId":1,"idTag":"A',
        b"\xff\xfe",
        b"null",
    ],
)
def test_salvage_of_what_is_no_json(payload: bytes) -> None:
    assert salvage_start(payload).started_at == UNREADABLE


def test_salvage_finds_fields_in_broken_json() -> None:
    request = salvage_start(
        b'{"connectorId":2,"idTag":"CARD","meterStart":77,"transactionId":,"timestamp":"2026-01-01T10:00:00Z"}'
    )
    assert (request.connector_id, request.tag, request.meter_start, request.started_at.year) == (2, "CARD", 77, 2026)


def test_numbers_as_text_and_with_a_zero_fraction() -> None:
    request = read_start(b'{"connectorId":"1","idTag":"a","meterStart":12.0,"timestamp":"2026-01-01T10:00:00"}')
    assert (request.connector_id, request.meter_start, request.started_at.isoformat()) == (
        1,
        12,
        "2026-01-01T10:00:00+00:00",
    )


class TestDigestOfAStop:
    def digest(self, **changes: object) -> bytes:
        return read_stop(orjson.dumps(STOP | changes)).digest

    def test_is_the_same_for_the_same_stop(self) -> None:
        turned = dict(reversed(list(STOP.items())))
        assert read_stop(orjson.dumps(turned, option=orjson.OPT_INDENT_2)).digest == self.digest()
        assert self.digest(reason="Local") == self.digest(), "the default (4.10)"
        assert self.digest(timestamp="2026-01-01T12:00:00+02:00") == self.digest()

    @pytest.mark.parametrize(
        "changes",
        [
            {"meterStop": 11},
            {"reason": "Remote"},
            {"idTag": "A"},
            {"timestamp": "2026-01-01T10:00:01Z"},
            {"transactionData": [{"timestamp": "2026-01-01T10:00:00Z", "sampledValue": [{"value": "1"}]}]},
        ],
    )
    def test_differs_with_anything_that_differs(self, changes: dict[str, object]) -> None:
        assert self.digest(**changes) != self.digest()
