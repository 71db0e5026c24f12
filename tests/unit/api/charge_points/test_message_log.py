"""Frames of the message log: byte for byte what went over the wire, and decoded as far as they can be."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.charge_points.answers import Answer
from api.charge_points.message_log import Conversation, conversation, logged, storable
from wire.messages import ChargePointCall, LoggedFrame


def call(payload: bytes = b"{}", message_id: str = "1") -> ChargePointCall:
    return ChargePointCall("x", "cp", 1, 2, message_id, "Heartbeat", payload, 0.0, 0.0, "r")


def test_the_payload_stays_as_it_was() -> None:
    payload = b'{ "a" : 1.0, "\\u0061":"\\ud800" }'
    row = conversation(call(payload), Answer(b'{"status":"Accepted"}'))
    request, reply = b'[2,"1","Heartbeat",' + payload + b"]", b'[3,"1",{"status":"Accepted"}]'
    assert row == Conversation("cp", 0.0, 1, "1", "Heartbeat", request, None, 3, reply)


def test_an_error_has_five_parts() -> None:
    row = conversation(call(), Answer(error_code="SecurityError", error_description='"x"'))
    assert orjson.loads(row.reply) == [4, "1", "SecurityError", '"x"', {}]
    assert row.reply_type == 4


@given(st.text())
def test_any_message_id_gives_a_readable_frame(message_id: str) -> None:
    row = conversation(call(message_id=message_id), Answer())
    assert [orjson.loads(frame)[1] for frame in (row.request, row.reply)] == [message_id] * 2
    assert row.message_id == storable(message_id)


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
    row = logged(LoggedFrame("cp", 1, 0.0, "in", frame))
    assert (row.message_type, row.message_id, row.action) == expected
    assert row.frame == frame


@given(st.binary(max_size=100))
def test_no_frame_is_too_strange(frame: bytes) -> None:
    assert logged(LoggedFrame("cp", 1, 0.0, "in", frame)).frame == frame
