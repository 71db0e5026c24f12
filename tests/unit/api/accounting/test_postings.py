"""The ledger's transfers: nothing comes from nowhere, and a correction leaves what it should, however often."""

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from api.accounting.limits import Line
from api.accounting.postings import (
    PAYOUT,
    REFUND,
    TOP_UP,
    Accounts,
    BankKind,
    Terms,
    Transfer,
    balances,
    correct,
    post,
    post_bank,
    post_no_show,
    reverse,
    standing,
)
from api.accounting.rating import ChargeDetailRecord
from tests.unit.api.accounting.strategies import steadily

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ACCOUNTS = Accounts("driver-1", "owner-1", "platform")
TERMS = Terms(1500, owner_is_vat_registered=True)


def record(net_minor: int, vat_minor: int = 0, currency: str = "CZK") -> ChargeDetailRecord:
    lines = (Line("ENERGY", net_minor), *((Line("VAT", vat_minor),) if vat_minor else ()))
    return ChargeDetailRecord(NOON, NOON + timedelta(hours=1), 0, 1000, currency, lines)


def moved(transfers: tuple[Transfer, ...]) -> list[tuple[str, str, int, str]]:
    return [(t.debit, t.credit, t.amount_minor, t.kind) for t in transfers]


class TestBank:
    """What came in on the bank account of the house, and what left it."""

    def test_what_comes_in_is_held_for_its_person(self) -> None:
        transfer = post_bank(25_000, "CZK", "driver-1", "bank", TOP_UP)
        assert transfer == Transfer("bank", "driver-1", 25_000, "CZK", "top_up")
        assert balances([transfer]) == {("bank", "CZK"): -25_000, ("driver-1", "CZK"): 25_000}

    @pytest.mark.parametrize("kind", [PAYOUT, REFUND])
    def test_what_leaves_is_taken_from_its_person(self, kind: BankKind) -> None:
        transfer = post_bank(-1, "EUR", "owner-1", "bank", kind)
        assert transfer == Transfer("owner-1", "bank", 1, "EUR", kind)
        assert kind in {"payout", "refund"}

    def test_a_movement_of_nothing_is_refused(self) -> None:
        with pytest.raises(ValueError, match="moves nothing"):
            post_bank(0, "CZK", "driver-1", "bank", TOP_UP)


class TestNoShow:
    """What a booking comes to that nobody came for."""

    def test_the_driver_pays_the_owner_and_nobody_else_anything(self) -> None:
        assert post_no_show(5000, "CZK", "driver-1", "owner-1") == (
            Transfer("driver-1", "owner-1", 5000, "CZK", "no_show_fee"),
        )

    def test_owners_pay_themselves_nothing_and_no_fee_moves_nothing(self) -> None:
        assert post_no_show(5000, "CZK", "owner-1", "owner-1") == ()
        assert post_no_show(0, "CZK", "driver-1", "owner-1") == ()


class TestSession:
    """What a session comes to."""

    def test_the_driver_pays_the_owner_and_the_owner_the_platform(self) -> None:
        transfers = post(record(10_000, 2100), ACCOUNTS, TERMS)
        assert moved(transfers) == [
            ("driver-1", "owner-1", 10_000, "charge"),
            ("driver-1", "owner-1", 2100, "vat"),
            ("owner-1", "platform", 1500, "platform_fee"),
        ]
        assert balances(transfers) == {
            ("driver-1", "CZK"): -12_100,
            ("owner-1", "CZK"): 10_600,
            ("platform", "CZK"): 1500,
        }
        assert {transfer.currency for transfer in post(record(7, currency="EUR"), ACCOUNTS, TERMS)} == {"EUR"}

    def test_an_owner_on_an_own_wallbox_pays_nothing(self) -> None:
        own = Accounts("owner-1", "owner-1", "platform")
        assert post(record(10_000, 2100), own, Terms(1500, owner_is_vat_registered=False)) == ()

    def test_the_platform_takes_no_fee_of_its_own(self) -> None:
        its_own = Accounts("driver-1", "platform", "platform")
        assert moved(post(record(100), its_own, TERMS)) == [("driver-1", "platform", 100, "charge")]

    def test_what_is_free_moves_nothing(self) -> None:
        assert post(record(0), ACCOUNTS, TERMS) == ()

    @pytest.mark.parametrize(
        ("net_minor", "fee_bp", "fee"),
        [(10, 500, 0), (30, 500, 2), (50, 500, 2), (100, 0, 0), (100, 10_000, 100), (1, 10_000, 1), (333, 1500, 50)],
    )
    def test_the_fee_is_rounded_once_half_even(self, net_minor: int, fee_bp: int, fee: int) -> None:
        transfers = post(record(net_minor), ACCOUNTS, Terms(fee_bp, owner_is_vat_registered=False))
        assert balances(transfers).get(("platform", "CZK"), 0) == fee

    def test_vat_by_an_owner_who_is_not_registered_is_held(self) -> None:
        with pytest.raises(ValueError, match="1 of VAT"):
            post(record(100, 1), ACCOUNTS, Terms(0, owner_is_vat_registered=False))

    @pytest.mark.parametrize("fee_bp", [-1, 10_001])
    def test_a_fee_is_between_nothing_and_all(self, fee_bp: int) -> None:
        with pytest.raises(ValueError, match="platform fee"):
            Terms(fee_bp, owner_is_vat_registered=False)

    @pytest.mark.parametrize(("debit", "credit", "amount"), [("a", "b", 0), ("a", "b", -1), ("a", "a", 1)])
    def test_what_is_no_transfer(self, debit: str, credit: str, amount: int) -> None:
        with pytest.raises(ValueError, match="moves nothing"):
            Transfer(debit, credit, amount, "CZK", "charge")


class TestCorrection:
    """Transfers back, never changes."""

    FIRST = post(record(10_000), ACCOUNTS, TERMS)
    SECOND = post(record(8000), ACCOUNTS, TERMS)

    def test_takes_back_what_stands_and_posts_what_is_due(self) -> None:
        correction = correct(self.FIRST, self.SECOND)
        assert moved(correction) == [
            ("owner-1", "driver-1", 10_000, "charge"),
            ("platform", "owner-1", 1500, "platform_fee"),
            ("driver-1", "owner-1", 8000, "charge"),
            ("owner-1", "platform", 1200, "platform_fee"),
        ]
        assert [transfer.is_reversal for transfer in correction] == [True, True, False, False]

    def test_of_a_correction_leaves_the_first(self) -> None:
        once = (*self.FIRST, *correct(self.FIRST, self.SECOND))
        twice = (*once, *correct(once, self.FIRST))
        assert standing(twice) == self.FIRST
        assert balances(twice) == balances(self.FIRST)

    def test_of_what_is_right_already_is_nothing(self) -> None:
        assert correct(self.FIRST, self.FIRST) == ()
        assert correct((), ()) == ()

    def test_to_nothing_is_a_cancellation(self) -> None:
        assert correct(self.FIRST, ()) == tuple(reverse(transfer) for transfer in self.FIRST)

    def test_a_reversal_needs_what_it_reverses(self) -> None:
        with pytest.raises(ValueError, match="never posted"):
            standing([reverse(self.FIRST[0])])
        with pytest.raises(ValueError, match="never posted"):
            correct(self.FIRST, [reverse(self.FIRST[0])])

    def test_the_reversal_of_a_reversal_is_the_transfer(self) -> None:
        assert reverse(reverse(self.FIRST[0])) == self.FIRST[0]
        assert reverse(self.FIRST[0]) != self.FIRST[0]


PEOPLE = st.sampled_from(["a", "b", "c", "platform"])
records = st.builds(record, st.integers(0, 10**6), st.integers(0, 10**5), st.sampled_from(["CZK", "EUR"]))


@steadily
@given(records, st.builds(Accounts, PEOPLE, PEOPLE, PEOPLE), st.integers(0, 10_000))
def test_all_balances_add_up_to_zero_and_the_driver_pays_the_total(
    cost: ChargeDetailRecord, accounts: Accounts, fee_bp: int
) -> None:
    transfers = post(cost, accounts, Terms(fee_bp, owner_is_vat_registered=True))
    assert sum(balances(transfers).values()) == 0
    if len({accounts.driver, accounts.owner, accounts.platform}) == 3:
        paid = balances(transfers)
        assert paid.get((accounts.driver, cost.currency), 0) == -cost.total_minor
        fee = paid.get((accounts.platform, cost.currency), 0)
        assert fee == round(Fraction(cost.net_minor * fee_bp, 10_000))
        assert paid.get((accounts.owner, cost.currency), 0) == cost.total_minor - fee


class Books(RuleBasedStateMachine):
    """Any sequence of settlements, corrections, repeats and cancellations, against books kept by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger: dict[int, list[Transfer]] = defaultdict(list)
        self.last: dict[int, tuple[Transfer, ...]] = {}

    @rule(
        session=st.integers(0, 3),
        cost=records,
        accounts=st.builds(Accounts, PEOPLE, PEOPLE, st.just("platform")),
        fee_bp=st.integers(0, 10_000),
    )
    def settle(self, session: int, cost: ChargeDetailRecord, accounts: Accounts, fee_bp: int) -> None:
        due = post(cost, accounts, Terms(fee_bp, owner_is_vat_registered=True))
        self.ledger[session] += correct(self.ledger[session], due)
        self.last[session] = due

    @rule(session=st.integers(0, 3))
    def settle_again(self, session: int) -> None:
        assert correct(self.ledger[session], self.last.get(session, ())) == ()

    @rule(session=st.integers(0, 3))
    def cancel(self, session: int) -> None:
        self.ledger[session] += correct(self.ledger[session], ())
        self.last[session] = ()

    @invariant()
    def only_what_was_last_due_stands(self) -> None:
        for session, due in self.last.items():
            assert Counter(standing(self.ledger[session])) == Counter(due)

    @invariant()
    def balances_are_those_of_what_stands(self) -> None:
        everything = [transfer for transfers in self.ledger.values() for transfer in transfers]
        due = [transfer for transfers in self.last.values() for transfer in transfers]
        kept = {key: amount for key, amount in balances(everything).items() if amount}
        assert kept == {key: amount for key, amount in balances(due).items() if amount}
        for currency in ("CZK", "EUR"):
            assert sum(amount for key, amount in kept.items() if key[1] == currency) == 0


TestBooks = Books.TestCase
TestBooks.settings = settings(parent=steadily, max_examples=30, stateful_step_count=15)
