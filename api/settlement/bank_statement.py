"""A bank's statement as CSV, read into movements. Pure: no database, and either the whole file is right or none of it.

Our own columns, or those of Fio banka; docs/payments.md lists them. Amounts are read digit by digit, never as floats.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from api.accounting.iban import parse_iban
from api.accounting.money import MINOR_DIGITS, parse_scaled

MOST_LINES: Final = 20_000
MOST_ERRORS: Final = 100
LONGEST_TEXT: Final = 500
LONGEST_REFERENCE: Final = 100
HIGHEST_AMOUNT: Final = 1_000_000_000
"""Whole currency units; more in one movement is a misread line."""

OWN_COLUMNS: Final = {
    "id": "reference",
    "date": "booked_on",
    "amount": "amount",
    "currency": "currency",
    "variable_symbol": "variable_symbol",
    "account": "counterparty",
    "name": "counterparty_name",
    "message": "message",
}
FIO_COLUMNS: Final = {
    "id pohybu": "reference",
    "id operace": "reference",
    "datum": "booked_on",
    "objem": "amount",
    "měna": "currency",
    "vs": "variable_symbol",
    "protiúčet": "counterparty",
    "kód banky": "bank_code",
    "název protiúčtu": "counterparty_name",
    "zpráva pro příjemce": "message",
}
"""Of the internet banking and of the API of Fio banka; the table begins after lines about the account."""
LAYOUTS: Final = (OWN_COLUMNS, FIO_COLUMNS)
NEEDED: Final = frozenset({"reference", "booked_on", "amount", "currency"})
MOST_LINES_BEFORE_HEAD: Final = 40
_AMOUNT: Final = re.compile(r"([+-]?) ?([0-9]{1,3}(?: [0-9]{3})+|[0-9]{1,12})(?:[.,]([0-9]+))?")
_CZECH_DATE: Final = re.compile(r"\d{1,2}\. ?\d{1,2}\. ?\d{4}")


class StatementError(ValueError):
    """Nothing can be taken from this file; `errors` are (line, what is wrong there), line 0 is the file as a whole."""

    def __init__(self, errors: Sequence[tuple[int, str]]) -> None:
        super().__init__("; ".join(f"line {line}: {message}" for line, message in errors))
        self.errors = list(errors)


@dataclass(frozen=True, slots=True)
class Movement:
    """One movement on the bank account of the house; negative left it."""

    reference: str
    booked_on: date
    amount_minor: int
    currency: str
    variable_symbol: str | None
    counterparty: str
    counterparty_name: str
    message: str


@dataclass(frozen=True, slots=True)
class Statement:
    """The movements of a file, each once, with the line where it stands; the account where the file names it."""

    iban: str | None
    movements: list[tuple[int, Movement]]


def read_statement(content: bytes) -> Statement:
    """Reads a file in UTF-8 or Windows-1250, separated by commas or semicolons.

    Raises:
        StatementError: a line is wrong, or this is not such a file.
    """
    rows = _rows(_decode(content))
    head, columns = _find_head(rows)
    iban = _find_iban(rows[:head])
    found: dict[str, tuple[int, Movement]] = {}
    errors: list[tuple[int, str]] = []
    for line, cells in rows[head + 1 :]:
        try:
            movement = _movement({name: cells[place] for name, place in columns.items() if place < len(cells)})
            if movement is not None and found.setdefault(movement.reference, (line, movement))[1] != movement:
                raise ValueError(f"{movement.reference} stands in this file twice, differently")
        except ValueError as error:
            errors.append((line, str(error)))
    if errors:
        raise StatementError(errors[:MOST_ERRORS])
    return Statement(iban, list(found.values()))


def _decode(content: bytes) -> str:
    for encoding in ("utf-8-sig", "cp1250"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" not in text:
            return text
    raise StatementError([(0, "this is not text in UTF-8 or Windows-1250")])


def _rows(text: str) -> list[tuple[int, list[str]]]:
    """Lines that are not empty, with their numbers; the separator is the one of the head."""
    failure = "no line names the columns id, date, amount and currency (or Fio's)"
    for delimiter in (";", ","):
        try:
            rows = _split(text, delimiter)
        except csv.Error as error:
            failure = f"this is not CSV: {error}"
            continue
        if any(_columns(cells) for _, cells in rows[:MOST_LINES_BEFORE_HEAD]):
            return rows
    raise StatementError([(0, failure)])


def _split(text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows = []
    for cells in reader:
        if any(cell.strip() for cell in cells):
            rows.append((reader.line_num, [cell.strip() for cell in cells]))
        if len(rows) > MOST_LINES:
            raise StatementError([(reader.line_num, f"a file may have {MOST_LINES} lines")])
    return rows


def _columns(cells: Iterable[str]) -> dict[str, int] | None:
    """Where each column stands, if these cells are the head of a table that we know; the first of two counts."""
    names = [cell.casefold() for cell in cells]
    for layout in LAYOUTS:
        columns: dict[str, int] = {}
        for place, name in enumerate(names):
            if name in layout:
                columns.setdefault(layout[name], place)
        if columns.keys() >= NEEDED:
            return columns
    return None


def _find_head(rows: Sequence[tuple[int, list[str]]]) -> tuple[int, dict[str, int]]:
    for place, (_, cells) in enumerate(rows[:MOST_LINES_BEFORE_HEAD]):
        if (columns := _columns(cells)) is not None:
            return place, columns
    raise AssertionError("`_rows` found a head")


def _find_iban(rows: Iterable[tuple[int, list[str]]]) -> str | None:
    for line, cells in rows:
        if len(cells) > 1 and cells[0].casefold() == "iban":
            try:
                return parse_iban(cells[1])
            except ValueError as error:
                raise StatementError([(line, str(error))]) from None
    return None


def _movement(cells: dict[str, str]) -> Movement | None:
    """From the cells of one line; None where it moves nothing.

    Raises:
        ValueError: a cell is missing or wrong.
    """
    if missing := sorted(name for name in NEEDED if not cells.get(name)):
        raise ValueError(f"without {', '.join(missing)}")
    currency = cells["currency"].upper()
    if currency not in MINOR_DIGITS:
        raise ValueError(f"{currency!r} is not a currency of this house")
    amount_minor = parse_amount(cells["amount"], currency)
    if amount_minor == 0:
        return None
    if len(cells["reference"]) > LONGEST_REFERENCE:
        raise ValueError(f"the id is longer than {LONGEST_REFERENCE} characters")
    account, bank = cells.get("counterparty", ""), cells.get("bank_code", "")
    return Movement(
        reference=cells["reference"],
        booked_on=parse_date(cells["booked_on"]),
        amount_minor=amount_minor,
        currency=currency,
        variable_symbol=parse_symbol(cells.get("variable_symbol", "")),
        counterparty=(f"{account}/{bank}" if account and bank else account)[:LONGEST_TEXT],
        counterparty_name=cells.get("counterparty_name", "")[:LONGEST_TEXT],
        message=cells.get("message", "")[:LONGEST_TEXT],
    )


def parse_amount(text: str, currency: str) -> int:
    """An amount such as `-1 234,50` in minor units; spaces group thousands, and nothing else does.

    Raises:
        ValueError: it is not such an amount, or has more decimals than the currency.
    """
    found = _AMOUNT.fullmatch(" ".join(text.split()))
    if found is None:
        raise ValueError(f"{text!r} is not an amount")
    sign, whole, decimals = found[1], found[2].replace(" ", ""), found[3] or ""
    if len(decimals) > MINOR_DIGITS[currency]:
        raise ValueError(f"{text!r} has more decimals than {currency}")
    amount_minor = parse_scaled(f"{whole}.{decimals or 0}", MINOR_DIGITS[currency], HIGHEST_AMOUNT)
    return -amount_minor if sign == "-" else amount_minor


def parse_date(text: str) -> date:
    """A day as `2026-05-04` or `04.05.2026`.

    Raises:
        ValueError: it is neither.
    """
    try:
        if _CZECH_DATE.fullmatch(text):
            return datetime.strptime(text.replace(" ", ""), "%d.%m.%Y").date()  # noqa: DTZ007 - a day has no zone
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a day") from None


def parse_symbol(text: str) -> str | None:
    """A variable symbol without leading zeros; None where there is none, or something else."""
    digits = text.lstrip("0")
    return digits if digits.isascii() and digits.isdecimal() and len(digits) <= 10 else None
