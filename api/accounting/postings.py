"""From a charge detail record to the ledger: transfers from account to account, corrections, balances. Pure.

Every transfer debits one account and credits another by one positive amount, so all balances of a currency add up to
zero by construction. Accounts are opaque ids; nothing here knows a person.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol

from api.accounting.money import divide_half_even

ALL_BP: Final = 10_000
CHARGE: Final = "charge"
VAT: Final = "vat"
PLATFORM_FEE: Final = "platform_fee"
TOP_UP: Final = "top_up"
PAYOUT: Final = "payout"
REFUND: Final = "refund"
NO_SHOW_FEE: Final = "no_show_fee"
BankKind = Literal["top_up", "payout", "refund"]
Kind = Literal["charge", "vat", "platform_fee", "no_show_fee"] | BankKind


class Priced(Protocol):
    """What a session comes to: a charge detail record, or what was kept of one."""

    @property
    def currency(self) -> str:
        """ISO 4217."""

    @property
    def net_minor(self) -> int:
        """The total without VAT."""

    @property
    def vat_minor(self) -> int:
        """The VAT in the total."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """The accounts of one session."""

    driver: str
    owner: str
    platform: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What the platform takes of the net amount, in hundredths of a percent, and whether the owner charges VAT."""

    fee_bp: int
    owner_is_vat_registered: bool

    def __post_init__(self) -> None:
        if not 0 <= self.fee_bp <= ALL_BP:
            raise ValueError(f"a platform fee of {self.fee_bp} is not between 0 and {ALL_BP} hundredths of a percent")


@dataclass(frozen=True, slots=True)
class Transfer:
    """`amount_minor` leaves the debited account and reaches the credited one; a reversal takes one back."""

    debit: str
    credit: str
    amount_minor: int
    currency: str
    kind: Kind
    is_reversal: bool = False

    def __post_init__(self) -> None:
        if self.amount_minor <= 0:
            raise ValueError(f"a transfer of {self.amount_minor} moves nothing; turn it round instead")
        if self.debit == self.credit:
            raise ValueError(f"a transfer from {self.debit} to itself moves nothing")


def post(record: Priced, accounts: Accounts, terms: Terms) -> tuple[Transfer, ...]:
    """What a session comes to: the driver pays the owner its price and VAT, the owner pays the platform its fee.

    The fee is `fee_bp` of the net total (VAT is not the owner's income), rounded once a session, half to even.
    An owner on an own wallbox pays nothing, and the platform takes nothing, also of what is its own.

    Raises:
        ValueError: the record has VAT and the owner is not registered for it; such a session is held.
    """
    if accounts.driver == accounts.owner:
        return ()
    if record.vat_minor and not terms.owner_is_vat_registered:
        raise ValueError(f"{record.vat_minor} of VAT by an owner who is not registered for it")
    fee_minor = divide_half_even(record.net_minor * terms.fee_bp, ALL_BP)
    due: tuple[tuple[str, str, int, Kind], ...] = (
        (accounts.driver, accounts.owner, record.net_minor, CHARGE),
        (accounts.driver, accounts.owner, record.vat_minor, VAT),
        (accounts.owner, accounts.platform, fee_minor, PLATFORM_FEE),
    )
    return tuple(
        Transfer(debit, credit, amount_minor, record.currency, kind)
        for debit, credit, amount_minor, kind in due
        if amount_minor and debit != credit
    )


def post_bank(amount_minor: int, currency: str, account: str, bank: str, kind: BankKind) -> Transfer:
    """What came in on the bank account of the house (positive) or left it, for the account that it belongs to.

    The ledger's bank account is the world outside: what the house holds for people stands on it as negative.
    """
    debit, credit = (bank, account) if amount_minor > 0 else (account, bank)
    return Transfer(debit, credit, abs(amount_minor), currency, kind)


def post_no_show(fee_minor: int, currency: str, driver: str, owner: str) -> tuple[Transfer, ...]:
    """What a booking that nobody came for comes to: the driver pays the owner the fee, and nobody else anything."""
    return (Transfer(driver, owner, fee_minor, currency, NO_SHOW_FEE),) if fee_minor and driver != owner else ()


def reverse(transfer: Transfer) -> Transfer:
    """The transfer back; the reversal of a reversal is the transfer itself."""
    return replace(transfer, debit=transfer.credit, credit=transfer.debit, is_reversal=not transfer.is_reversal)


def standing(posted: Iterable[Transfer]) -> tuple[Transfer, ...]:
    """Of all that was ever posted for a session, what no reversal took back.

    Raises:
        ValueError: a reversal of what was never posted.
    """
    left: Counter[Transfer] = Counter()
    for transfer in posted:
        if transfer.is_reversal:
            left[reverse(transfer)] -= 1
        else:
            left[transfer] += 1
    if any(count < 0 for count in left.values()):
        raise ValueError("a reversal of what was never posted")
    return tuple(left.elements())


def correct(posted: Sequence[Transfer], due: Sequence[Transfer]) -> tuple[Transfer, ...]:
    """What to post so that of everything only `due` stands: what stands now is taken back, what is due is posted.

    Nothing where that is so already. To cancel a session, nothing is due.

    Raises:
        ValueError: `posted` or `due` has a reversal of what it does not have.
    """
    now, wanted = standing(posted), standing(due)
    if Counter(now) == Counter(wanted):
        return ()
    return (*(reverse(transfer) for transfer in now), *wanted)


def balances(transfers: Iterable[Transfer]) -> dict[tuple[str, str], int]:
    """By account and currency, what was credited less what was debited; negative is owed."""
    sums: dict[tuple[str, str], int] = {}
    for transfer in transfers:
        for account, amount_minor in (
            (transfer.debit, -transfer.amount_minor),
            (transfer.credit, transfer.amount_minor),
        ):
            key = (account, transfer.currency)
            sums[key] = sums.get(key, 0) + amount_minor
    return sums
