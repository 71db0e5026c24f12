"""A statement adds up whatever is in it, and its CSV has no formula."""

import csv
import io
from datetime import date
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.accounting.money import format_minor
from api.settlement.statement import COLUMNS, Entry, Totals, escape_formula, make_sections, to_csv, with_balances

NOBODY = UUID(int=0)
currencies = st.sampled_from(["CZK", "EUR"])
amounts = st.integers(-(10**6), 10**6).filter(bool)
entries = st.builds(
    Entry, st.just(NOBODY), st.just(date(2026, 5, 4)), st.just("charge"), st.booleans(), st.just(NOBODY),
    st.text(st.characters(codec="utf-8"), max_size=10), currencies, amounts,
)  # fmt: skip


@given(st.dictionaries(currencies, amounts), st.lists(entries))
def test_opening_and_lines_add_up_to_closing_in_each_currency(opening: dict[str, int], lines: list[Entry]) -> None:
    sections = make_sections(opening, lines)
    assert sum(len(section.lines) for section in sections) == len(lines)
    for section in sections:
        own = [entry.amount_minor for entry in lines if entry.currency == section.currency]
        assert section.closing_minor == opening.get(section.currency, 0) + sum(own)
        assert section.closing_minor == section.opening_minor + section.credited_minor - section.debited_minor
        assert [balance for _, balance in section.lines[-1:]] == [section.closing_minor] * bool(own)


@given(st.dictionaries(currencies, amounts), st.lists(entries), st.integers(0, 20))
def test_the_lines_of_a_page_go_on_where_the_one_before_ended(
    opening: dict[str, int], lines: list[Entry], turned: int
) -> None:
    whole = [Totals(currency, opening.get(currency, 0), 0, 0, opening.get(currency, 0)) for currency in ("CZK", "EUR")]
    first = with_balances(whole, lines[:turned])
    reached = opening | {entry.currency: balance for entry, balance in first}
    rest = [Totals(currency, 0, 0, 0, reached.get(currency, 0)) for currency in ("CZK", "EUR")]
    by_section = [line for section in make_sections(opening, lines) for line in section.lines]
    in_order = sorted(first + with_balances(rest, lines[turned:]), key=lambda line: line[0].currency)
    assert in_order == by_section


@given(st.dictionaries(currencies, amounts), st.lists(entries))
def test_the_csv_can_be_read_back_and_holds_no_formula(opening: dict[str, int], lines: list[Entry]) -> None:
    sections = make_sections(opening, lines)
    rows = list(csv.reader(io.StringIO(to_csv(sections), newline="")))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 1 + len(lines) + 2 * len(sections)
    closings = [row for row in rows if row[1] == "closing"]
    assert [row[7] for row in closings] == [format_minor(s.closing_minor, s.currency) for s in sections]
    for row in rows[1:]:
        assert not row[4].lstrip(" \n").startswith(("=", "+", "-", "@", "\t", "\r"))


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n=1"])
def test_what_would_be_a_formula_begins_with_an_apostrophe(text: str) -> None:
    assert escape_formula(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "Garage", "U Nováků 1-2", "a=b"])
def test_other_text_stays(text: str) -> None:
    assert escape_formula(text) == text
