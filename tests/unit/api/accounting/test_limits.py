"""Minimum and maximum price, and VAT by its rates: the lines that close a record."""

from api.accounting.tariff import PriceLimit, Tariff
from tests.unit.api.accounting.sessions import charge, component, element


class TestLimits:
    """Minimum and maximum are lines of their own; both hold without and with VAT."""

    MIXED = (element(component("FLAT", 30, vat_bp=2100), component("ENERGY", 10, vat_bp=1200)),)

    def test_an_adjustment_is_spread_over_the_rates_of_vat(self) -> None:
        tariff = Tariff("CZK", self.MIXED, max_price=PriceLimit(2000))
        record = charge(tariff, (60, 1000))
        assert [(x.type, x.amount_minor, x.vat_bp) for x in record.lines] == [
            ("ENERGY", 1000, 1200),
            ("FLAT", 3000, 2100),
            ("MAX_PRICE", -500, 1200),
            ("MAX_PRICE", -1500, 2100),
            ("VAT", 60, 1200),
            ("VAT", 315, 2100),
        ]

    def test_a_minimum_with_vat(self) -> None:
        tariff = Tariff("CZK", self.MIXED, PriceLimit(4000, 10_000))
        record = charge(tariff, (60, 1000))
        assert record.total_minor == 10_000
        assert {x.type for x in record.lines} == {"ENERGY", "FLAT", "MIN_PRICE", "VAT"}

    def test_a_maximum_with_vat(self) -> None:
        tariff = Tariff("CZK", self.MIXED, max_price=PriceLimit(4000, 4001))
        record = charge(tariff, (60, 1000))
        assert record.total_minor == 4001
        assert record.net_minor + record.vat_minor == 4001
        assert [x.amount_minor < 0 for x in record.lines if x.type == "MAX_PRICE"] == [True, True]

    def test_where_they_contradict_each_other_the_maximum_holds(self) -> None:
        tariff = Tariff("CZK", self.MIXED, PriceLimit(9000), PriceLimit(100, 110))
        record = charge(tariff, (60, 1000))
        assert (record.net_minor <= 100, record.total_minor) == (True, 110)

    def test_within_the_limits_there_is_no_line(self) -> None:
        tariff = Tariff("CZK", self.MIXED, PriceLimit(4000), PriceLimit(4000))
        assert [x.type for x in charge(tariff, (60, 1000)).lines] == ["ENERGY", "FLAT", "VAT", "VAT"]

    def test_a_session_that_cost_nothing_has_the_first_rate(self) -> None:
        tariff = Tariff("CZK", (element(component("ENERGY", 1, vat_bp=2100)),), PriceLimit(100))
        record = charge(tariff, (60, 0))
        assert [(x.type, x.amount_minor, x.vat_bp) for x in record.lines] == [
            ("MIN_PRICE", 100, 2100),
            ("VAT", 21, 2100),
        ]

    def test_what_was_used_for_nothing_gives_no_proportion(self) -> None:
        free = element(component("ENERGY", 0, vat_bp=2100), component("FLAT", 0, vat_bp=1200))
        record = charge(Tariff("CZK", (free,), PriceLimit(100)), (60, 1000))
        assert [(x.type, x.amount_minor, x.vat_bp) for x in record.lines] == [
            ("ENERGY", 0, 2100),
            ("FLAT", 0, 1200),
            ("MIN_PRICE", 100, 2100),
            ("VAT", 21, 2100),
        ]

    def test_no_vat_is_not_a_vat_of_nothing(self) -> None:
        free = Tariff("CZK", (element(component("ENERGY", 1)),))
        zero = Tariff("CZK", (element(component("ENERGY", 1, vat_bp=0)),))
        assert charge(free, (60, 1000)).lines[0].vat_bp is None
        assert [(x.type, x.vat_bp) for x in charge(zero, (60, 1000)).lines] == [("ENERGY", 0)]
