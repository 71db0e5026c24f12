"""What makes a tariff wrong, and where: every problem at once, each with its place in the OCPI JSON. Pure.

`ocpi` asks here before it hands out a tariff; what was stored is not judged again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time
from typing import Final

from api.accounting.money import HIGHEST_PRICE_E4, MINOR_DIGITS
from api.accounting.tariff import (
    ALWAYS,
    DAYS,
    ENERGY,
    FLAT,
    PARKING_TIME,
    TIME,
    Dimension,
    Element,
    PriceComponent,
    PriceLimit,
    Restrictions,
    Tariff,
)

MOST_ELEMENTS: Final = 50
HIGHEST_VAT_BP: Final = 10_000
LARGEST_STEP: Final[Mapping[Dimension, int]] = {ENERGY: 100_000, TIME: 86_400, PARKING_TIME: 86_400, FLAT: 1}
"""Blocks larger than the battery of a car or than a day are typing errors."""
LONGEST_GRACE_S: Final = 7 * 86_400
HIGHEST_WH: Final = 10_000_000
LONGEST_DURATION_S: Final = 366 * 86_400
HIGHEST_LIMIT_MINOR: Final = 10**9


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and where in the tariff: `elements[0].restrictions.end_time`."""

    where: str
    what: str


class TariffError(ValueError):
    """A tariff that must not be offered to anybody; `problems` says all that is wrong with it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(f"{problem.where}: {problem.what}" for problem in problems))
        self.problems = problems


def check_tariff(tariff: Tariff) -> None:
    """Passes a tariff that can be rated and means what it says.

    Raises:
        TariffError: anything else.
    """
    problems = tuple(_problems(tariff))
    if problems:
        raise TariffError(problems)


def _problems(tariff: Tariff) -> Iterator[Problem]:
    if tariff.currency not in MINOR_DIGITS:
        yield Problem("currency", f"{tariff.currency} is not one of {', '.join(sorted(MINOR_DIGITS))}")
    if not 1 <= len(tariff.elements) <= MOST_ELEMENTS:
        yield Problem("elements", f"there must be 1 to {MOST_ELEMENTS} elements")
    for index, element in enumerate(tariff.elements):
        yield from _element_problems(element, f"elements[{index}]")
    yield from _shadowed(tariff)
    yield from _limit_problems(tariff.min_price, "min_price")
    yield from _limit_problems(tariff.max_price, "max_price")
    yield from _contradictions(tariff.min_price, tariff.max_price)
    yield from _outside(tariff.idle_grace_s, 0, LONGEST_GRACE_S, "idle_grace_s")
    yield from _outside(tariff.no_show_fee_minor, 0, HIGHEST_LIMIT_MINOR, "no_show_fee")


def _element_problems(element: Element, where: str) -> Iterator[Problem]:
    if not element.components:
        yield Problem(f"{where}.price_components", "there must be at least one")
    seen = set()
    for index, component in enumerate(element.components):
        place = f"{where}.price_components[{index}]"
        yield from _component_problems(component, place)
        if component.type in seen:
            yield Problem(f"{place}.type", f"an element has one {component.type} component at most")
        seen.add(component.type)
    yield from _restriction_problems(element.restrictions, f"{where}.restrictions")


def _component_problems(component: PriceComponent, where: str) -> Iterator[Problem]:
    yield from _outside(component.price_e4, 0, HIGHEST_PRICE_E4, f"{where}.price")
    if component.vat_bp is not None:
        yield from _outside(component.vat_bp, 0, HIGHEST_VAT_BP, f"{where}.vat")
    yield from _outside(component.step_size, 1, LARGEST_STEP[component.type], f"{where}.step_size")


def _restriction_problems(restrictions: Restrictions, where: str) -> Iterator[Problem]:
    for day in sorted(restrictions.day_of_week - set(DAYS)):
        yield Problem(f"{where}.day_of_week", f"{day} is not one of {', '.join(DAYS)}")
    start, end = restrictions.start_time, restrictions.end_time
    if (start or end) and (start or time.min) == (end or time.min) and end is not None:
        yield Problem(f"{where}.end_time", "equals the start; for the whole day leave both out")
    yield from _order(restrictions.start_date, restrictions.end_date, f"{where}.end_date")
    yield from _range(restrictions.min_wh, restrictions.max_wh, HIGHEST_WH, (f"{where}.min_kwh", f"{where}.max_kwh"))
    durations = (restrictions.min_duration_s, restrictions.max_duration_s)
    yield from _range(*durations, LONGEST_DURATION_S, (f"{where}.min_duration", f"{where}.max_duration"))


def _order(least: date | None, most: date | None, where: str) -> Iterator[Problem]:
    if least is not None and most is not None and most <= least:
        yield Problem(where, f"{most} must be after {least}, it is exclusive")


def _range(least: int | None, most: int | None, highest: int, where: tuple[str, str]) -> Iterator[Problem]:
    for bound, place in zip((least, most), where, strict=True):
        if bound is not None:
            yield from _outside(bound, 0, highest, place)
    if most is not None and most <= (least or 0):
        yield Problem(where[1], f"{most} must be above {least or 0}, it is exclusive")


def _outside(number: int, least: int, most: int, where: str) -> Iterator[Problem]:
    if not least <= number <= most:
        yield Problem(where, f"{number} is not between {least} and {most}")


def _shadowed(tariff: Tariff) -> Iterator[Problem]:
    """OCPI 11.4.6: the first element that matches is used, so what follows one that always matches is never."""
    always = set()
    for index, element in enumerate(tariff.elements):
        for number, component in enumerate(element.components):
            if component.type in always:
                place = f"elements[{index}].price_components[{number}]"
                yield Problem(place, f"never used: an element before it has {component.type} without restrictions")
        if element.restrictions == ALWAYS:
            always |= {component.type for component in element.components}


def _limit_problems(limit: PriceLimit | None, where: str) -> Iterator[Problem]:
    if limit is None:
        return
    yield from _outside(limit.excl_vat_minor, 0, HIGHEST_LIMIT_MINOR, f"{where}.excl_vat")
    if limit.incl_vat_minor is not None:
        yield from _outside(limit.incl_vat_minor, limit.excl_vat_minor, HIGHEST_LIMIT_MINOR, f"{where}.incl_vat")


def _contradictions(least: PriceLimit | None, most: PriceLimit | None) -> Iterator[Problem]:
    if least is None or most is None:
        return
    if most.excl_vat_minor < least.excl_vat_minor:
        yield Problem("max_price.excl_vat", "is below min_price")
    if (least.incl_vat_minor or 0) > (most.incl_vat_minor or HIGHEST_LIMIT_MINOR):
        yield Problem("max_price.incl_vat", "is below min_price")
