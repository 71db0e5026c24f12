"""What a running session has cost so far: what its meter values tell, and nothing that they do not."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.accounting.samples import Sample
from api.accounting.tariff import Element, PriceComponent, Tariff
from api.transactions.cost import rate_so_far

START = datetime(2026, 11, 22, 20, tzinfo=UTC)
SESSION: dict[str, Any] = {"started_at": START, "meter_start_wh": 1000, "time_zone": "Europe/Prague"}
TARIFF = Tariff(
    "CZK",
    (
        Element(
            (
                PriceComponent("ENERGY", 50_000),
                PriceComponent("TIME", 600_000),
                PriceComponent("PARKING_TIME", 1_200_000),
                PriceComponent("FLAT", 30_000),
            )
        ),
    ),
)


def at(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


def used(samples: list[Sample], minutes: int) -> dict[str, int | None]:
    return {line.type: line.used for line in rate_so_far(SESSION, TARIFF, samples, at(minutes)).lines}


def test_before_the_first_sample_only_the_fee_of_a_session_is_known() -> None:
    assert used([], 30) == {"FLAT": 1}


def test_without_power_it_is_known_until_the_last_sample() -> None:
    assert used([Sample(at(10), 2000), Sample(at(20), 3000)], 30) == {"ENERGY": 2000, "TIME": 1200, "FLAT": 1}


@pytest.mark.parametrize(("power_w", "rest"), [(7400, {"TIME": 1800}), (0, {"TIME": 1200, "PARKING_TIME": 600})])
def test_with_power_time_goes_on_until_now(power_w: int, rest: dict[str, int]) -> None:
    samples = [Sample(at(10), 2000, 7400), Sample(at(20), 3000, power_w)]
    assert used(samples, 30) == {"ENERGY": 2000, "FLAT": 1} | rest


def test_samples_that_cannot_be_are_left_out() -> None:
    late, low, early = Sample(at(40), 9000), Sample(at(5), 500), Sample(at(-5), 5000)
    assert used([late, low, early, Sample(at(10), None, 7400)], 30) == {"FLAT": 1}
    assert used([late, low, early, Sample(at(10), 2000)], 30) == {"ENERGY": 1000, "TIME": 600, "FLAT": 1}


def test_it_grows_with_the_session() -> None:
    samples = [Sample(at(minutes), 1000 + 100 * minutes, 6000) for minutes in range(1, 60)]
    totals = [rate_so_far(SESSION, TARIFF, samples, at(minutes)).total_minor for minutes in range(60)]
    assert totals == sorted(totals)
    assert totals[-1] == 5 * 590 + 60 * 59 * 100 // 60 + 300
