"""A frozen tariff, and the rule by which a line of a charge detail record was computed, in words. Nothing is computed.

Amounts and volumes are those of the line as it was settled; a reader can do the sum with what is written here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time
from typing import Any, Final

from api.accounting.tariff import (
    DAYS,
    ENERGY,
    FLAT,
    PARKING_TIME,
    TIME,
    PriceComponent,
    PriceLimit,
    Restrictions,
    Tariff,
)
from api.documents.figures import Figures, clock_duration
from api.documents.languages import Words, marked

UNIT_PRICES: Final = {
    ENERGY: marked("{price} per kWh"),
    TIME: marked("{price} per hour of charging"),
    PARKING_TIME: marked("{price} per hour connected without charging"),
    FLAT: marked("{price} per session"),
}
NAMES: Final = {
    ENERGY: marked("Energy"),
    TIME: marked("Charging time"),
    PARKING_TIME: marked("Time connected without charging"),
    FLAT: marked("Session fee"),
    "MIN_PRICE": marked("Up to the least price"),
    "MAX_PRICE": marked("Down to the highest price"),
    "VAT": marked("VAT"),
}


@dataclass(frozen=True)
class TariffWords:
    """Says tariffs and lines in a language."""

    words: Words
    figures: Figures

    def describe(self, tariff: Tariff) -> list[str]:
        """A sentence an element, and what holds for the whole; the first element that applies counts."""
        texts = []
        for element in tariff.elements:
            prices = ", ".join(self._component(component, tariff.currency) for component in element.components)
            conditions = self._conditions(element.restrictions)
            texts.append(f"{prices} ({conditions})" if conditions else prices)
        if tariff.idle_grace_s:
            grace = clock_duration(tariff.idle_grace_s)
            texts.append(self.words.say("the first {duration} connected without charging are free", duration=grace))
        if tariff.min_price:
            texts.append(self.words.say("at least {price} a session", price=self._limit(tariff.min_price, tariff)))
        if tariff.max_price:
            texts.append(self.words.say("at most {price} a session", price=self._limit(tariff.max_price, tariff)))
        return texts

    def _component(self, component: PriceComponent, currency: str) -> str:
        say = self.words.say
        text = say(UNIT_PRICES[component.type], price=self.figures.price(component.price_e4, currency))
        if component.vat_bp is not None:
            text += say(" + {rate} VAT", rate=self.figures.percent(component.vat_bp))
        if component.step_size > 1 and component.type == ENERGY:
            text += say(", by every {step} begun", step=self.figures.kilowatt_hours(component.step_size))
        elif component.step_size > 1 and component.type != FLAT:
            text += say(", by every {step} begun", step=clock_duration(component.step_size))
        return text

    def _limit(self, limit: PriceLimit, tariff: Tariff) -> str:
        text = self.words.say("{amount} without VAT", amount=self.figures.money(limit.excl_vat_minor, tariff.currency))
        if limit.incl_vat_minor is not None:
            with_vat = self.figures.money(limit.incl_vat_minor, tariff.currency)
            text += self.words.say(" and {amount} with VAT", amount=with_vat)
        return text

    def _conditions(self, restrictions: Restrictions) -> str:
        return ", ".join(
            [*self._on_the_wall(restrictions), *self._energy(restrictions), *self._duration(restrictions)]
        )  # fmt: skip

    def _on_the_wall(self, restrictions: Restrictions) -> list[str]:
        texts = self._between(restrictions.start_time, restrictions.end_time)
        days = [self.figures.weekday(place) for place, day in enumerate(DAYS) if day in restrictions.day_of_week]
        texts += [" ".join(days)] if days else []
        return texts + self._between(restrictions.start_date, restrictions.end_date)

    def _between(self, begins: time | date | None, ends: time | date | None) -> list[str]:
        texts = []
        if begins is not None:
            texts.append(self.words.say("from {bound}", bound=self._bound(begins)))
        if ends is not None:
            texts.append(self.words.say("until {bound}", bound=self._bound(ends)))
        return [" ".join(texts)] if texts else []

    def _bound(self, bound: time | date) -> str:
        return bound.strftime("%H:%M") if isinstance(bound, time) else self.figures.day(bound)

    def _energy(self, restrictions: Restrictions) -> list[str]:
        least, most = restrictions.min_wh, restrictions.max_wh
        texts = [] if least is None else [self.words.say("from {bound}", bound=self.figures.kilowatt_hours(least))]
        if most is not None:
            texts.append(self.words.say("until {bound}", bound=self.figures.kilowatt_hours(most)))
        return texts

    def _duration(self, restrictions: Restrictions) -> list[str]:
        least, most = restrictions.min_duration_s, restrictions.max_duration_s
        say = self.words.say
        texts = [] if least is None else [say("after {duration} of the session", duration=clock_duration(least))]
        if most is not None:
            texts.append(say("in the first {duration} of the session", duration=clock_duration(most)))
        return texts

    def name(self, line: Mapping[str, Any]) -> str:
        """What a line is for."""
        name = NAMES[line["type"]]
        return self.words.say(name)

    def rule(self, line: Mapping[str, Any], tariff: Tariff) -> str:
        """How the amount of a line came about."""
        say = self.words.say
        if line["type"] == "VAT":
            base = self.figures.money(line["base_minor"], tariff.currency)
            return say("{rate} of {base}", rate=self.figures.percent(line["vat_bp"]), base=base)
        if line["type"] == "MIN_PRICE":
            return say("what is missing to the least price of the tariff")
        if line["type"] == "MAX_PRICE":
            return say("what is above the highest price of the tariff")
        per_unit = UNIT_PRICES[line["type"]]
        unit_price = say(per_unit, price=self.figures.price(line["price_e4"], tariff.currency))
        rule = unit_price if line["type"] == FLAT else f"{self._volume(line)} × {unit_price}"
        conditions = self._conditions(tariff.elements[line["element"]].restrictions)
        return f"{rule} ({conditions})" if conditions else rule

    def _volume(self, line: Mapping[str, Any]) -> str:
        """What is billed, and what was used where a step rounded it up."""
        is_energy = line["type"] == ENERGY
        show = self.figures.kilowatt_hours if is_energy else clock_duration
        used, volume = (line["used_wh"], line["volume_wh"]) if is_energy else (line["used_s"], line["volume_s"])
        if used == volume:
            return show(volume)
        return self.words.say("{used}, by the step {volume},", used=show(used), volume=show(volume))
