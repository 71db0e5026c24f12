"""Amounts: integers of minor units with a currency; unit prices: integers of 10^-4 currency units. No float, ever.

OCPI 2.2.1 gives prices up to four decimals; ISO 4217 gives each currency its minor unit.
"""

from decimal import Decimal, InvalidOperation
from typing import Final

MINOR_DIGITS: Final = {
    "CZK": 2,
    "EUR": 2,
    "PLN": 2,
    "HUF": 2,
    "USD": 2,
    "GBP": 2,
    "CHF": 2,
    "DKK": 2,
    "NOK": 2,
    "SEK": 2,
}
"""Digits after the point of each currency that Voltuj bills in (ISO 4217)."""

PRICE_DIGITS: Final = 4
EXACT_DIGITS: Final = 28
"""What `decimal` computes with by default; it would round a longer number."""
HIGHEST_PRICE_E4: Final = 1_000_000 * 10**PRICE_DIGITS
"""A unit price above a million is a typing error."""


def parse_scaled(text: str | int | Decimal, digits: int, highest: int) -> int:
    """A decimal number between 0 and `highest` as an integer of 10^-`digits`.

    Raises:
        ValueError: not a plain decimal number, negative, over `digits` decimals, or above `highest`.
    """
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a decimal number") from None
    if not number.is_finite() or number < 0 or number > highest:
        raise ValueError(f"{text} is not between 0 and {highest}")
    scaled = number.scaleb(digits)
    if len(number.as_tuple().digits) > EXACT_DIGITS or scaled != scaled.to_integral_value():
        raise ValueError(f"{text} has more than {digits} decimals")
    return int(scaled)


def parse_price_e4(text: str | int | Decimal) -> int:
    """A decimal unit price such as "5.50" as an integer of 10^-4 currency units.

    Raises:
        ValueError: not a plain decimal number, negative, over four decimals, or above a million.
    """
    return parse_scaled(text, PRICE_DIGITS, HIGHEST_PRICE_E4 // 10**PRICE_DIGITS)


def format_scaled(number: int, digits: int) -> str:
    """The decimal string of a non-negative integer of 10^-`digits`, without trailing zeros: 1500, 3 -> "1.5"."""
    whole, part = divmod(number, 10**digits)
    return f"{whole}.{part:0{digits}d}".rstrip("0").rstrip(".")


def format_price_e4(price_e4: int) -> str:
    """A unit price as people write it: at least two decimals, four where they are needed."""
    whole, part = divmod(price_e4, 10**PRICE_DIGITS)
    decimals = f"{part:0{PRICE_DIGITS}d}"
    return f"{whole}.{decimals[:2]}{decimals[2:].rstrip('0')}"


def format_minor(amount_minor: int, currency: str) -> str:
    """An amount of minor units as a decimal string, for example 1234 CZK -> "12.34"."""
    digits = MINOR_DIGITS[currency]
    sign = "-" if amount_minor < 0 else ""
    number = str(abs(amount_minor)).zfill(digits + 1)
    return f"{sign}{number[:-digits]}.{number[-digits:]}"


def divide_half_even(numerator: int, denominator: int) -> int:
    """`numerator / denominator` to the nearest integer, ties to the even one; `denominator` is positive."""
    quotient, remainder = divmod(numerator, denominator)
    twice = 2 * remainder
    if twice > denominator or (twice == denominator and quotient % 2 == 1):
        quotient += 1
    return quotient
