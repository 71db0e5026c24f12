"""Frames of the message log: byte for byte what went over the wire, and decoded as far as they can be."""

from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.charge_points.answers import Answer
from api.charge_points.message_log import conversation, logged, storable
from wire.messages import ChargePointCall, LoggedFrame

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def call(payload: bytes = b"{}", message_id: str = "1") -> ChargePointCall:
    return ChargePointCall("x", "cp", 1, 2, message_id, "Heartbeat", payload, 0.0, 0.0, "r")


def test_the_payload_stays_as_it_was() -> None:
    payload = b'{ "a" : 1.0, "\\u0061":"\\ud800" }'
    request, reply = conversation(call(payload), Answer(b'{"status":"Accepted"}'), NOW)
    assert request.frame == b'[2,"1","Heartbeat",' + payload + b"]"
    assert reply.frame == b'[3,"1",{"status":"Accepted"}]'
    assert (request.direction, reply.direction, reply.at) == ("in", "out", NOW)


def test_an_error_has_five_parts() -> None:
    _, reply = conversation(call(), Answer(error_code="SecurityError", error_description='"x"'), NOW)
    assert orjson.loads(reply.frame) == [4, "1", "SecurityError", '"x"', {}]
    assert reply.message_type == 4


@given(st.text())
def test_any_message_id_gives_a_readable_frame(message_id: str) -> None:
    request, _ = conversation(call(message_id=message_id), Answer(), NOW)
    assert orjson.loads(request.frame)[1] == message_id
    assert request.message_id == storable(message_id)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (b'[2,"1","Heartbeat",{}]', (2, "1", "Heartbeat")),
        (b'[3,"1",{}]', (3, "1", None)),
        (b'[4,"1","GenericError","",{}]', (4, "1", None)),
        (b'[9,"1"]', (None, "1", None)),
        (b'[2,"a\\u0000b","H",{}]', (2, "a\N{REPLACEMENT CHARACTER}b", "H")),
        (b"[2]", (None, None, None)),
        (b"{}", (None, None, None)),
        (b"\xff", (None, None, None)),
        (b'[2,5,"X",{}]', (None, None, None)),
    ],
)
def test_frames_are_decoded_as_far_as_they_go(frame: bytes, expected: tuple[object, ...]) -> None:
    (row,) = logged([LoggedFrame("cp", 1, 0.0, "in", frame)])
    assert (row.message_type, row.message_id, row.action) == expected
    assert row.frame == frame


@given(st.binary(max_size=100))
def test_no_frame_is_too_strange(frame: bytes) -> None:
    assert logged([LoggedFrame("cp", 1, 0.0, "in", frame)])[0].frame == frame
