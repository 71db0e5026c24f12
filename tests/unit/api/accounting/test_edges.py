"""What holds exactly at the edge of a rule, and what is said to people there."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from api.accounting.continuity import MeteredSession, audit_continuity
from api.accounting.limits import Line, closing_lines
from api.accounting.metering import SampledValue, read_samples
from api.accounting.money import divide_half_even, format_minor, parse_price_e4, parse_scaled
from api.accounting.ocpi import tariff_from_ocpi, tariff_to_ocpi
from api.accounting.plausibility import EARLIEST, check_session, is_plausible_time
from api.accounting.postings import Accounts, Terms, Transfer, post, reverse, standing
from api.accounting.preview import preview
from api.accounting.rating import rate, record_to_json
from api.accounting.samples import Point, Sample, usable_points
from api.accounting.tariff import (
    Element,
    PriceComponent,
    PriceLimit,
    Restrictions,
    Tariff,
    flat_tariff,
    tariff_from_document,
    tariff_to_json,
    terms_to_json,
)
from api.accounting.tariff_rules import Problem, TariffError, check_tariff
from tests.unit.api.accounting.strategies import FIRST, PRAGUE

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
ENERGY: dict[str, Any] = {"type": "ENERGY", "price": "5.50", "step_size": 1}


def document(**fields: Any) -> dict[str, Any]:
    return {"currency": "CZK", "elements": [{"price_components": [ENERGY]}]} | fields


def element(component: dict[str, Any] | None = None, **restrictions: Any) -> dict[str, Any]:
    return document(elements=[{"price_components": [ENERGY | (component or {})], "restrictions": restrictions}])


def problems(described: object) -> dict[str, str]:
    with pytest.raises(TariffError) as caught:
        tariff_from_ocpi(described)
    assert str(caught.value) == "; ".join(f"{each.where}: {each.what}" for each in caught.value.problems)
    return {each.where: each.what for each in caught.value.problems}


class TestWhatIsWrongWithATariff:
    def test_a_field_that_is_null_is_missing(self) -> None:
        assert problems({"currency": None, "elements": None}) == {"currency": "is missing", "elements": "is missing"}
        assert problems(document(min_price={"excl_vat": None})) == {"min_price.excl_vat": "is missing"}
        assert problems(element({"price": None})) == {"elements[0].price_components[0].price": "is missing"}

    @pytest.mark.parametrize(
        ("described", "where", "what"),
        [
            ([], "tariff", "must be an object"),
            (document(power=1), "power", "is not supported"),
            (document(elements={}), "elements", "must be a list"),
            (document(elements=[[]]), "elements[0]", "must be an object"),
            (document(idle_grace_s="1"), "idle_grace_s", "must be a whole number"),
            (document(idle_grace_s=True), "idle_grace_s", "must be a whole number"),
            (document(no_show_fee=1.5), "no_show_fee", 'must be a decimal number in a string, such as "5.50"'),
            (document(no_show_fee="0.001"), "no_show_fee", "0.001 has more than 2 decimals"),
            (
                element({"type": "POWER"}),
                "elements[0].price_components[0].type",
                "'POWER' is not one of ENERGY, TIME, PARKING_TIME, FLAT",
            ),
            (element(day_of_week=[1]), "elements[0].restrictions.day_of_week[0]", "must be a string"),
            (
                element(day_of_week=["FREEDAY"]),
                "elements[0].restrictions.day_of_week",
                "FREEDAY is not one of MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, SATURDAY, SUNDAY",
            ),
            (element({"vat": "100.001"}), "elements[0].price_components[0].vat", "100.001 is not between 0 and 100"),
            (
                element({"step_size": 0}),
                "elements[0].price_components[0].step_size",
                "0 is not between 1 and 100000",
            ),
            (
                element(max_duration=0),
                "elements[0].restrictions.max_duration",
                "0 must be above 0, it is exclusive",
            ),
            (
                document(elements=[{"price_components": []}]),
                "elements[0].price_components",
                "there must be at least one",
            ),
            (
                document(elements=[{"price_components": [ENERGY]}] * 2),
                "elements[1].price_components[0]",
                "never used: an element before it has ENERGY without restrictions",
            ),
            (
                document(min_price={"excl_vat": "2"}, max_price={"excl_vat": "1"}),
                "max_price.excl_vat",
                "is below min_price",
            ),
            (
                document(
                    min_price={"excl_vat": "1", "incl_vat": "3"}, max_price={"excl_vat": "1", "incl_vat": "2"}
                ),
                "max_price.incl_vat",
                "is below min_price",
            ),
        ],
    )  # fmt: skip
    def test_is_said_where_it_is(self, described: object, where: str, what: str) -> None:
        assert problems(described) == {where: what}

    @pytest.mark.parametrize(
        ("tariff", "problem"),
        [
            (Tariff("XXX", flat_tariff(1, "CZK").elements),
             Problem("currency", "XXX is not one of CHF, CZK, DKK, EUR, GBP, HUF, NOK, PLN, SEK, USD")),
            (Tariff("CZK", flat_tariff(1, "CZK").elements, max_price=PriceLimit(-1)),
             Problem("max_price.excl_vat", "-1 is not between 0 and 1000000000")),
            (Tariff("CZK", flat_tariff(1, "CZK").elements, no_show_fee_minor=-1),
             Problem("no_show_fee", "-1 is not between 0 and 1000000000")),
            (flat_tariff(-1, "CZK"),
             Problem("elements[0].price_components[0].price", "-1 is not between 0 and 10000000000")),
            (Tariff("CZK", (Element((PriceComponent("ENERGY", 1, 1, 10_001),)),)),
             Problem("elements[0].price_components[0].vat", "10001 is not between 0 and 10000")),
        ],
    )  # fmt: skip
    def test_also_where_it_was_not_read_from_json(self, tariff: Tariff, problem: Problem) -> None:
        with pytest.raises(TariffError) as caught:
            check_tariff(tariff)
        assert caught.value.problems == (problem,)

    def test_a_currency_that_is_not_billed_in(self) -> None:
        with pytest.raises(ValueError, match=r"^currency XXX is not one of CHF, CZK, DKK,"):
            flat_tariff(1, "XXX")


class TestWhatIsJustAllowed:
    def test_fifty_elements(self) -> None:
        elements = tuple(
            Element((PriceComponent("ENERGY", 1),), Restrictions(min_wh=number, max_wh=number + 1))
            for number in range(50)
        )
        check_tariff(Tariff("CZK", elements))
        with pytest.raises(TariffError, match="1 to 50 elements"):
            check_tariff(Tariff("CZK", (*elements, elements[0])))

    @pytest.mark.parametrize(
        "described",
        [
            element({"price": "0"}),
            element({"price": "1000000"}),
            element({"vat": "100"}),
            element(max_kwh="0.001"),
            document(min_price={"excl_vat": "0"}, max_price={"excl_vat": "0", "incl_vat": "0"}),
            document(no_show_fee="1000000.00"),
        ],
    )
    def test_the_smallest_and_the_largest(self, described: dict[str, Any]) -> None:
        tariff = tariff_from_ocpi(described)
        assert tariff_from_ocpi(tariff_to_ocpi(tariff)) == tariff

    def test_numbers_as_long_as_they_are_exact(self) -> None:
        assert parse_scaled(f"1.{'0' * 27}", 4, 10) == 10_000
        with pytest.raises(ValueError, match="has more than 4 decimals"):
            parse_scaled(f"1.{'0' * 28}", 4, 10)
        assert parse_price_e4("1000000") == 10**10
        with pytest.raises(ValueError, match=r"^1000000.0001 is not between 0 and 1000000$"):
            parse_price_e4("1000000.0001")


class TestNoShowFee:
    def test_is_a_term_that_costs_a_session_nothing(self) -> None:
        tariff = tariff_from_ocpi(document(no_show_fee="50.00"))
        assert tariff.no_show_fee_minor == 5000
        assert terms_to_json(tariff) == {"no_show_fee_minor": 5000}
        assert tariff_from_document(tariff_to_json(tariff)) == tariff
        assert tariff_to_ocpi(tariff)["no_show_fee"] == "50.00"
        cost = preview(tariff, energy_wh=1000, started_at=FIRST, connected=HOUR)
        assert cost.total_minor == 550

    def test_is_nothing_where_it_is_left_out(self) -> None:
        tariff = tariff_from_ocpi(document())
        assert (tariff.no_show_fee_minor, terms_to_json(tariff)) == (0, {})
        assert "no_show_fee" not in tariff_to_ocpi(tariff)


def test_only_a_rate_above_zero_is_vat() -> None:
    for vat, charges in (("21", True), ("0", False), (None, False)):
        assert tariff_from_ocpi(element({} if vat is None else {"vat": vat})).charges_vat is charges


class TestRounding:
    def test_ties_go_to_the_even_one(self) -> None:
        halves = [divide_half_even(number, 2) for number in range(-7, 16, 2)]
        assert halves == [-4, -2, -2, 0, 0, 2, 2, 4, 4, 6, 6, 8]

    def test_nothing_has_no_sign(self) -> None:
        assert [format_minor(amount, "CZK") for amount in (0, 1, -1, -100)] == ["0.00", "0.01", "-0.01", "-1.00"]

    def test_a_limit_is_spread_over_three_rates_to_the_last_minor_unit(self) -> None:
        tariff = Tariff("CZK", flat_tariff(0, "CZK").elements, min_price=PriceLimit(1000))
        lines = [Line("ENERGY", 100, None), Line("TIME", 100, 1200), Line("FLAT", 100, 2100)]
        added = [(line.type, line.amount_minor) for line in closing_lines(tariff, lines) if line.type != "VAT"]
        assert added == [("MIN_PRICE", 233), ("MIN_PRICE", 234), ("MIN_PRICE", 233)]

    def test_one_minor_unit_is_up_to_the_minimum(self) -> None:
        tariff = Tariff("CZK", flat_tariff(0, "CZK").elements, min_price=PriceLimit(101))
        assert closing_lines(tariff, [Line("ENERGY", 100)]) == [Line("MIN_PRICE", 1)]

    def test_of_a_limit_with_vat_no_vat_is_taken_where_there_is_none(self) -> None:
        tariff = Tariff("CZK", flat_tariff(0, "CZK").elements, min_price=PriceLimit(0, 50_000))
        assert closing_lines(tariff, [Line("ENERGY", 100)]) == [Line("MIN_PRICE", 49_900)]


class TestSamples:
    def test_of_one_second_the_highest_register_stays_also_next_to_nothing(self) -> None:
        start, stop = Point(FIRST, 0), Point(FIRST + HOUR, 10)
        samples = [Sample(FIRST + SECOND, 0, 10), Sample(FIRST + SECOND, 1, 0)]
        assert usable_points(samples, start, stop)[0] == (Point(FIRST + SECOND, 1, 0),)

    def test_a_fall_in_the_middle_costs_one_point(self) -> None:
        start, stop = Point(FIRST, 0), Point(FIRST + HOUR, 10)
        samples = [Sample(FIRST + (n + 1) * SECOND, register) for n, register in enumerate((1, 5, 6, 2, 7))]
        points, ignored = usable_points(samples, start, stop)
        assert [point.energy_wh for point in points] == [1, 5, 6, 7]
        assert ignored == {"register_fell": 1}

    def test_signed_data_is_not_read(self) -> None:
        signed = SampledValue("7", format="SignedData")
        assert read_samples([signed]).energy_wh is None
        assert read_samples([signed, SampledValue("5", format="Raw")]).energy_wh == 5

    @pytest.mark.parametrize(
        ("value", "unit", "expected"),
        [
            ("1E17", "Wh", 10**17),
            ("1E18", "Wh", None),
            ("1E14", "kWh", 10**17),
            ("1E15", "kWh", None),
            ("2.5", "Wh", 2),
            ("3.5", "Wh", 4),
        ],
    )
    def test_registers_that_fit(self, value: str, unit: str, expected: int | None) -> None:
        assert read_samples([SampledValue(value, unit=unit)]).energy_wh == expected


class TestPlausibility:
    def test_the_earliest_and_the_latest_time(self) -> None:
        received = datetime(2026, 11, 22, tzinfo=UTC)
        day = timedelta(days=1)
        times = (EARLIEST, EARLIEST - SECOND, received + day, received + day + SECOND)
        assert [is_plausible_time(at, received) for at in times] == [True, False, True, False]

    def check(self, **changes: Any) -> list[str]:
        session: dict[str, Any] = {"meter_start_wh": 0, "meter_stop_wh": 0, "rated_power_w": 3600,
                                   "started_at": FIRST, "stopped_at": FIRST, "received_at": FIRST}  # fmt: skip
        return check_session(**session | changes)

    def test_no_energy_is_plausible(self) -> None:
        assert self.check(meter_start_wh=5, meter_stop_wh=5) == []

    def test_one_time_that_cannot_be_is_enough(self) -> None:
        assert self.check(stopped_at=FIRST + timedelta(days=2)) == ["implausible_time"]
        assert self.check(started_at=EARLIEST - SECOND) == ["implausible_time"]

    def test_a_second_that_has_begun_counts(self) -> None:
        assert self.check(stopped_at=FIRST + SECOND / 2, meter_stop_wh=67) == []
        assert self.check(stopped_at=FIRST + SECOND / 2, meter_stop_wh=68) == ["energy_above_rated_power"]


class TestPostings:
    def test_the_same_transfer_stands_as_often_as_it_was_posted(self) -> None:
        transfer = Transfer("driver", "owner", 5, "CZK", "charge")
        assert standing([transfer, transfer]) == (transfer, transfer)
        assert standing([transfer, transfer, reverse(transfer)]) == (transfer,)
        with pytest.raises(ValueError, match=r"^a reversal of what was never posted$"):
            standing([reverse(transfer)])

    def test_vat_takes_an_owner_who_is_registered_for_it(self) -> None:
        tariff = Tariff("CZK", (Element((PriceComponent("ENERGY", 10_000, 1, 2100),)),))
        record = preview(tariff, energy_wh=10_000, started_at=FIRST, connected=HOUR)
        accounts = Accounts("driver", "owner", "platform")
        with pytest.raises(ValueError, match=r"^210 of VAT by an owner who is not registered for it$"):
            post(record, accounts, Terms(0, owner_is_vat_registered=False))
        assert sum(each.amount_minor for each in post(record, accounts, Terms(0, owner_is_vat_registered=True))) == 1210


class TestSessions:
    def test_a_stop_without_a_register_is_no_stop(self) -> None:
        at = FIRST + HOUR
        sessions = [
            MeteredSession("a", "box", 1, FIRST, 0, FIRST, None),
            MeteredSession("b", "box", 1, at, 5, None, None),
        ]
        assert [(gap.kind, gap.energy_wh) for gap in audit_continuity(sessions)] == [("not_stopped", 5)]

    def test_the_record_has_all_that_it_was_computed_from(self) -> None:
        zone = ZoneInfo(PRAGUE)
        record = rate(
            Tariff("CZK", (Element((PriceComponent("FLAT", 50_000),)),)),
            meter_start_wh=0,
            meter_stop_wh=5,
            started_at=FIRST.astimezone(zone),
            stopped_at=(FIRST + HOUR).astimezone(zone),
            samples=[Sample(FIRST - HOUR, 1)],
            time_zone=PRAGUE,
        )
        assert (record.started_at.tzinfo, record.stopped_at.tzinfo) == (UTC, UTC)
        assert record.started_at.tzinfo is UTC
        assert record.stopped_at.tzinfo is UTC
        assert (record.time_zone, record.ignored_samples) == (PRAGUE, {"outside_session": 1})
        [line] = record_to_json(record)["lines"]
        assert line == {"type": "FLAT", "element": 0, "used": 1, "volume": 1, "price_e4": 50_000, "amount_minor": 500}

    def test_one_second_is_enough_to_charge_and_none_is_not(self) -> None:
        tariff = flat_tariff(10_000, "CZK")
        cost = preview(tariff, energy_wh=1000, started_at=FIRST, connected=SECOND, charging=SECOND)
        assert cost.total_minor == 100
        with pytest.raises(ValueError, match="take longer"):
            preview(tariff, energy_wh=1000, started_at=FIRST, connected=SECOND, charging=timedelta(0))

    @pytest.mark.parametrize("powers", [(1, None), (None, 1)])
    def test_a_watt_is_charging(self, powers: tuple[int | None, int | None]) -> None:
        samples = [Sample(FIRST + SECOND, 5, powers[0]), Sample(FIRST + HOUR - SECOND, 5, powers[1])]
        tariff = Tariff("CZK", (Element((PriceComponent("PARKING_TIME", 1),)),))
        record = rate(
            tariff, meter_start_wh=0, meter_stop_wh=5, started_at=FIRST, stopped_at=FIRST + HOUR, samples=samples
        )
        assert next(segment.activity for segment in record.segments) == "charging"
        assert sum(segment.seconds for segment in record.segments if segment.activity == "idle") <= 1


class TestClocksElsewhere:
    """Where the day begins and the clocks are put at other hours than in Prague or UTC."""

    def prices(self, zone: str, start: datetime, hours: int, **restrictions: time) -> list[tuple[datetime, int]]:
        tariff = Tariff(
            "USD",
            (
                Element((PriceComponent("TIME", 10_000),), Restrictions(**restrictions)),  # type: ignore[arg-type]
                Element((PriceComponent("TIME", 20_000),)),
            ),
        )
        record = preview(
            tariff, energy_wh=1000, started_at=start, connected=hours * HOUR, time_zone=zone
        )  # fmt: skip
        return [(segment.started_at, dict(segment.elements)["TIME"]) for segment in record.segments]

    def test_an_evening_in_new_york_is_the_next_day_in_utc(self) -> None:
        start = datetime(2026, 11, 22, 22, tzinfo=ZoneInfo("America/New_York"))
        assert self.prices("America/New_York", start, 2, start_time=time(23), end_time=time(6)) == [
            (start.astimezone(UTC), 1),
            ((start + HOUR).astimezone(UTC), 0),
        ]

    def test_an_hour_that_is_left_out_in_auckland_begins_when_the_clock_is_put_forward(self) -> None:
        """On 27 September 2026 at 2:00; a price from 2:30 begins at 3:00, which is then."""
        start = datetime(2026, 9, 27, 1, tzinfo=ZoneInfo("Pacific/Auckland"))
        assert self.prices("Pacific/Auckland", start, 3, start_time=time(2, 30), end_time=time(6)) == [
            (datetime(2026, 9, 26, 13, tzinfo=UTC), 1),
            (datetime(2026, 9, 26, 14, tzinfo=UTC), 0),
        ]
