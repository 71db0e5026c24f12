"""How each line was computed, in a sentence that can be followed by hand."""

from datetime import timedelta

import pytest

from api.accounting.explain import explain, rule_of
from api.accounting.limits import Line
from api.accounting.preview import preview
from api.accounting.tariff import Element, PriceComponent, PriceLimit, Tariff, flat_tariff
from tests.unit.api.accounting.strategies import FIRST

CZK = flat_tariff(0, "CZK")
LINES = [
    (
        Line("ENERGY", 2475, None, 0, 4500, 4500, 55_000),
        "volume_times_price",
        "Energy: 4.5 kWh x 5.50 CZK/kWh = 24.75 CZK.",
    ),
    (
        Line("ENERGY", 2750, 2100, 0, 4500, 5000, 55_000),
        "volume_rounded_up_to_step_times_price",
        "Energy: 4.5 kWh, in whole steps 5 kWh, x 5.50 CZK/kWh = 27.50 CZK.",
    ),
    (
        Line("TIME", 6100, None, 0, 3661, 3661, 600_000),
        "volume_times_price",
        "Charging time: 1:01:01 h x 60.00 CZK/h = 61.00 CZK.",
    ),
    (
        Line("PARKING_TIME", 1500, None, 0, 890, 900, 600_000),
        "volume_rounded_up_to_step_times_price",
        "Time connected without charging: 0:14:50 h, in whole steps 0:15:00 h, x 60.00 CZK/h = 15.00 CZK.",
    ),
    (Line("FLAT", 500, None, 0, 1, 1, 50_000), "once_a_session", "Once a session: 5.00 CZK = 5.00 CZK."),
    (Line("FLAT", 0, None, 0, 1, 1, 0), "once_a_session", "Once a session: 0.00 CZK = 0.00 CZK."),
    (Line("MIN_PRICE", 250), "up_to_min_price", "Up to the minimum price: 2.50 CZK."),
    (
        Line("MAX_PRICE", -250, 1250),
        "down_to_max_price",
        "Down to the maximum price: -2.50 CZK, of it at 12.5 % VAT.",
    ),
    (Line("VAT", 210, 2100, base_minor=1000), "vat_of_lines", "VAT: 21 % of 10.00 CZK = 2.10 CZK."),
    (Line("VAT", 1), "vat_of_lines", "VAT: 0 % of 0.00 CZK = 0.01 CZK."),
    (Line("ENERGY", 0), "volume_times_price", "Energy: 0 kWh x 0.00 CZK/kWh = 0.00 CZK."),
]


@pytest.mark.parametrize(("line", "rule", "sentence"), LINES)
def test_each_rule_has_its_name_and_sentence(line: Line, rule: str, sentence: str) -> None:
    assert rule_of(line) == rule
    assert explain(line, CZK) == sentence


def test_the_lines_of_a_session_can_be_followed_to_its_total() -> None:
    components = (PriceComponent("ENERGY", 55_000, 1, 2100), PriceComponent("FLAT", 10_000, 1, 2100))
    tariff = Tariff("EUR", (Element(components),), max_price=PriceLimit(5000))
    record = preview(tariff, energy_wh=12_345, started_at=FIRST, connected=timedelta(hours=2))
    assert [explain(line, tariff) for line in record.lines] == [
        "Energy: 12.345 kWh x 5.50 EUR/kWh = 67.90 EUR.",
        "Once a session: 1.00 EUR = 1.00 EUR.",
        "Down to the maximum price: -18.90 EUR, of it at 21 % VAT.",
        "VAT: 21 % of 50.00 EUR = 10.50 EUR.",
    ]
    assert record.total_minor == 6790 + 100 - 1890 + 1050
