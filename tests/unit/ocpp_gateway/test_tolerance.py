"""Quirks of frames, on the golden corpus: refused strictly, repaired with the quirk, and what is suggested."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpp_gateway import frames, repairs, tolerance, validation
from ocpp_gateway.frames import Call, Unreadable
from tests.corpus import Case, frame_cases
from wire.quirks import DECIMAL_INTEGERS, QUIRKS, STRINGS_FOR_NUMBERS, UNKNOWN_UNITS

CASES = frame_cases()
golden = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.quirk}: {case.name}")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)


def read(frame: bytes) -> Call | Unreadable:
    parsed = frames.parse(frame)
    assert isinstance(parsed, Call | Unreadable)
    return parsed


def judged(case: Case, quirks: set[str]) -> tolerance.Judged:
    frame = read(case.frame)
    if isinstance(frame, Unreadable) and (filled := tolerance.readable(frame, quirks)) is not None:
        frame = Call(frame.message_id, frame.action, filled.payload)
    return tolerance.judge(frame, quirks)


def test_every_quirk_of_frames_has_golden_frames() -> None:
    assert {case.quirk for case in CASES} == tolerance.OF_FRAMES


@golden
def test_refused_strictly_and_the_quirk_is_suggested(case: Case) -> None:
    result = judged(case, set(QUIRKS) - {case.quirk})
    assert result.flaw is not None
    assert result.flaw.code == case.refused
    assert result.suggested == (case.quirk,)
    assert json.loads(result.repaired) == json.loads(case.repaired)


@golden
def test_repaired_with_the_quirk(case: Case) -> None:
    result = judged(case, {case.quirk})
    assert result.flaw is None
    assert result.suggested == ()
    assert result.call.payload == case.repaired
    if case.quirk != "missing_values":
        assert result.original == read(case.frame).payload
        assert all(note.startswith(f"{case.quirk}: ") for note in result.notes)
        assert result.notes


@golden
def test_a_repaired_frame_needs_no_further_repair(case: Case) -> None:
    again = tolerance.judge(Call("id", case.action, case.repaired), {case.quirk})
    assert again.flaw is None
    assert again.call.payload == case.repaired
    if case.quirk != UNKNOWN_UNITS:
        assert again.original == b""


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("StartTransaction", '{"connectorId":1,"idTag":"A","meterStart":12.5,"timestamp":"2026-01-01T00:00:00Z"}'),
        ("StartTransaction", '{"connectorId":1,"idTag":"A","meterStart":"many","timestamp":"2026-01-01T00:00:00Z"}'),
        ("StartTransaction", '{"connectorId":1,"idTag":null,"meterStart":1,"timestamp":"2026-01-01T00:00:00Z"}'),
        ("StartTransaction", '{"connectorId":1,"idTag":"A","meterStart":1,"timestamp":"yesterday"}'),
        ("StartTransaction", '{"connectorId":1,"idTag":"A","meterStart":1,"timestamp":"2026-02-30T00:00:00"}'),
        ("StatusNotification", '{"connectorId":1,"errorCode":"NoError","status":""}'),
        ("StatusNotification", '{"connectorId":true,"errorCode":"NoError","status":"Available"}'),
        ("Heartbeat", "[]"),
        ("Heartbeat", '{"x":1}'),
        ("Nonsense", '{"connectorId":"1"}'),
        ("RemoteStopTransaction", '{"transactionId":"1"}'),
    ],
)
def test_what_no_quirk_mends(action: str, payload: str) -> None:
    result = tolerance.judge(Call("id", action, payload.encode()), set(QUIRKS))
    assert result.flaw is not None
    assert result.suggested == ()
    assert result.repaired == b""


def test_several_quirks_together() -> None:
    payload = (
        b'{"connectorId":"1.0","meterStart":1000.0,"idTag":4711,"timestamp":"2026-05-04T09:00:00","reservationId":null}'
    )
    strict = tolerance.judge(Call("id", "StartTransaction", payload), set())
    assert strict.suggested == (
        *("decimal_integers", "empty_optionals", "numbers_for_strings", "strings_for_numbers"),
        "timestamp_without_zone",
    )
    taken = tolerance.judge(Call("id", "StartTransaction", payload), set(strict.suggested))
    assert taken.flaw is None
    assert json.loads(taken.call.payload) == {
        "connectorId": 1,
        "meterStart": 1000,
        "idTag": "4711",
        "timestamp": "2026-05-04T09:00:00Z",
    }
    one_is_missing = tolerance.judge(Call("id", "StartTransaction", payload), {DECIMAL_INTEGERS, STRINGS_FOR_NUMBERS})
    assert one_is_missing.flaw is not None
    assert one_is_missing.suggested == ("empty_optionals", "numbers_for_strings", "timestamp_without_zone")


def test_a_thousand_repairs_are_told_in_a_few_words() -> None:
    value = '{"timestamp":"2026-05-04T09:30:00","sampledValue":[{"value":1}]}'
    payload = f'{{"connectorId":1,"meterValue":[{",".join([value] * 1000)}]}}'.encode()
    result = tolerance.judge(Call("id", "MeterValues", payload), set(QUIRKS))
    assert result.flaw is None
    assert len(result.notes) == repairs.MOST_NOTES + 1
    assert result.notes[-1] == "and 1980 more"


def test_answers_of_the_charge_point_are_repaired_too() -> None:
    answer = b'{"configurationKey":[{"key":"A","readonly":false,"value":12}]}'
    assert tolerance.repaired_result("GetConfiguration", answer, set()) is None
    repaired = tolerance.repaired_result("GetConfiguration", answer, {"numbers_for_strings"})
    assert repaired is not None
    assert repaired.payload == b'{"configurationKey":[{"key":"A","readonly":false,"value":"12"}]}'


@given(action=st.sampled_from(sorted(validation.FROM_CHARGE_POINT)), value=json_values)
def test_whatever_comes_is_judged(action: str, value: object) -> None:
    payload = json.dumps(value).encode()
    for quirks in (set[str](), set(QUIRKS)):
        result = tolerance.judge(Call("id", action, payload), quirks)
        if result.flaw is None:
            assert validation.call_flaw(action, result.call.payload, any_unit=True) is None


@given(text=st.binary(max_size=200))
def test_whatever_is_not_json_is_left_alone(text: bytes) -> None:
    filled = repairs.fill_missing_values("MeterValues", text)
    assert filled is None or isinstance(json.loads(filled.payload), dict)
