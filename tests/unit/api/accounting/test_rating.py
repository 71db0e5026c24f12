"""Rating and money: exact where exact is possible, half-even where it is not."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.accounting.money import divide_half_even, format_minor, format_price_e4, parse_price_e4
from api.accounting.rating import rate, record_to_json
from api.accounting.tariff import (
    Element,
    PriceComponent,
    Tariff,
    elements_to_json,
    energy_price_e4,
    flat_tariff,
    tariff_from_json,
)

START = datetime(2026, 11, 22, 18, tzinfo=UTC)
STOP = START + timedelta(hours=2)
PRICES = st.integers(0, 1_000_000)
ENERGIES = st.integers(0, 10_000_000)


def total(price_e4: int, energy_wh: int, currency: str = "CZK") -> int:
    record = rate(
        flat_tariff(price_e4, currency),
        meter_start_wh=1000,
        meter_stop_wh=1000 + energy_wh,
        started_at=START,
        stopped_at=STOP,
    )
    assert record.energy_wh == energy_wh
    assert sum(line.amount_minor for line in record.lines) == record.total_minor
    return record.total_minor


@pytest.mark.parametrize(
    ("price", "energy_wh", "minor"),
    [
        ("5.50", 10_000, 5500),
        ("5.50", 0, 0),
        ("0", 99_999, 0),
        ("1", 5, 0),  # 0.5 haler: the even neighbour is 0
        ("1", 15, 2),  # 1.5: the even neighbour is 2
        ("1", 25, 2),  # 2.5: the even neighbour is 2
        ("0.0001", 100_000_000, 1000),
        ("7.8999", 12_345, 9752),
    ],
)
def test_known_totals(price: str, energy_wh: int, minor: int) -> None:
    assert total(parse_price_e4(price), energy_wh) == minor


@given(PRICES, ENERGIES)
def test_equals_decimal_arithmetic(price_e4: int, energy_wh: int) -> None:
    exact = Decimal(price_e4) / 10_000 * Decimal(energy_wh) / 1000 * 100
    assert total(price_e4, energy_wh) == int(exact.quantize(Decimal(1), ROUND_HALF_EVEN))


@given(PRICES, ENERGIES, ENERGIES)
def test_more_energy_never_costs_less(price_e4: int, one: int, more: int) -> None:
    assert total(price_e4, one) <= total(price_e4, one + more)


@given(PRICES, ENERGIES, ENERGIES)
def test_splitting_a_session_changes_the_total_by_at_most_one_minor_unit(price_e4: int, one: int, two: int) -> None:
    assert abs(total(price_e4, one) + total(price_e4, two) - total(price_e4, one + two)) <= 1


def test_a_begun_block_is_billed_whole() -> None:
    tariff = Tariff("EUR", (Element((PriceComponent("ENERGY", 4000, step_size=500),)),))
    record = rate(tariff, meter_start_wh=0, meter_stop_wh=1001, started_at=START, stopped_at=STOP)
    assert (record.lines[0].used, record.lines[0].volume) == (1001, 1500)
    assert record.total_minor == 60


def test_a_register_that_ran_backwards_is_never_rated() -> None:
    with pytest.raises(ValueError, match="back"):
        rate(flat_tariff(1, "CZK"), meter_start_wh=10, meter_stop_wh=9, started_at=START, stopped_at=STOP)


def test_the_record_as_json_holds_every_number_of_the_sum() -> None:
    record = rate(flat_tariff(55_000, "CZK"), meter_start_wh=5, meter_stop_wh=2005, started_at=START, stopped_at=STOP)
    assert record_to_json(record) == {
        "started_at": "2026-11-22T18:00:00+00:00",
        "stopped_at": "2026-11-22T20:00:00+00:00",
        "meter_start_wh": 5,
        "meter_stop_wh": 2005,
        "energy_wh": 2000,
        "currency": "CZK",
        "lines": [
            {
                "type": "ENERGY",
                "element": 0,
                "used_wh": 2000,
                "volume_wh": 2000,
                "price_e4": 55_000,
                "amount_minor": 1100,
            }
        ],
        "net_minor": 1100,
        "vat_minor": 0,
        "total_minor": 1100,
        "time_zone": None,
        "segments": [
            {
                "started_at": "2026-11-22T18:00:00+00:00",
                "seconds": 7200,
                "energy_wh": 2000,
                "activity": "charging",
                "elements": {"ENERGY": 0},
            }
        ],
        "samples": [],
        "ignored_samples": {},
    }


def test_a_clock_that_ran_backwards_is_never_rated() -> None:
    with pytest.raises(ValueError, match="clock ran"):
        rate(flat_tariff(1, "CZK"), meter_start_wh=0, meter_stop_wh=9, started_at=STOP, stopped_at=START)


@given(PRICES)
def test_a_price_is_read_back_as_it_is_written(price_e4: int) -> None:
    assert parse_price_e4(format_price_e4(price_e4)) == price_e4


@pytest.mark.parametrize("text", ["", "5,50", "-1", "NaN", "Infinity", "1.23456", "1000001", "1e400000", "0x10"])
def test_what_is_no_price(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the message differs by case
        parse_price_e4(text)


def test_amounts_as_people_write_them() -> None:
    assert format_minor(1234, "CZK") == "12.34"
    assert format_minor(-5, "EUR") == "-0.05"
    assert format_price_e4(55_000) == "5.50"
    assert format_price_e4(78_999) == "7.8999"


@given(st.integers(-(10**12), 10**12), st.integers(1, 10**7))
def test_division_is_half_even(numerator: int, denominator: int) -> None:
    exact = Decimal(numerator) / Decimal(denominator)
    nearest = divide_half_even(numerator, denominator)
    assert abs(nearest * denominator - numerator) * 2 <= denominator
    if abs(nearest - exact) == Decimal("0.5"):
        assert nearest % 2 == 0


def test_a_tariff_survives_the_database() -> None:
    tariff = flat_tariff(55_000, "CZK")
    assert tariff_from_json("CZK", elements_to_json(tariff)) == tariff
    assert energy_price_e4(tariff) == 55_000


def test_an_unknown_currency_or_component_is_refused() -> None:
    with pytest.raises(ValueError, match="currency XXX"):
        flat_tariff(1, "XXX")
    with pytest.raises(ValueError, match="cannot rate"):
        tariff_from_json("CZK", [{"price_components": [{"type": "CURRENT", "price_e4": 1, "step_size": 60}]}])
