"""How often one may knock: many behind one address, one who tries keys, one who is only wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpp_gateway import knocks
from ocpp_gateway.knocks import FAILED_COSTS, FAILURES_OF_ONE, PERIOD_S, Knocks, site

HERE, THERE = "203.0.113.7", "203.0.113.8"
LIMIT = 300


def fail(made: Knocks, identity: str, now: float, address: str = HERE) -> bool:
    """One failed handshake; whether it was even looked at."""
    admitted = made.admits(address, identity, now)
    if admitted:
        made.failed(address, identity, now)
    return admitted


def test_a_street_behind_one_address_comes_in_after_a_power_cut() -> None:
    made = Knocks(LIMIT)
    assert all(made.admits(HERE, f"W{number}", 0.0) for number in range(LIMIT))
    assert not made.admits(HERE, "one more", 0.0)
    assert made.admits(THERE, "another street", 0.0)
    assert made.admits(HERE, "a little later", PERIOD_S / LIMIT + 0.001)


def test_one_who_tries_identities_is_stopped_soon() -> None:
    made = Knocks(LIMIT)
    tried = sum(fail(made, f"guess-{number}", 0.0) for number in range(LIMIT))
    assert tried == -(-LIMIT // (FAILED_COSTS + 1))


def test_a_wallbox_with_a_wrong_key_takes_nothing_from_its_neighbours() -> None:
    made = Knocks(LIMIT)
    assert sum(fail(made, "wrong", 0.0) for _ in range(10_000)) == FAILURES_OF_ONE
    left = LIMIT - FAILURES_OF_ONE * (FAILED_COSTS + 1)
    assert sum(made.admits(HERE, f"W{number}", 0.0) for number in range(LIMIT)) == left


def test_who_fails_no_more_is_heard_again() -> None:
    made = Knocks(LIMIT)
    while fail(made, "wrong", 0.0):
        pass
    assert not made.admits(HERE, "wrong", 1.0)
    assert made.admits(HERE, "wrong", 1.0 + PERIOD_S / FAILURES_OF_ONE)


def test_elsewhere_the_same_identity_is_free() -> None:
    """Nobody locks a wallbox out from another address."""
    made = Knocks(LIMIT)
    while fail(made, "W1", 0.0):
        pass
    assert made.admits(THERE, "W1", 0.0)


def test_one_who_was_sent_away_for_our_sake_paid_nothing() -> None:
    made = Knocks(1)
    for _ in range(10):
        assert made.admits(HERE, "W1", 0.0)
        made.give_back(HERE, 0.0)


def test_no_limit() -> None:
    made = Knocks(0)
    assert all(fail(made, "W1", 0.0) for _ in range(100))


def test_strangers_who_make_up_addresses_take_no_memory() -> None:
    made = Knocks(LIMIT)
    for number in range(knocks.MOST_REMEMBERED + 100):
        fail(made, "W1", 0.0, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(made._sites._spent) == len(made._doors._spent) == knocks.MOST_REMEMBERED


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (HERE, HERE),
        ("::ffff:203.0.113.7", HERE),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9", "2001:db8:1:2::"),
        ("2001:db8:1:3::9", "2001:db8:1:3::"),
        ("", ""),
        ("no address", "no address"),
    ],
)
def test_whose_address_it_is(address: str, expected: str) -> None:
    assert site(address) == expected


@given(st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=200))
def test_never_more_than_allowed_in_any_period(steps: list[tuple[float, bool]]) -> None:
    made, now, spent = Knocks(LIMIT), 0.0, list[tuple[float, float]]()
    for pause_s, is_good in steps:
        now += pause_s
        name = f"W{len(spent)}"
        if made.admits(HERE, name, now):
            spent.append((now, 1.0 if is_good else 1.0 + FAILED_COSTS))
            if not is_good:
                made.failed(HERE, name, now)
        assert sum(cost for at, cost in spent if at >= now - PERIOD_S) <= 2 * LIMIT + FAILED_COSTS
