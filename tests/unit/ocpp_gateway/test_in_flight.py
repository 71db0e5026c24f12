"""Slots of listeners: never more than there are, by rank, and free again whatever became of the question."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ocpp_gateway.in_flight import InFlight, rank
from wire.messages import ChargePointCall, Connect

LATER = 100.0


def call(action: str) -> ChargePointCall:
    return ChargePointCall("1", "cp", 1, 1, "m", action, b"{}", 0.0, 15.0, "reply")


def ask(slots: InFlight, channel: str, name: str, place: int, deadline: float = LATER) -> bool:
    """As `forwarding` does: a slot, or a place in the queue."""
    if slots.take(channel, name, deadline):
        return True
    slots.wait(channel, name, place)
    return False


def test_starts_and_stops_come_first_and_readings_last() -> None:
    connect = Connect("1", "g", "CP1", [], True, "", True, 0.0, 8.0, "reply")
    ranks = [rank(call("StartTransaction")), rank(call("StopTransaction")), rank(call("BootNotification"))]
    last = [rank(call(action)) for action in ("MeterValues", "StatusNotification", "DataTransfer")]
    assert [*ranks, rank(connect), *last] == [0, 0, 1, 1, 2, 2, 2]


def test_who_waits_goes_by_rank_and_then_by_time() -> None:
    slots = InFlight(1)
    assert ask(slots, "a", "held", 2)
    for name, place in (("values-1", 2), ("values-2", 2), ("boot", 1), ("stop-1", 0), ("stop-2", 0)):
        assert not ask(slots, "a", name, place)
    order, held = [], "held"
    while slots.release(held) == ("a",) and (turn := slots.next("a")) is not None:
        order.append(turn)
        assert slots.take("a", turn, LATER)
        held = turn
    assert order == ["stop-1", "stop-2", "boot", "values-1", "values-2"]


def test_listeners_have_slots_of_their_own() -> None:
    slots = InFlight(1)
    assert ask(slots, "a", "1", 0)
    assert ask(slots, "b", "2", 0)
    assert not ask(slots, "b", "3", 0)
    slots.release("1")
    assert slots.next("b") is None
    assert slots.waiting == 1


def test_a_retry_at_the_same_listener_takes_no_second_slot() -> None:
    slots = InFlight(1)
    assert slots.take("a", "1", LATER)
    assert slots.take("a", "1", LATER)
    assert slots.release("1") == ("a",)
    assert slots.take("a", "2", LATER)


def test_a_question_at_two_listeners_frees_both() -> None:
    slots = InFlight(1)
    assert slots.take("a", "1", LATER)
    assert slots.take("b", "1", LATER)
    assert set(slots.release("1")) == {"a", "b"}
    assert slots.release("1") == ()
    assert len(slots) == 0


def test_nobody_answers_and_the_deadline_frees_the_slot() -> None:
    slots = InFlight(1)
    assert slots.take("a", "1", 10.0)
    assert slots.overdue(9.9) == set()
    assert slots.overdue(10.0) == {"a"}
    assert slots.take("a", "2", LATER)


def test_what_was_never_heard_holds_nothing() -> None:
    slots = InFlight(1)
    assert slots.take("a", "1", LATER)
    slots.unheard("a", "1")
    assert slots.take("a", "2", LATER)


def test_a_listener_that_is_gone_gives_back_who_waits_in_order() -> None:
    slots = InFlight(1)
    for name, place in (("held", 2), ("values", 2), ("stop", 0), ("gone", 0)):
        ask(slots, "a", name, place)
    slots.give_up("gone")
    assert slots.leave(["a", "b"]) == ["stop", "values"]
    assert slots.waiting == 0
    assert slots.next("a") is None


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from("ab"), st.integers(0, 2), st.sampled_from("aagruo"))))
def test_never_more_than_there_are(steps: list[tuple[int, str, int, str]]) -> None:
    """Ask, give up, release, unheard, overdue at random; counted by a plain model."""
    slots, held = InFlight(3), dict[str, set[str]]()
    for number, channel, place, what in steps:
        name = str(number)
        if what == "a" and not slots.waits(name):
            if ask(slots, channel, name, place):
                held.setdefault(name, set()).add(channel)
        elif what == "g":
            slots.give_up(name)
        elif what == "r":
            assert set(slots.release(name)) == held.pop(name, set())
        elif what == "u":
            slots.unheard(channel, name)
            held.get(name, set()).discard(channel)
        elif what == "o":
            assert slots.overdue(LATER) == {one for channels in held.values() for one in channels}
            held.clear()
        for one, count in Counter(one for channels in held.values() for one in channels).items():
            assert count <= 3
            turn = slots.next(one)
            assert count < 3 or turn is None
            if turn is not None:
                assert slots.take(one, turn, LATER)
                held.setdefault(turn, set()).add(one)
