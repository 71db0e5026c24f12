"""Rows as CSV: RFC 4180 with a head, in which no text is a formula. Pure."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from api.settlement.statement import escape_formula

NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")
"""A negative amount begins as a formula does, and is none."""


def to_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """The values of these columns, what is missing empty; text that a spreadsheet takes for a formula is escaped."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    return text.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return escape_formula(" ".join(map(str, value)))
    return escape_formula(value) if isinstance(value, str) and not NUMBER.fullmatch(value) else str(value)
