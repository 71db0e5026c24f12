"""A tariff in OCPI 2.2.1 terms, and its form as JSON in the database. What it costs is computed in `rating`.

Today's only price component is ENERGY; prices are integers of 10^-4 currency units per kWh.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

from api.accounting.money import MINOR_DIGITS

ENERGY: Final = "ENERGY"


@dataclass(frozen=True, slots=True)
class PriceComponent:
    """OCPI PriceComponent: `price_e4` per kWh, billed in blocks of `step_size` Wh."""

    type: Literal["ENERGY"]
    price_e4: int
    step_size: int = 1


@dataclass(frozen=True, slots=True)
class Tariff:
    """A currency and the components of its one element, as frozen into a transaction at its start."""

    currency: str
    components: tuple[PriceComponent, ...]


def flat_tariff(price_e4: int, currency: str) -> Tariff:
    """A price per kWh and nothing else.

    Raises:
        ValueError: a currency that Voltuj does not bill in.
    """
    if currency not in MINOR_DIGITS:
        raise ValueError(f"currency {currency} is not one of {', '.join(sorted(MINOR_DIGITS))}")
    return Tariff(currency, (PriceComponent(ENERGY, price_e4),))


def energy_price_e4(tariff: Tariff) -> int:
    """The price of a kWh, for showing it."""
    return sum(component.price_e4 for component in tariff.components if component.type == ENERGY)


def elements_to_json(tariff: Tariff) -> list[dict[str, Any]]:
    """The OCPI elements, for `tariffs.elements`."""
    components = [
        {"type": component.type, "price_e4": component.price_e4, "step_size": component.step_size}
        for component in tariff.components
    ]
    return [{"price_components": components}]


def tariff_to_json(tariff: Tariff) -> dict[str, Any]:
    """The whole tariff, for `transactions.tariff`."""
    return {"currency": tariff.currency, "elements": elements_to_json(tariff)}


def tariff_from_json(currency: str, elements: list[dict[str, Any]]) -> Tariff:
    """Reads back what `elements_to_json` wrote.

    Raises:
        KeyError, TypeError, ValueError: not such a list.
    """
    components = tuple(
        PriceComponent(component["type"], int(component["price_e4"]), int(component["step_size"]))
        for element in elements
        for component in element["price_components"]
    )
    if any(component.type != ENERGY for component in components):
        raise ValueError("a price component that this version cannot rate")
    return Tariff(currency, components)
