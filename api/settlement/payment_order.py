"""What a person types or scans to pay: variable symbols with a check digit, payment codes and their QR images. Pure.

The code is SPAYD 1.0, "QR platba" of the Czech Banking Association; who pays what for which reason is not decided here.
"""

import io
import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

import segno
from qrplatba import SpaydGenerator

from api.accounting.money import MINOR_DIGITS

SYMBOL_DIGITS: Final = 10
LONGEST_MESSAGE: Final = 60
LONGEST_NAME: Final = 35
ImageKind = Literal["png", "svg"]
SCALE: Final = 8
"""Pixels of the PNG for a module of the code."""
_UNUSUAL: Final = re.compile(r"[^A-Za-z0-9 $+./:,-]")


@dataclass(frozen=True, slots=True)
class PaymentOrder:
    """To whom, how much (None: what the payer likes), and by which variable symbol it is known again."""

    iban: str
    recipient: str
    amount_minor: int | None
    currency: str
    variable_symbol: str
    message: str


def to_symbol(number: int) -> str:
    """The variable symbol of a number of nine digits: a Luhn digit follows, so that no slip pays somebody else."""
    return f"{number}{_luhn(str(number))}"


def read_symbol(symbol: str | None) -> int | None:
    """The number of one of our variable symbols; None where it is not one."""
    if symbol is None or len(symbol) != SYMBOL_DIGITS or _luhn(symbol[:-1]) != int(symbol[-1]):
        return None
    return int(symbol[:-1])


def _luhn(digits: str) -> int:
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[::-2])
    return -(doubled + sum(int(digit) for digit in digits[-2::-2])) % 10


def to_spayd(order: PaymentOrder) -> str:
    """The text of the payment code. Names and messages lose what the simplest QR readers do not know."""
    digits = MINOR_DIGITS[order.currency]
    amount = None if order.amount_minor is None else Decimal(order.amount_minor).scaleb(-digits)
    text: str = SpaydGenerator(
        order.iban,
        amount=amount,
        currency=order.currency,
        x_vs=order.variable_symbol,
        recipient_name=_plain(order.recipient, LONGEST_NAME),
        message=_plain(order.message, LONGEST_MESSAGE),
    ).get_text()
    return text


def _plain(text: str, longest: int) -> str:
    """ASCII without `*`, which ends a field of the code."""
    decomposed = unicodedata.normalize("NFKD", text)
    ascii_only = "".join(character for character in decomposed if not unicodedata.combining(character))
    return _UNUSUAL.sub(" ", ascii_only)[:longest].strip()


def to_image(order: PaymentOrder, kind: ImageKind) -> bytes:
    """The payment code as an image of a QR code (error correction M, as the standard recommends)."""
    out = io.BytesIO()
    segno.make_qr(to_spayd(order), error="m").save(out, kind=kind, scale=SCALE, border=4)
    return out.getvalue()
