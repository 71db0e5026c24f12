"""The codec: what goes in comes out, and nothing that goes in makes it raise."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpp_gateway import frames
from ocpp_gateway.frames import Call, CallError, CallResult, Unreadable

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=36)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(TEXT, VALUES, max_size=4)


class TestRoundTrip:
    """J 4.2: compact JSON, read back as it was written."""

    @given(TEXT, TEXT, OBJECTS)
    def test_call(self, message_id: str, action: str, payload: dict[str, object]) -> None:
        raw = json.dumps(payload).encode()
        assert frames.parse(frames.call_frame(message_id, action, raw)) == Call(message_id, action, raw)

    @given(TEXT, OBJECTS)
    def test_call_result(self, message_id: str, payload: dict[str, object]) -> None:
        raw = json.dumps(payload).encode()
        assert frames.parse(frames.call_result_frame(message_id, raw)) == CallResult(message_id, raw)

    @given(TEXT, st.text(max_size=400))
    def test_call_error(self, message_id: str, description: str) -> None:
        frame = frames.call_error_frame(message_id, "GenericError", description)
        parsed = frames.parse(frame)
        assert isinstance(parsed, CallError)
        assert (parsed.message_id, parsed.code) == (message_id, "GenericError")
        assert len(json.loads(frame)[3]) <= 255

    def test_it_is_compact(self) -> None:
        assert frames.call_frame("a", "Reset", b'{"type":"Hard"}') == b'[2,"a","Reset",{"type":"Hard"}]'
        assert frames.call_result_frame("a", b"{}") == b'[3,"a",{}]'
        assert frames.call_error_frame("a", "GenericError", "no") == b'[4,"a","GenericError","no",{}]'


class TestAnyInput:
    """Whatever a charge point sends, the codec has an answer."""

    @given(st.binary(max_size=200))
    def test_bytes(self, data: bytes) -> None:
        assert isinstance(frames.parse(data), Call | CallResult | CallError | Unreadable)

    @given(st.lists(VALUES, max_size=6))
    def test_json_arrays(self, elements: list[object]) -> None:
        frame = frames.parse(json.dumps(elements).encode())
        if isinstance(frame, Unreadable):
            text_id = len(elements) > 1 and isinstance(elements[1], str)
            assert frame.message_id == (elements[1] if text_id else "-1")

    @given(OBJECTS, st.integers(0, 400))
    def test_a_frame_cut_short_keeps_its_id(self, payload: dict[str, object], cut: int) -> None:
        whole = b'[2,"the id","StopTransaction",' + json.dumps(payload).encode() + b"]"
        frame = frames.parse(whole[: max(32, len(whole) - 1 - cut)])
        assert isinstance(frame, Unreadable)
        assert (frame.message_id, frame.action) == ("the id", "StopTransaction")


class TestPayload:
    """The payload is the exact bytes; only null is something else (J 4.2.1)."""

    @pytest.mark.parametrize(
        "payload",
        [r'{"a":"\ud800"}', '{"a":1e400000}', '{ "a" : 1 }', '{"a":1,"a":2}', '{"a":%s}' % ("9" * 9000), "[]"],
    )
    def test_bytes_are_kept(self, payload: str) -> None:
        assert frames.parse(f'[2,"i","A", {payload} ]'.encode()) == Call("i", "A", payload.encode())

    def test_null_is_the_empty_object(self) -> None:
        assert frames.parse(b'[2,"i","Heartbeat",null]') == Call("i", "Heartbeat", b"{}")
        assert frames.parse(b'[3,"i",null]') == CallResult("i", b"{}")

    def test_the_rest_of_a_broken_frame_is_its_payload(self) -> None:
        frame = frames.parse(b'[2,"i","MeterValues",{"transactionId":,"x":[]}]')
        assert isinstance(frame, Unreadable)
        assert frame.payload == b'{"transactionId":,"x":[]}'


class TestAnswers:
    """An answer is never answered: it could go on for ever."""

    @pytest.mark.parametrize(
        "data", [b'[3,"i"]', b'[3,"i",{},1]', b"[3,5,{}]", b"[3]", b'[4,"i"]', b'[4,"i","C","d",', b"[4]"]
    )
    def test_of_another_shape(self, data: bytes) -> None:
        frame = frames.parse(data)
        assert isinstance(frame, Unreadable)
        assert not frame.answerable

    def test_a_call_error_may_leave_out_its_details(self) -> None:
        assert frames.parse(b'[4,"i","NotSupported","no"]') == CallError("i", "NotSupported", "no")
        assert frames.parse(b'[4,"-1","NotSupported","",{}]') == CallError("-1", "NotSupported", "")
