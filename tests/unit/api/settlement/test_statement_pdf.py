"""The statement on paper has the figures of the statement."""

from datetime import date
from uuid import UUID

import pytest
from sqlalchemy import CheckConstraint

from api.documents.languages import Language
from api.schema import ledger_accounts, transfers
from api.settlement.statement import Entry, make_sections
from api.settlement.statement_pdf import ACCOUNTS, KINDS, Head, render_statement
from tests.unit.api.documents.reading import fills, page_count, text_of

MAY = date(2026, 5, 1)


def head(kind: str = "owner", holder: str = "Žaneta Příhodová") -> Head:
    return Head(UUID(int=3), kind, holder, MAY)


def entry(amount_minor: int, kind: str = "charge", currency: str = "CZK", *, is_reversal: bool = False) -> Entry:
    return Entry(
        UUID(int=1), date(2026, 5, 4), kind, is_reversal, UUID(int=2), "Garáž U Třešně", currency, amount_minor
    )


def test_a_czech_statement_opens_goes_through_and_closes() -> None:
    entries = [entry(12_265), entry(-306, "platform_fee"), entry(-12_265, is_reversal=True)]
    text = text_of(render_statement(head(), make_sections({"CZK": 500_000}, entries), "cs"))
    for expected in (
        "Výpis účtu majitele",
        "květen 2026 · Žaneta Příhodová",
        "Počáteční zůstatek 5 000,00 Kč",
        "Přijato 122,65 Kč",
        "Vydáno 125,71 Kč",
        "4. 5. 2026 Nabíjení Garáž U Třešně 122,65 Kč 5 122,65 Kč",
        "4. 5. 2026 Poplatek platformě Garáž U Třešně -3,06 Kč 5 119,59 Kč",
        "Nabíjení, storno",
        "Konečný zůstatek 4 996,94 Kč",
    ):
        assert expected in text, expected


def test_each_currency_has_a_part_of_its_own() -> None:
    text = text_of(render_statement(head(), make_sections({}, [entry(1), entry(2, currency="EUR")]), "en"))
    assert "CZK 0.01" in text
    assert "EUR 0.02" in text


def test_only_totals_and_heads_are_shaded() -> None:
    """Two boxes a total, five cells a head; rows stay white, those after a total too."""
    currencies = ("CZK", "EUR")
    sections = make_sections({}, [entry(1, currency=currency) for currency in currencies for _ in range(3)])
    shaded = {color: n for color, n in fills(render_statement(head(), sections, "cs")).items() if color[:1] != (1.0,)}
    assert sorted(shaded.values()) == [2 * len(currencies), 5 * len(currencies)]


def test_a_long_month_repeats_its_head_on_each_page() -> None:
    pdf = render_statement(head(), make_sections({}, [entry(1)] * 100), "en")
    assert page_count(pdf) >= 3
    assert text_of(pdf).count("Day Item Charge point Amount Balance") == page_count(pdf)


@pytest.mark.parametrize("language", ["cs", "en"])
def test_an_empty_one_says_so(language: Language) -> None:
    text = text_of(render_statement(head(holder=""), [], language))
    assert ("Nothing was booked" in text) or ("nebylo nic zaúčtováno" in text)


def test_the_same_statement_is_the_same_file() -> None:
    sections = make_sections({"CZK": 1}, [entry(1)])
    assert render_statement(head(), sections, "cs") == render_statement(head(), sections, "cs")


def test_every_kind_that_the_database_allows_has_words() -> None:
    for table, words in ((transfers, KINDS), (ledger_accounts, ACCOUNTS)):
        [rule] = [str(check.sqltext) for check in table.c.kind.constraints if isinstance(check, CheckConstraint)]
        assert set(rule.split("'")[1::2]) == set(words)
