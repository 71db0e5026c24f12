"""Which listener gets what."""

from hypothesis import given
from hypothesis import strategies as st

from ocpp_gateway.listeners import Listeners

KEYS = [f"cp-{number}" for number in range(300)]


def listeners(*names: str) -> Listeners:
    some = Listeners(avoid_s=10)
    some.replace(names)
    return some


class TestSticking:
    """DESIGN 3.2: everything of one charge point goes to the same listener while it is up."""

    def test_every_listener_gets_its_share(self) -> None:
        shares = [listeners("a", "b", "c").choose(key, 0) for key in KEYS]
        assert all(shares.count(name) > 60 for name in "abc")

    def test_two_gateways_choose_alike(self) -> None:
        assert [listeners("a", "b").choose(key, 0) for key in KEYS] == [
            listeners("b", "a").choose(key, 0) for key in KEYS
        ]

    def test_one_that_leaves_moves_only_its_own(self) -> None:
        some = listeners("a", "b", "c")
        before = {key: some.choose(key, 0) for key in KEYS}
        some.lost("b")
        assert all(some.choose(key, 0) == name for key, name in before.items() if name != "b")
        some.replace(["a", "b", "c"])
        assert {key: some.choose(key, 0) for key in KEYS} == before


class TestAvoiding:
    """One that missed an attempt gets nothing new for 10 s, unless there is no other."""

    def test_for_a_while(self) -> None:
        some = listeners("a", "b")
        some.missed("a", now=100)
        assert {some.choose(key, 109.9) for key in KEYS} == {"b"}
        assert some.avoided(109.9) == 1
        assert {some.choose(key, 110) for key in KEYS} == {"a", "b"}

    def test_the_only_one_is_asked_again(self) -> None:
        some = listeners("a")
        some.missed("a", now=0)
        assert some.choose("cp", 1, tried=["a"]) == "a"

    def test_a_retry_goes_elsewhere_even_to_an_avoided_one(self) -> None:
        some = listeners("a", "b")
        some.missed("b", now=0)
        assert some.choose("cp", 1, tried=["a"]) == "b"

    def test_none_is_none(self) -> None:
        assert listeners().choose("cp", 0) is None

    @given(st.sets(st.sampled_from("abcd")), st.lists(st.sampled_from("abcd"), max_size=3))
    def test_a_choice_is_always_up(self, up: set[str], tried: list[str]) -> None:
        chosen = listeners(*up).choose("cp", 0, tried)
        assert (chosen in up) if up else chosen is None
        if up - set(tried):
            assert chosen not in tried
