"""By which rule each line of a charge detail record was computed, so that it can be followed by hand. Pure.

The names of the rules are stable; the sentences are English, and whoever writes receipts has the numbers for others.
"""

from typing import Final, Literal

from api.accounting.limits import MAX_PRICE, MIN_PRICE, VAT, Line
from api.accounting.money import format_minor, format_price_e4, format_scaled
from api.accounting.tariff import ENERGY, FLAT, PARKING_TIME, TIME, Tariff

VOLUME_TIMES_PRICE: Final = "volume_times_price"
STEP_TIMES_PRICE: Final = "volume_rounded_up_to_step_times_price"
ONCE_A_SESSION: Final = "once_a_session"
UP_TO_MIN_PRICE: Final = "up_to_min_price"
DOWN_TO_MAX_PRICE: Final = "down_to_max_price"
VAT_OF_LINES: Final = "vat_of_lines"
Rule = Literal[
    "volume_times_price",
    "volume_rounded_up_to_step_times_price",
    "once_a_session",
    "up_to_min_price",
    "down_to_max_price",
    "vat_of_lines",
]

SECONDS_PER_HOUR: Final = 3600
WHAT: Final = {ENERGY: "Energy", TIME: "Charging time", PARKING_TIME: "Time connected without charging"}


def rule_of(line: Line) -> Rule:
    """The stable name of the rule."""
    if line.type == VAT:
        return VAT_OF_LINES
    if line.type in {MIN_PRICE, MAX_PRICE}:
        return UP_TO_MIN_PRICE if line.type == MIN_PRICE else DOWN_TO_MAX_PRICE
    if line.type == FLAT:
        return ONCE_A_SESSION
    return VOLUME_TIMES_PRICE if line.used == line.volume else STEP_TIMES_PRICE


def explain(line: Line, tariff: Tariff) -> str:
    """The rule with its numbers as a sentence for people."""
    amount = f"{format_minor(line.amount_minor, tariff.currency)} {tariff.currency}"
    if line.type == VAT:
        base = format_minor(line.base_minor or 0, tariff.currency)
        return f"VAT: {_percent(line.vat_bp)} of {base} {tariff.currency} = {amount}."
    if line.type in {MIN_PRICE, MAX_PRICE}:
        return f"{'Up to the minimum' if line.type == MIN_PRICE else 'Down to the maximum'} price: {amount}{_at(line)}."
    price = f"{format_price_e4(line.price_e4 or 0)} {tariff.currency}"
    if line.type == FLAT:
        return f"Once a session: {price} = {amount}."
    return f"{WHAT[line.type]}: {_volume(line)} x {price}/{'kWh' if line.type == ENERGY else 'h'} = {amount}."


def _volume(line: Line) -> str:
    volume, used = _quantity(line, line.volume or 0), _quantity(line, line.used or 0)
    return volume if line.volume == line.used else f"{used}, in whole steps {volume},"


def _quantity(line: Line, number: int) -> str:
    if line.type == ENERGY:
        return f"{format_scaled(number, 3)} kWh"
    minutes, seconds = divmod(number % SECONDS_PER_HOUR, 60)
    return f"{number // SECONDS_PER_HOUR}:{minutes:02}:{seconds:02} h"


def _percent(vat_bp: int | None) -> str:
    return f"{format_scaled(vat_bp or 0, 2)} %"


def _at(line: Line) -> str:
    """A limit's adjustment is spread over the rates of VAT."""
    return "" if line.vat_bp is None else f", of it at {_percent(line.vat_bp)} VAT"
