"""Numbers, money, energy and times as a reader of a language expects them, at the clock of a place. No texts.

Everything comes in as integers; Decimal only moves the point.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Final
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime
from babel.numbers import format_currency, format_decimal, format_percent

from api.accounting.money import MINOR_DIGITS, PRICE_DIGITS
from api.documents.languages import Language

LOCALE: Final[dict[Language, str]] = {"cs": "cs_CZ", "en": "en_GB"}
MONEY: Final[dict[Language, str | None]] = {"cs": None, "en": "¤¤\u00a0#,##0.00;-¤¤\u00a0#,##0.00"}
"""English writes the code of the currency, for CLDR has no space there; None: as CLDR says."""
A_MONDAY: Final = date(2000, 1, 3)


@dataclass(frozen=True)
class Figures:
    """Writes figures in a language, times by the clock of an IANA zone."""

    language: Language
    time_zone: str

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @cached_property
    def _locale(self) -> str:
        return LOCALE[self.language]

    def money(self, amount_minor: int, currency: str) -> str:
        """An amount of minor units, such as 12265 CZK: "122,65 Kč"."""
        return self._money(Decimal(amount_minor).scaleb(-MINOR_DIGITS[currency]), currency)

    def price(self, price_e4: int, currency: str) -> str:
        """A unit price, with up to four decimals."""
        return self._money(Decimal(price_e4).scaleb(-PRICE_DIGITS), currency)

    def _money(self, amount: Decimal, currency: str) -> str:
        text = format_currency(
            amount, currency, MONEY[self.language], locale=self._locale, currency_digits=False,
            decimal_quantization=False,
        )  # fmt: skip
        return printable(text)

    def kilowatt_hours(self, energy_wh: int) -> str:
        """Energy, or a register, to the Wh."""
        number = format_decimal(Decimal(energy_wh).scaleb(-3), "#,##0.000", locale=self._locale)
        return printable(f"{number}\u00a0kWh")

    def percent(self, rate_bp: int) -> str:
        """A rate in hundredths of a percent."""
        return printable(format_percent(Decimal(rate_bp).scaleb(-4), locale=self._locale, decimal_quantization=False))

    def day(self, day: date) -> str:
        """A day, its month in words."""
        return printable(format_date(day, "long", locale=self._locale))

    def short_day(self, day: date) -> str:
        """A day for a column of a table."""
        return printable(format_date(day, "short" if self.language == "en" else "medium", locale=self._locale))

    def month(self, day: date) -> str:
        """The month of a day."""
        return printable(format_date(day, "LLLL y", locale=self._locale))

    def moment(self, at: datetime) -> str:
        """A time with its offset, for in the night of 25 hours each reading of the clock comes twice."""
        texts = (
            format_datetime(at, form, tzinfo=self._zone, locale=self._locale) for form in ("medium", "ZZZZ")
        )  # fmt: skip
        return printable(" ".join(texts))

    def day_of(self, at: datetime) -> str:
        """The day of a moment."""
        return self.day(at.astimezone(self._zone).date())

    def weekday(self, number: int) -> str:
        """The short name of a weekday; 0 is Monday."""
        return format_date(A_MONDAY.replace(day=A_MONDAY.day + number), "ccc", locale=self._locale)


def printable(text: str) -> str:
    """CLDR's narrow space is not in the font; both do not break."""
    return text.replace("\u202f", "\u00a0")


def clock_duration(seconds: int) -> str:
    """A duration as h:mm:ss."""
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
