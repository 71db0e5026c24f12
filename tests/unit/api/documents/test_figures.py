"""Figures as a Czech and an English reader expects them; nothing is rounded on the way."""

from datetime import UTC, date, datetime

import pytest

from api.documents.figures import Figures, clock_duration

CS, EN = Figures("cs", "Europe/Prague"), Figures("en", "Europe/Prague")


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("amount_minor", "currency", "czech", "english"),
    [
        (12265, "CZK", "122,65 Kč", "CZK 122.65"),
        (-5, "CZK", "-0,05 Kč", "-CZK 0.05"),
        (0, "EUR", "0,00 €", "EUR 0.00"),
        (123456789, "EUR", "1 234 567,89 €", "EUR 1,234,567.89"),
        (2**63 - 1, "CZK", "92 233 720 368 547 758,07 Kč", "CZK 92,233,720,368,547,758.07"),
    ],
)
def test_money(amount_minor: int, currency: str, czech: str, english: str) -> None:
    assert (plain(CS.money(amount_minor, currency)), plain(EN.money(amount_minor, currency))) == (czech, english)


def test_unit_prices_show_the_decimals_that_they_have() -> None:
    assert [plain(CS.price(price, "CZK")) for price in (55000, 55500, 55555)] == ["5,50 Kč", "5,55 Kč", "5,5555 Kč"]
    assert plain(EN.price(55555, "CZK")) == "CZK 5.5555"


def test_energy_is_exact_to_the_watt_hour() -> None:
    assert plain(CS.kilowatt_hours(1_482_301)) == "1 482,301 kWh"
    assert plain(EN.kilowatt_hours(2**63 - 1)) == "9,223,372,036,854,775.807 kWh"


def test_rates() -> None:
    assert [plain(CS.percent(rate)) for rate in (0, 1200, 2100, 2125)] == ["0 %", "12 %", "21 %", "21,25 %"]


def test_in_the_night_of_25_hours_two_equal_readings_of_the_clock_differ() -> None:
    first, second = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert CS.moment(first) == "25. 10. 2026 2:30:00 GMT+02:00"
    assert CS.moment(second) == "25. 10. 2026 2:30:00 GMT+01:00"
    assert EN.moment(second) == "25 Oct 2026, 02:30:00 GMT+01:00"


def test_a_day_is_that_of_the_place() -> None:
    late = datetime(2026, 5, 31, 22, 30, tzinfo=UTC)
    assert CS.day_of(late) == "1. června 2026"
    assert Figures("en", "America/New_York").day_of(late) == "31 May 2026"
    assert (CS.month(date(2026, 10, 1)), EN.month(date(2026, 10, 1))) == ("říjen 2026", "October 2026")
    assert [CS.weekday(0), EN.weekday(6)] == ["po", "Sun"]


def test_durations() -> None:
    assert [clock_duration(seconds) for seconds in (0, 61, 90_000)] == ["0:00:00", "0:01:01", "25:00:00"]
