"""Tariffs in OCPI 2.2.1 terms: what is read, what is written, and what is wrong and where."""

from dataclasses import replace
from datetime import date, time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from api.accounting.money import format_scaled, parse_scaled
from api.accounting.ocpi import tariff_from_ocpi, tariff_to_ocpi
from api.accounting.tariff import (
    Element,
    PriceComponent,
    PriceLimit,
    Restrictions,
    Tariff,
    elements_to_json,
    energy_price_e4,
    flat_tariff,
    tariff_from_document,
    tariff_from_json,
    tariff_to_json,
    terms_to_json,
)
from api.accounting.tariff_rules import TariffError, check_tariff
from tests.unit.api.accounting.strategies import steadily, tariffs

NIGHT = Restrictions(
    start_time=time(22),
    end_time=time(6, 30),
    start_date=date(2026, 1, 1),
    end_date=date(2027, 1, 1),
    day_of_week=frozenset({"SUNDAY", "MONDAY"}),
    min_wh=1500,
    max_wh=20_000,
    min_duration_s=600,
    max_duration_s=7200,
)
FULL = Tariff(
    "CZK",
    (
        Element((PriceComponent("ENERGY", 35_000, 100, 2100), PriceComponent("TIME", 5_000, 60)), NIGHT),
        Element((PriceComponent("ENERGY", 55_055, 1, 520), PriceComponent("PARKING_TIME", 600_000, 900, 0))),
        Element((PriceComponent("FLAT", 10_000),)),
    ),
    PriceLimit(1000, 1210),
    PriceLimit(100_050),
    900,
)
FULL_OCPI: dict[str, Any] = {
    "currency": "CZK",
    "elements": [
        {
            "price_components": [
                {"type": "ENERGY", "price": "3.50", "step_size": 100, "vat": "21"},
                {"type": "TIME", "price": "0.50", "step_size": 60},
            ],
            "restrictions": {
                "start_time": "22:00",
                "end_time": "06:30",
                "start_date": "2026-01-01",
                "end_date": "2027-01-01",
                "day_of_week": ["MONDAY", "SUNDAY"],
                "min_kwh": "1.5",
                "max_kwh": "20",
                "min_duration": 600,
                "max_duration": 7200,
            },
        },
        {
            "price_components": [
                {"type": "ENERGY", "price": "5.5055", "step_size": 1, "vat": "5.2"},
                {"type": "PARKING_TIME", "price": "60.00", "step_size": 900, "vat": "0"},
            ]
        },
        {"price_components": [{"type": "FLAT", "price": "1.00", "step_size": 1}]},
    ],
    "min_price": {"excl_vat": "10.00", "incl_vat": "12.10"},
    "max_price": {"excl_vat": "1000.50"},
    "idle_grace_s": 900,
}
FULL_JSON: dict[str, Any] = {
    "currency": "CZK",
    "elements": [
        {
            "price_components": [
                {"type": "ENERGY", "price_e4": 35_000, "step_size": 100, "vat_bp": 2100},
                {"type": "TIME", "price_e4": 5_000, "step_size": 60},
            ],
            "restrictions": {
                "start_time": "22:00",
                "end_time": "06:30",
                "start_date": "2026-01-01",
                "end_date": "2027-01-01",
                "day_of_week": ["MONDAY", "SUNDAY"],
                "min_wh": 1500,
                "max_wh": 20_000,
                "min_duration_s": 600,
                "max_duration_s": 7200,
            },
        },
        {
            "price_components": [
                {"type": "ENERGY", "price_e4": 55_055, "step_size": 1, "vat_bp": 520},
                {"type": "PARKING_TIME", "price_e4": 600_000, "step_size": 900, "vat_bp": 0},
            ]
        },
        {"price_components": [{"type": "FLAT", "price_e4": 10_000, "step_size": 1}]},
    ],
    "min_price": {"excl_vat_minor": 1000, "incl_vat_minor": 1210},
    "max_price": {"excl_vat_minor": 100_050},
    "idle_grace_s": 900,
}


class TestDatabaseForm:
    """Integers only."""

    def test_is_what_is_written_and_read(self) -> None:
        assert tariff_to_json(FULL) == FULL_JSON
        assert tariff_from_document(FULL_JSON) == FULL

    def test_elements_and_terms_may_be_kept_apart(self) -> None:
        assert terms_to_json(FULL) == {key: FULL_JSON[key] for key in ("min_price", "max_price", "idle_grace_s")}
        assert tariff_from_json("CZK", elements_to_json(FULL), terms_to_json(FULL)) == FULL
        assert tariff_from_json("CZK", elements_to_json(FULL)) == Tariff("CZK", FULL.elements)

    def test_a_flat_price_stays_as_it_always_was(self) -> None:
        component = {"type": "ENERGY", "price_e4": 55_000, "step_size": 1}
        document = {"currency": "CZK", "elements": [{"price_components": [component]}]}
        assert tariff_to_json(flat_tariff(55_000, "CZK")) == document

    @pytest.mark.parametrize("unreadable", [{"colour": 1}, {"start_time": "25:00"}, {"min_wh": "x"}])
    def test_what_it_is_not(self, unreadable: dict[str, Any]) -> None:
        with pytest.raises((TypeError, ValueError)):
            tariff_from_json("CZK", [{"price_components": [], "restrictions": unreadable}])


class TestDecimalForm:
    """OCPI 2.2.1 with decimal strings."""

    def test_is_what_is_written_and_read(self) -> None:
        assert tariff_to_ocpi(FULL) == FULL_OCPI
        assert tariff_from_ocpi(FULL_OCPI) == FULL

    def test_numbers_may_be_decimals_and_integers(self) -> None:
        component = {"type": "ENERGY", "price": Decimal("5.5"), "step_size": 1, "vat": 21}
        tariff = tariff_from_ocpi({"currency": "CZK", "elements": [{"price_components": [component]}]})
        assert tariff == Tariff("CZK", (Element((PriceComponent("ENERGY", 55_000, 1, 2100),)),))

    def test_null_is_the_same_as_absent(self) -> None:
        component = {"type": "FLAT", "price": "1", "step_size": 1, "vat": None}
        element = {"price_components": [component], "restrictions": None}
        document = {"currency": "CZK", "elements": [element], "min_price": None, "idle_grace_s": None}
        assert tariff_from_ocpi(document) == Tariff("CZK", (Element((PriceComponent("FLAT", 10_000),)),))


@steadily
@given(tariffs())
def test_both_forms_give_the_tariff_back(tariff: Tariff) -> None:
    assert tariff_from_document(tariff_to_json(tariff)) == tariff
    try:
        check_tariff(tariff)
    except TariffError:
        return
    assert tariff_from_ocpi(tariff_to_ocpi(tariff)) == tariff


def change(path: str, value: object) -> dict[str, Any]:
    """FULL_OCPI with one place changed, `...` to take it out."""
    document: Any = _copy(FULL_OCPI)
    place = document
    *way, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    for step in way:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return dict(document)


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


COMPONENT = "elements/0/price_components/0"
RESTRICTIONS = "elements/0/restrictions"


@pytest.mark.parametrize(
    ("path", "value", "where", "what"),
    [
        ("currency", "XXX", "currency", "'XXX' is not one of CHF, CZK"),
        ("currency", ["CZK"], "currency", "is not one of"),
        ("currency", ..., "currency", "is missing"),
        ("elements", ..., "elements", "is missing"),
        ("elements", [], "elements", "1 to 50"),
        ("elements", "x", "elements", "must be a list"),
        ("elements/0", 7, "elements[0]", "must be an object"),
        ("elements/0/price_components", ..., "elements[0].price_components", "is missing"),
        ("elements/0/price_components", [], "elements[0].price_components", "at least one"),
        ("colour", "red", "colour", "is not supported"),
        (f"{RESTRICTIONS}/min_power", "7", "elements[0].restrictions.min_power", "is not supported"),
        (f"{COMPONENT}/type", "POWER", "elements[0].price_components[0].type", "'POWER' is not one of ENERGY"),
        (f"{COMPONENT}/type", "TIME", "elements[0].price_components[1].type", "one TIME component at most"),
        (f"{COMPONENT}/price", ..., "elements[0].price_components[0].price", "is missing"),
        (f"{COMPONENT}/price", 5.5, "elements[0].price_components[0].price", 'a string, such as "5.50"'),
        (f"{COMPONENT}/price", True, "elements[0].price_components[0].price", "decimal number"),
        (f"{COMPONENT}/price", "-1", "elements[0].price_components[0].price", "between 0 and 1000000"),
        (f"{COMPONENT}/price", "1.23456", "elements[0].price_components[0].price", "more than 4 decimals"),
        (f"{COMPONENT}/price", "abc", "elements[0].price_components[0].price", "'abc' is not a decimal"),
        (f"{COMPONENT}/vat", "100.01", "elements[0].price_components[0].vat", "between 0 and 100"),
        (f"{COMPONENT}/vat", "0.001", "elements[0].price_components[0].vat", "more than 2 decimals"),
        (f"{COMPONENT}/step_size", "1", "elements[0].price_components[0].step_size", "whole number"),
        (f"{COMPONENT}/step_size", True, "elements[0].price_components[0].step_size", "whole number"),
        (f"{COMPONENT}/step_size", 0, "elements[0].price_components[0].step_size", "0 is not between 1 and 100000"),
        ("elements/2/price_components/0/step_size", 2, "elements[2].price_components[0].step_size", "between 1 and 1"),
        (f"{RESTRICTIONS}/start_time", "6:30", "elements[0].restrictions.start_time", "not a time such as"),
        (f"{RESTRICTIONS}/start_time", "24:00", "elements[0].restrictions.start_time", "hour must be in"),
        (f"{RESTRICTIONS}/start_time", 22, "elements[0].restrictions.start_time", "not a time"),
        (f"{RESTRICTIONS}/end_time", "22:00", "elements[0].restrictions.end_time", "whole day leave both out"),
        (f"{RESTRICTIONS}/start_date", "20260101", "elements[0].restrictions.start_date", "not a date such as"),
        (f"{RESTRICTIONS}/start_date", 2026, "elements[0].restrictions.start_date", "not a date"),
        (f"{RESTRICTIONS}/end_date", "2026-01-01", "elements[0].restrictions.end_date", "must be after 2026-01-01"),
        (f"{RESTRICTIONS}/day_of_week", ["MON"], "elements[0].restrictions.day_of_week", "MON is not one of MONDAY"),
        (f"{RESTRICTIONS}/day_of_week", [1], "elements[0].restrictions.day_of_week[0]", "must be a string"),
        (f"{RESTRICTIONS}/day_of_week", "MONDAY", "elements[0].restrictions.day_of_week", "must be a list"),
        (f"{RESTRICTIONS}/max_kwh", "1.5", "elements[0].restrictions.max_kwh", "1500 must be above 1500"),
        (f"{RESTRICTIONS}/min_kwh", "0.0001", "elements[0].restrictions.min_kwh", "more than 3 decimals"),
        (f"{RESTRICTIONS}/max_duration", 600, "elements[0].restrictions.max_duration", "600 must be above 600"),
        (f"{RESTRICTIONS}/min_duration", -1, "elements[0].restrictions.min_duration", "-1 is not between 0"),
        ("min_price", {"excl_vat": "1000.51"}, "max_price.excl_vat", "is below min_price"),
        ("min_price/excl_vat", "1.001", "min_price.excl_vat", "more than 2 decimals"),
        ("min_price/excl_vat", 1.5, "min_price.excl_vat", "decimal number"),
        ("min_price/excl_vat", ..., "min_price.excl_vat", "is missing"),
        ("min_price/incl_vat", "9.99", "min_price.incl_vat", "999 is not between 1000"),
        ("max_price", {"excl_vat": "11", "incl_vat": "12.09"}, "max_price.incl_vat", "is below min_price"),
        ("idle_grace_s", 604_801, "idle_grace_s", "604801 is not between 0 and 604800"),
        ("idle_grace_s", "900", "idle_grace_s", "whole number"),
    ],
)
def test_what_is_wrong_and_where(path: str, value: object, where: str, what: str) -> None:
    with pytest.raises(TariffError) as caught:
        tariff_from_ocpi(change(path, value))
    (problem,) = caught.value.problems
    assert problem.where == where
    assert what in problem.what
    assert str(caught.value) == f"{problem.where}: {problem.what}"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{COMPONENT}/price", "1000000"),
        (f"{COMPONENT}/vat", "100"),
        (f"{COMPONENT}/step_size", 100_000),
        (f"{RESTRICTIONS}/max_kwh", "1.501"),
        (f"{RESTRICTIONS}/max_kwh", "10000"),
        (f"{RESTRICTIONS}/max_duration", 601),
        (f"{RESTRICTIONS}/min_duration", 0),
        (f"{RESTRICTIONS}/end_date", "2026-01-02"),
        (f"{RESTRICTIONS}/end_time", "00:00"),
        (f"{RESTRICTIONS}/end_time", ...),
        ("min_price", {"excl_vat": "1000.50", "incl_vat": "1000.50"}),
        ("max_price", {"excl_vat": "11", "incl_vat": "12.10"}),
        ("idle_grace_s", 604_800),
        ("idle_grace_s", 0),
    ],
)
def test_the_edges_of_what_is_right(path: str, value: object) -> None:
    assert isinstance(tariff_from_ocpi(change(path, value)), Tariff)


def test_all_problems_are_said_at_once() -> None:
    document = change(f"{COMPONENT}/price", "-1") | {"currency": "XXX", "idle_grace_s": "soon"}
    with pytest.raises(TariffError) as caught:
        tariff_from_ocpi(document)
    places = {problem.where for problem in caught.value.problems}
    assert places == {"currency", "elements[0].price_components[0].price", "idle_grace_s"}


@pytest.mark.parametrize("document", [None, [], "tariff", 7])
def test_what_is_no_object(document: object) -> None:
    with pytest.raises(TariffError, match="tariff: must be an object"):
        tariff_from_ocpi(document)


def test_a_component_that_can_never_be_used_is_pointed_out() -> None:
    """OCPI 11.4.6: the first element that matches is used."""
    doubled = replace(FULL, elements=(*FULL.elements, FULL.elements[0]))
    with pytest.raises(TariffError) as caught:
        check_tariff(doubled)
    assert [problem.where for problem in caught.value.problems] == ["elements[3].price_components[0]"]
    check_tariff(replace(FULL, elements=(FULL.elements[0], *FULL.elements)))


def test_a_start_at_midnight_needs_an_end() -> None:
    def tariff(**fields: Any) -> Tariff:
        return Tariff("CZK", (Element((PriceComponent("ENERGY", 1),), Restrictions(**fields)),))

    check_tariff(tariff(start_time=time(0)))
    check_tariff(tariff(start_time=time(0), end_time=time(6)))
    for fields in ({"start_time": time(0), "end_time": time(0)}, {"end_time": time(0)}):
        with pytest.raises(TariffError, match="end_time: equals the start"):
            check_tariff(tariff(**fields))


def test_the_price_that_is_shown_is_the_highest() -> None:
    assert energy_price_e4(FULL) == 55_055
    assert energy_price_e4(Tariff("CZK", (Element((PriceComponent("TIME", 7),)),))) == 0


@pytest.mark.parametrize("text", ["1.50000000000000000000000000000000001", "1e-400000", "10.0001", "1e400000", "-0.1"])
def test_numbers_that_are_not_exact_or_too_large(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the message differs by case
        parse_scaled(text, 4, 10)


def test_scaled_numbers_as_people_write_them() -> None:
    assert [format_scaled(number, 3) for number in (0, 1500, 20_000, 1, 10)] == ["0", "1.5", "20", "0.001", "0.01"]
    assert parse_scaled("10", 4, 10) == 100_000
