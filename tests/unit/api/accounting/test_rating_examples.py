"""Rating of sessions that one can check by hand: the examples of OCPI 2.2.1, idle time, fees, thresholds."""

from datetime import UTC, date, datetime, time, timedelta

import pytest

from api.accounting.rating import rate, record_to_json
from api.accounting.samples import Sample
from api.accounting.tariff import PriceLimit, Tariff
from tests.unit.api.accounting.sessions import MINUTE, NOON, charge, component, element, lines


class TestExamplesOfOcpi:
    """OCPI 2.2.1, 11.3.1.1 and 11.4.2."""

    def test_energy_with_start_fee_parking_and_vat(self) -> None:
        tariff = Tariff(
            "EUR",
            (
                element(
                    component("FLAT", "0.50", vat_bp=2000),
                    component("ENERGY", "0.25", vat_bp=1000),
                    component("PARKING_TIME", "2.00", 900, 2000),
                ),
            ),
        )
        record = charge(tariff, (120, 20_000), (40, 0))
        assert (record.net_minor, record.vat_minor, record.total_minor) == (700, 90, 790)
        assert lines(record) == [
            ("ENERGY", 20_000, 500),
            ("FLAT", 1, 50),
            ("PARKING_TIME", 2700, 150),
            ("VAT", None, 50),
            ("VAT", None, 40),
        ]
        assert [(line.vat_bp, line.base_minor) for line in record.lines[-2:]] == [(1000, 500), (2000, 200)]

    def test_time_and_parking(self) -> None:
        tariff = Tariff(
            "EUR",
            (element(component("TIME", "3.00", 60, 1000), component("PARKING_TIME", "5.00", 300, 2000)),),
        )
        record = charge(tariff, (150, 20_000), (42, 0))
        assert (record.net_minor, record.total_minor) == (1125, 1275)

    @pytest.mark.parametrize(("energy_wh", "net", "total"), [(50_000, 1000, None), (30_000, 800, 885)])
    def test_maximum_price(self, energy_wh: int, net: int, total: int | None) -> None:
        tariff = Tariff(
            "EUR",
            (element(component("FLAT", "0.50", vat_bp=2000), component("ENERGY", "0.25", vat_bp=1000)),),
            max_price=PriceLimit(1000, 1100),
        )
        record = charge(tariff, (60, energy_wh))
        if total is None:
            assert record.total_minor == 1100
            assert record.net_minor <= net
        else:
            assert (record.net_minor, record.total_minor) == (net, total)

    @pytest.mark.parametrize(("energy_wh", "net", "total"), [(20_000, 500, 550), (1000, 50, 55), (0, 50, 55)])
    def test_minimum_price(self, energy_wh: int, net: int, total: int) -> None:
        tariff = Tariff("EUR", (element(component("ENERGY", "0.25", vat_bp=1000)),), PriceLimit(50, 55))
        record = charge(tariff, (60, energy_wh))
        assert (record.net_minor, record.total_minor) == (net, total)

    def test_first_hour_and_first_kwh_free(self) -> None:
        tariff = Tariff(
            "EUR",
            (
                element(component("ENERGY", 0), component("PARKING_TIME", 0), max_wh=1000, max_duration_s=3600),
                element(component("PARKING_TIME", 0), max_duration_s=3600),
                element(component("PARKING_TIME", 2, 60), min_duration_s=3600, max_duration_s=4 * 3600),
                element(component("PARKING_TIME", 3, 60), min_duration_s=4 * 3600),
                element(component("ENERGY", "0.20"), min_wh=1000),
            ),
        )
        record = charge(tariff, (150, 20_000), (165, 0))
        assert record.total_minor == 380 + 300 + 375

    @pytest.mark.parametrize(
        ("start", "legs", "total"),
        [
            ("16:55", [(10, 1000), (2, 0)], 55),
            ("16:35", [(35, 1000)], 130),
            ("19:55", [(10, 1000), (2, 0)], 60),
        ],
    )
    def test_step_size_across_elements(self, start: str, legs: list[tuple[int, int]], total: int) -> None:
        tariff = Tariff(
            "EUR",
            (
                element(component("TIME", "1.20", 1800), end_time=time(17)),
                element(component("TIME", "2.40", 900), start_time=time(17)),
                element(component("PARKING_TIME", "1.00", 900), end_time=time(20)),
            ),
        )
        at = datetime.combine(date(2026, 11, 23), time.fromisoformat(start), UTC)
        assert charge(tariff, *legs, start=at, zone="UTC").total_minor == total

    def test_step_size_counts_the_whole_session(self) -> None:
        """4.3 kWh before 17:00 and 1.1 kWh after it are 5.5 kWh, of which 1.2 are billed after 17:00."""
        tariff = Tariff(
            "EUR",
            (
                element(component("ENERGY", "0.20", 500), end_time=time(17)),
                element(component("ENERGY", "0.27", 500), start_time=time(17)),
            ),
        )
        at = datetime(2026, 11, 23, 16, tzinfo=UTC)
        assert lines(charge(tariff, (60, 4300), (30, 1100), start=at, zone="UTC")) == [
            ("ENERGY", 4300, 86),
            ("ENERGY", 1200, 32),
        ]


class TestIdle:
    """PARKING_TIME is the time connected without charging, after the grace."""

    TARIFF = Tariff("CZK", (element(component("PARKING_TIME", 60), component("TIME", 6)),), idle_grace_s=600)

    def test_the_first_minutes_of_a_session_are_free_once(self) -> None:
        record = charge(self.TARIFF, (10, 1000), (6, 0), (10, 1000), (6, 0), (1, 0))
        assert lines(record) == [("TIME", 1200, 200), ("PARKING_TIME", 180, 300)]
        activities = [(s.activity, s.seconds) for s in record.segments]
        assert activities == [
            ("charging", 600),
            ("idle_grace", 360),
            ("charging", 600),
            ("idle_grace", 240),
            ("idle", 180),
        ]

    def test_a_car_that_never_charges_is_idle(self) -> None:
        assert lines(charge(self.TARIFF, (30, 0))) == [("PARKING_TIME", 1200, 2000)]

    @pytest.mark.parametrize(
        ("powers", "energy_wh", "activity"),
        [
            ((0, 0), 5, "idle"),
            ((0, None), 5, "charging"),
            ((None, None), 5, "charging"),
            ((0, 3700), 5, "charging"),
            ((3700, 0), 0, "charging"),
            ((0, 3700), 0, "charging"),
            ((None, 0), 0, "idle"),
            ((None, None), 0, "idle"),
            ((-50, None), 0, "idle"),
        ],
    )
    def test_what_is_charging(self, powers: tuple[int | None, int | None], energy_wh: int, activity: str) -> None:
        samples = [Sample(NOON + MINUTE, 10, powers[0]), Sample(NOON + 2 * MINUTE, 10 + energy_wh, powers[1])]
        record = rate(
            Tariff("CZK", (element(component("PARKING_TIME", 60)),)),
            meter_start_wh=0,
            meter_stop_wh=20,
            started_at=NOON,
            stopped_at=NOON + 3 * MINUTE,
            samples=samples,
        )
        at = [s for s in record.segments if s.started_at <= NOON + MINUTE < s.started_at + s.seconds * MINUTE / 60]
        assert [segment.activity for segment in at] == [activity]


def test_prices_are_per_kwh_hour_and_session() -> None:
    hour = 60
    tariff = Tariff("CZK", (element(*(component(d, 1000) for d in ("ENERGY", "TIME", "PARKING_TIME", "FLAT"))),))
    record = charge(tariff, (1000 * hour, 1_000_000), (500 * hour, 0))
    assert {line.type: line.amount_minor for line in record.lines} == {
        "ENERGY": 100_000_000,
        "TIME": 100_000_000,
        "PARKING_TIME": 50_000_000,
        "FLAT": 100_000,
    }


class TestFlat:
    """Once a session, by the first element that ever matches."""

    def test_where_it_matches_late_or_never(self) -> None:
        fee = Tariff("CZK", (element(component("FLAT", 7), min_wh=1000), element(component("FLAT", 9), min_wh=2000)))
        assert [charge(fee, (60, wh)).total_minor for wh in (999, 1000, 1001, 3000)] == [0, 0, 700, 700]
        assert charge(fee, (60, 1000), (1, 0)).total_minor == 700

    def test_the_earlier_moment_wins_over_the_earlier_element(self) -> None:
        fee = Tariff("CZK", (element(component("FLAT", 7), min_wh=1000), element(component("FLAT", 9))))
        assert charge(fee, (60, 3000)).total_minor == 900

    def test_an_empty_session_pays_it(self) -> None:
        fee = Tariff("CZK", (element(component("FLAT", 7), component("ENERGY", 1)),))
        assert lines(charge(fee, (0, 0))) == [("FLAT", 1, 700)]

    def test_a_session_without_duration_pays_its_energy_by_tiers(self) -> None:
        tiers = Tariff("CZK", (element(component("ENERGY", 5), max_wh=1000), element(component("ENERGY", 1))))
        assert lines(charge(tiers, (0, 3000))) == [("ENERGY", 1000, 500), ("ENERGY", 2000, 200)]


class TestSecondsAndThresholds:
    """The second in which a threshold is passed counts whole to what follows."""

    def test_time_by_tiers_of_energy(self) -> None:
        tiers = Tariff("CZK", (element(component("TIME", 6), max_wh=10), element(component("TIME", 60))))
        record = rate(
            tiers,
            meter_start_wh=0,
            meter_stop_wh=30,
            started_at=NOON,
            stopped_at=NOON + timedelta(seconds=10),
        )
        assert [(s.seconds, s.energy_wh) for s in record.segments] == [(3, 10), (7, 20)]

    def test_fractions_of_a_second_are_dropped(self) -> None:
        tariff = Tariff("CZK", (element(component("TIME", 3600)),))
        record = rate(
            tariff,
            meter_start_wh=0,
            meter_stop_wh=30,
            started_at=NOON + timedelta(milliseconds=900),
            stopped_at=NOON + timedelta(milliseconds=2100),
        )
        assert record.lines[0].volume == 2
        assert record.started_at == NOON + timedelta(milliseconds=900)


def test_the_first_element_that_matches_and_has_the_dimension_applies() -> None:
    tariff = Tariff(
        "CZK",
        (
            element(component("TIME", 1)),
            element(component("ENERGY", 2), max_wh=1000),
            element(component("ENERGY", 3), component("TIME", 9)),
        ),
    )
    record = charge(tariff, (60, 3000))
    assert [(x.type, x.element, x.amount_minor) for x in record.lines] == [
        ("ENERGY", 1, 200),
        ("TIME", 0, 100),
        ("ENERGY", 2, 600),
    ]


def test_the_record_as_json_says_how_each_line_came_about() -> None:
    tariff = Tariff(
        "CZK", (element(component("ENERGY", 10, 100, 2100), component("PARKING_TIME", 60, 60, 2100)),), idle_grace_s=60
    )
    document = record_to_json(charge(tariff, (60, 1050), (3, 0), power=True))
    assert document["lines"] == [
        {"type": "ENERGY", "element": 0, "used_wh": 1050, "volume_wh": 1100, "price_e4": 100_000, "vat_bp": 2100,
         "amount_minor": 1100},
        {"type": "PARKING_TIME", "element": 0, "used_s": 120, "volume_s": 120, "price_e4": 600_000, "vat_bp": 2100,
         "amount_minor": 200},
        {"type": "VAT", "vat_bp": 2100, "base_minor": 1300, "amount_minor": 273},
    ]  # fmt: skip
    assert document["samples"] == [["2026-11-22T13:00:00+00:00", 6050, 0]]
    assert [segment["activity"] for segment in document["segments"]] == ["charging", "idle_grace", "idle"]
    assert (document["net_minor"], document["vat_minor"], document["total_minor"]) == (1300, 273, 1573)
