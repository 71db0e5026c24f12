"""Order within a charge point, whatever arrives and whenever something is finished."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from api.listener.lanes import Lanes, is_batched
from wire.messages import ChargePointCall


def call(charge_point: str, action: str, number: int) -> ChargePointCall:
    return ChargePointCall(str(number), charge_point, 1, number, "m", action, b"{}", 0.0, 0.0, "r")


steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from("AB"), st.sampled_from(["MeterValues", "StartTransaction"])),
        st.integers(0, 5),
    ),
    max_size=60,
)


@given(steps)
def test_one_after_the_other_and_none_forgotten(events: list[tuple[str, str] | int]) -> None:
    running: list[ChargePointCall] = []
    order: dict[str, list[int]] = defaultdict(list)
    sent: dict[str, list[int]] = defaultdict(list)

    def hand_out(message: ChargePointCall) -> None:
        others = [other for other in running if other.charge_point_id == message.charge_point_id]
        assert all(is_batched(other) for other in others)
        assert not others or is_batched(message), "what goes alone has nothing beside it"
        running.append(message)
        order[message.charge_point_id].append(message.sequence)

    lanes = Lanes(hand_out, hand_out)
    for number, event in enumerate(events):
        if isinstance(event, tuple):
            sent[event[0]].append(number)
            lanes.accept(call(*event, number))
        elif running:
            lanes.finished(running.pop(event % len(running)))
    while running:
        lanes.finished(running.pop(0))
    assert order == sent
    assert len(lanes) == 0


def test_what_is_in_hand_is_not_taken_again() -> None:
    handed: list[ChargePointCall] = []
    lanes = Lanes(handed.append, handed.append)
    first, second = call("A", "StartTransaction", 1), call("A", "MeterValues", 2)
    for message in (first, second, first, second):
        lanes.accept(message)
    assert handed == [first]
    lanes.finished(first)
    assert handed == [first, second]
    lanes.accept(second)
    lanes.accept(first)
    lanes.finished(second)
    assert handed == [first, second, first], "what is finished may be asked again, and gets the answer of a replay"
