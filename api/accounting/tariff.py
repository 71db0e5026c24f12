"""A tariff in OCPI 2.2.1 terms: what it consists of, and its form as JSON in the database, in integers only.

What is wrong with one is said in `tariff_rules`, its decimal form is read in `ocpi`, what it costs in `rating`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from typing import Any, Final, Literal, get_args

from api.accounting.money import MINOR_DIGITS

ENERGY: Final = "ENERGY"
TIME: Final = "TIME"
PARKING_TIME: Final = "PARKING_TIME"
FLAT: Final = "FLAT"
Dimension = Literal["ENERGY", "TIME", "PARKING_TIME", "FLAT"]
"""OCPI 11.4.5: energy; time charging; time connected without charging; once a session."""
DIMENSIONS: Final[tuple[Dimension, ...]] = get_args(Dimension)

DAYS: Final = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
"""OCPI DayOfWeek, at the place that `date.weekday()` counts."""


@dataclass(frozen=True, slots=True)
class PriceComponent:
    """OCPI PriceComponent: `price_e4` is per kWh, per hour or per session, without VAT.

    `step_size` counts Wh or seconds. `vat_bp` is the VAT in hundredths of a percent (21 % is 2100); None is no VAT.
    """

    type: Dimension
    price_e4: int
    step_size: int = 1
    vat_bp: int | None = None


@dataclass(frozen=True, slots=True)
class Restrictions:
    """OCPI TariffRestrictions: when an element is active. Each minimum is inclusive, each maximum exclusive.

    Time of day, weekday and date are read off the clock at the location; an `end_time` not after `start_time` is
    the next day's. Energy and duration count from the start of the session.
    """

    start_time: time | None = None
    end_time: time | None = None
    start_date: date | None = None
    end_date: date | None = None
    day_of_week: frozenset[str] = frozenset()
    min_wh: int | None = None
    max_wh: int | None = None
    min_duration_s: int | None = None
    max_duration_s: int | None = None

    @property
    def needs_wall_clock(self) -> bool:
        """Whether it takes the location's time zone to tell if they match."""
        bounds = (self.start_time, self.end_time, self.start_date, self.end_date)
        return bool(self.day_of_week) or any(bound is not None for bound in bounds)


ALWAYS: Final = Restrictions()


@dataclass(frozen=True, slots=True)
class Element:
    """OCPI TariffElement: components that share their restrictions, at most one of each dimension."""

    components: tuple[PriceComponent, ...]
    restrictions: Restrictions = ALWAYS

    def component(self, dimension: Dimension) -> PriceComponent | None:
        """The component of that dimension, if it has one."""
        for component in self.components:
            if component.type == dimension:
                return component
        return None


@dataclass(frozen=True, slots=True)
class PriceLimit:
    """OCPI Price, as the least or the most that a session costs, in minor units."""

    excl_vat_minor: int
    incl_vat_minor: int | None = None


@dataclass(frozen=True, slots=True)
class Tariff:
    """What is frozen into a transaction at its start.

    Ours: `idle_grace_s` of a session's parking time is free; `no_show_fee_minor`, without VAT, is for a reservation
    that nobody came for.
    """

    currency: str
    elements: tuple[Element, ...]
    min_price: PriceLimit | None = None
    max_price: PriceLimit | None = None
    idle_grace_s: int = 0
    no_show_fee_minor: int = 0

    @property
    def charges_vat(self) -> bool:
        """Whether a session may come with VAT, for which its owner must be registered."""
        return any(component.vat_bp for element in self.elements for component in element.components)

    @property
    def needs_wall_clock(self) -> bool:
        """Whether rating takes the location's time zone."""
        return any(element.restrictions.needs_wall_clock for element in self.elements)

    @property
    def needs_samples(self) -> bool:
        """Whether more than the registers at start and stop takes part in rating."""
        return any(
            element.restrictions != ALWAYS or any(component.type != ENERGY for component in element.components)
            for element in self.elements
        )


def flat_tariff(price_e4: int, currency: str) -> Tariff:
    """A price per kWh and nothing else.

    Raises:
        ValueError: a currency that Voltuj does not bill in.
    """
    if currency not in MINOR_DIGITS:
        raise ValueError(f"currency {currency} is not one of {', '.join(sorted(MINOR_DIGITS))}")
    return Tariff(currency, (Element((PriceComponent(ENERGY, price_e4),)),))


def energy_price_e4(tariff: Tariff) -> int:
    """The price of a kWh without VAT, for showing it; the highest where it varies, 0 where energy has no price."""
    return max((c.price_e4 for element in tariff.elements for c in element.components if c.type == ENERGY), default=0)


def elements_to_json(tariff: Tariff) -> list[dict[str, Any]]:
    """The elements, for `tariffs.elements`."""
    return [_element_to_json(element) for element in tariff.elements]


def terms_to_json(tariff: Tariff) -> dict[str, Any]:
    """What holds for the whole tariff and is not in its elements; empty where nothing does."""
    terms: dict[str, Any] = {}
    for name, limit in (("min_price", tariff.min_price), ("max_price", tariff.max_price)):
        if limit is not None:
            terms[name] = _present(excl_vat_minor=limit.excl_vat_minor, incl_vat_minor=limit.incl_vat_minor)
    numbers = {"idle_grace_s": tariff.idle_grace_s, "no_show_fee_minor": tariff.no_show_fee_minor}
    return terms | {name: number for name, number in numbers.items() if number}


def tariff_to_json(tariff: Tariff) -> dict[str, Any]:
    """The whole tariff, for `transactions.tariff`."""
    return {"currency": tariff.currency, "elements": elements_to_json(tariff)} | terms_to_json(tariff)


def tariff_from_json(
    currency: str, elements: Sequence[Mapping[str, Any]], terms: Mapping[str, Any] | None = None
) -> Tariff:
    """Reads back what `elements_to_json` and `terms_to_json` wrote.

    Raises:
        KeyError, TypeError, ValueError: not such JSON.
    """
    terms = terms or {}
    return Tariff(
        currency,
        tuple(_element_from_json(element) for element in elements),
        _limit_from_json(terms.get("min_price")),
        _limit_from_json(terms.get("max_price")),
        int(terms.get("idle_grace_s", 0)),
        int(terms.get("no_show_fee_minor", 0)),
    )


def tariff_from_document(document: Mapping[str, Any]) -> Tariff:
    """Reads back what `tariff_to_json` wrote.

    Raises:
        KeyError, TypeError, ValueError: not such JSON.
    """
    return tariff_from_json(document["currency"], document["elements"], document)


def _present(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON of any kind
    return {name: value for name, value in fields.items() if value is not None}


def _element_to_json(element: Element) -> dict[str, Any]:
    components = [
        _present(type=c.type, price_e4=c.price_e4, step_size=c.step_size, vat_bp=c.vat_bp) for c in element.components
    ]
    restrictions = _restrictions_to_json(element.restrictions)
    return {"price_components": components} | ({"restrictions": restrictions} if restrictions else {})


def _restrictions_to_json(restrictions: Restrictions) -> dict[str, Any]:
    return wall_clock_to_json(restrictions) | _present(
        min_wh=restrictions.min_wh,
        max_wh=restrictions.max_wh,
        min_duration_s=restrictions.min_duration_s,
        max_duration_s=restrictions.max_duration_s,
    )


def wall_clock_to_json(restrictions: Restrictions) -> dict[str, Any]:
    """Those of the clock on the wall, which OCPI and the database write alike."""
    return _present(
        start_time=restrictions.start_time and restrictions.start_time.strftime("%H:%M"),
        end_time=restrictions.end_time and restrictions.end_time.strftime("%H:%M"),
        start_date=restrictions.start_date and restrictions.start_date.isoformat(),
        end_date=restrictions.end_date and restrictions.end_date.isoformat(),
        day_of_week=[day for day in DAYS if day in restrictions.day_of_week] or None,
    )


def _element_from_json(element: Mapping[str, Any]) -> Element:
    components = tuple(_component_from_json(component) for component in element["price_components"])
    return Element(components, _restrictions_from_json(element.get("restrictions", {})))


def _component_from_json(component: Mapping[str, Any]) -> PriceComponent:
    if component["type"] not in DIMENSIONS:
        raise ValueError(f"{component['type']} is a price component that this version cannot rate")
    vat_bp = component.get("vat_bp")
    return PriceComponent(
        component["type"],
        int(component["price_e4"]),
        int(component["step_size"]),
        None if vat_bp is None else int(vat_bp),
    )


def _restrictions_from_json(restrictions: Mapping[str, Any]) -> Restrictions:
    readers: dict[str, Callable[[Any], Any]] = {
        "start_time": time.fromisoformat,
        "end_time": time.fromisoformat,
        "start_date": date.fromisoformat,
        "end_date": date.fromisoformat,
        "day_of_week": frozenset,
    }
    return Restrictions(**{name: readers.get(name, int)(value) for name, value in restrictions.items()})


def _limit_from_json(limit: Mapping[str, Any] | None) -> PriceLimit | None:
    return None if limit is None else PriceLimit(limit["excl_vat_minor"], limit.get("incl_vat_minor"))
