"""A month of an account: opening balance, lines, closing balance, by currency; as an object and as CSV. Pure."""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, NamedTuple
from uuid import UUID

from api.accounting.money import format_minor

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Spreadsheets read what begins so as a formula, in full width too (OWASP, CSV injection)."""
COLUMNS: Final = (
    "booked_on", "kind", "reversal", "transaction", "charge_point", "currency", "amount", "balance",
)  # fmt: skip


class Entry(NamedTuple):
    """One side of a transfer, as an account sees it: positive is credited, negative debited.

    What came from or went to the bank has no session, and so no charge point.
    """

    id: UUID
    booked_on: date
    kind: str
    is_reversal: bool
    transaction_id: UUID | None
    charge_point_name: str
    currency: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Totals:
    """A month in one currency; `before_minor`: the balance before the first of those entries that come with it."""

    currency: str
    opening_minor: int
    credited_minor: int
    debited_minor: int
    before_minor: int

    @property
    def closing_minor(self) -> int:
        """The balance after the month."""
        return self.opening_minor + self.credited_minor - self.debited_minor


@dataclass(slots=True)
class Section:
    """The part of a statement in one currency."""

    currency: str
    opening_minor: int
    closing_minor: int
    lines: list[tuple[Entry, int]] = field(default_factory=list)
    """Each entry with the balance after it."""

    @property
    def credited_minor(self) -> int:
        """What came in."""
        return sum(entry.amount_minor for entry, _ in self.lines if entry.amount_minor > 0)

    @property
    def debited_minor(self) -> int:
        """What went out, as a positive number."""
        return -sum(entry.amount_minor for entry, _ in self.lines if entry.amount_minor < 0)


def with_balances(totals: Iterable[Totals], entries: Iterable[Entry]) -> list[tuple[Entry, int]]:
    """Each of the entries that come with these totals, with the balance after it."""
    balances = {each.currency: each.before_minor for each in totals}
    lines = []
    for entry in entries:
        balances[entry.currency] += entry.amount_minor
        lines.append((entry, balances[entry.currency]))
    return lines


def make_sections(opening: Mapping[str, int], entries: Iterable[Entry]) -> list[Section]:
    """Sections by currency, from the balances before the month and its entries in order."""
    sections = {currency: Section(currency, minor, minor) for currency, minor in opening.items()}
    for entry in entries:
        section = sections.setdefault(entry.currency, Section(entry.currency, 0, 0))
        section.closing_minor += entry.amount_minor
        section.lines.append((entry, section.closing_minor))
    return [sections[currency] for currency in sorted(sections)]


def to_csv(sections: Iterable[Section]) -> str:
    """RFC 4180 with a head; amounts are decimal text, what people wrote is never a formula."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for section in sections:
        currency = section.currency
        writer.writerow(["", "opening", "", "", "", currency, "", format_minor(section.opening_minor, currency)])
        writer.writerows(_row(entry, balance_minor) for entry, balance_minor in section.lines)
        writer.writerow(["", "closing", "", "", "", currency, "", format_minor(section.closing_minor, currency)])
    return text.getvalue()


def _row(entry: Entry, balance_minor: int) -> list[Any]:
    return [
        entry.booked_on.isoformat(),
        entry.kind,
        "yes" if entry.is_reversal else "no",
        "" if entry.transaction_id is None else str(entry.transaction_id),
        escape_formula(entry.charge_point_name),
        entry.currency,
        format_minor(entry.amount_minor, entry.currency),
        format_minor(balance_minor, entry.currency),
    ]


def escape_formula(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.lstrip(" \n").startswith(FORMULA_STARTS) else text
