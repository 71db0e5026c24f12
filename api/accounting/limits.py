"""The lines that close a charge detail record: minimum and maximum price, then the VAT by its rate. Pure.

OCPI 2.2.1, 11.3.1: the limits without and with VAT both hold; docs/adr/0007 says how an adjustment is spread.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from api.accounting.money import divide_half_even
from api.accounting.tariff import Dimension, PriceLimit, Tariff

ALL_BP: Final = 10_000
MIN_PRICE: Final = "MIN_PRICE"
MAX_PRICE: Final = "MAX_PRICE"
VAT: Final = "VAT"
LineType = Dimension | Literal["MIN_PRICE", "MAX_PRICE", "VAT"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line: `amount_minor` is without VAT, or is the VAT itself.

    A price component's has its `element`, the volume `used` and the `volume` billed after step_size (Wh, seconds, or
    1 session). A VAT line has the `base_minor` that it is on.
    """

    type: LineType
    amount_minor: int
    vat_bp: int | None = None
    element: int | None = None
    used: int | None = None
    volume: int | None = None
    price_e4: int | None = None
    base_minor: int | None = None


def closing_lines(tariff: Tariff, lines: Sequence[Line]) -> list[Line]:
    """What follows the lines of the price components: adjustments to the limits, and one VAT line a rate."""
    net = _net_by_rate(tariff, lines)
    closing = _to_limits_without_vat(tariff, net)
    vat = {rate: divide_half_even(amount * (rate or 0), ALL_BP) for rate, amount in net.items()}
    closing += _to_limits_with_vat(tariff, net, vat)
    closing += [Line(VAT, amount, rate, base_minor=net[rate]) for rate, amount in vat.items() if amount]
    return closing


def _net_by_rate(tariff: Tariff, lines: Sequence[Line]) -> dict[int | None, int]:
    """Amounts by their rate of VAT; a session that cost nothing has the rate of the tariff's first component."""
    net: dict[int | None, int] = {}
    for line in lines:
        net[line.vat_bp] = net.get(line.vat_bp, 0) + line.amount_minor
    return net or {tariff.elements[0].components[0].vat_bp: 0}


def _to_limits_without_vat(tariff: Tariff, net: dict[int | None, int]) -> list[Line]:
    least = tariff.min_price.excl_vat_minor if tariff.min_price else 0
    most = tariff.max_price.excl_vat_minor if tariff.max_price else None
    adjustment = _missing(sum(net.values()), least, most)
    parts = _spread(adjustment, net)
    for rate, part in parts.items():
        net[rate] += part
    return [_limit_line(adjustment, part, rate) for rate, part in parts.items() if part]


def _to_limits_with_vat(tariff: Tariff, net: dict[int | None, int], vat: dict[int | None, int]) -> list[Line]:
    """An adjustment here includes its VAT, which is taken out of it."""
    least, most = _incl_vat(tariff.min_price), _incl_vat(tariff.max_price)
    gross = {rate: net[rate] + vat[rate] for rate in net}
    adjustment = _missing(sum(gross.values()), least or 0, most)
    lines = []
    for rate, part in _spread(adjustment, gross).items():
        vat_part = divide_half_even(part * (rate or 0), ALL_BP + (rate or 0))
        vat[rate] += vat_part
        net[rate] += part - vat_part
        lines.append(_limit_line(adjustment, part - vat_part, rate))
    return [line for line in lines if line.amount_minor]


def _incl_vat(limit: PriceLimit | None) -> int | None:
    return limit.incl_vat_minor if limit else None


def _missing(amount: int, least: int, most: int | None) -> int:
    """What to add so that the amount is within the limits; where they contradict each other the maximum holds."""
    wanted = max(amount, least)
    return (wanted if most is None else min(wanted, most)) - amount


def _limit_line(adjustment: int, part: int, rate: int | None) -> Line:
    return Line(MIN_PRICE if adjustment > 0 else MAX_PRICE, part, rate)


def _spread(amount: int, weights: dict[int | None, int]) -> dict[int | None, int]:
    """The amount in proportion to the weights, rounded cumulatively so that the parts add up to it."""
    total = sum(weights.values())
    if total == 0:
        return dict.fromkeys(weights, 0) | {next(iter(weights)): amount}
    parts, weight, given = {}, 0, 0
    for rate, one in weights.items():
        weight += one
        parts[rate] = divide_half_even(amount * weight, total) - given
        given += parts[rate]
    return parts
