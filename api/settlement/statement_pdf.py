"""The PDF of a month of an account. Its figures come from `statement`; nothing is added up here."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Final
from uuid import UUID

from api.documents.figures import Figures
from api.documents.languages import Language, Words, marked, words_of
from api.documents.page import Page
from api.settlement.statement import Entry, Section

KINDS: Final = {
    "charge": marked("Charging"),
    "vat": marked("VAT"),
    "platform_fee": marked("Fee of the platform"),
    "top_up": marked("Top-up"),
    "payout": marked("Payout"),
    "refund": marked("Refund"),
    "no_show_fee": marked("Fee for not coming"),
}
ACCOUNTS: Final = {
    "driver": marked("Statement of a driver"),
    "owner": marked("Statement of an owner"),
    "platform": marked("Statement of the platform"),
    "bank": marked("Statement of the bank account"),
}


@dataclass(frozen=True, slots=True)
class Head:
    """Whose statement of which month."""

    account_id: UUID
    kind: str
    holder: str
    month: date


def render_statement(head: Head, sections: Iterable[Section], language: Language) -> bytes:
    """The PDF in this language; the same statement makes the same bytes."""
    words, figures = words_of(language), Figures(language, "UTC")
    kind = ACCOUNTS[head.kind]
    title, month = words.say(kind), figures.month(head.month)
    made = datetime.combine(head.month, time(), UTC)
    page = Page(words, f"{title} {month}", made, foot=f"{title} · {head.holder or 'Voltuj'} · {month}")
    page.title_block(title, f"{month} · {head.holder}" if head.holder else month)
    page.pairs([(words.say("Account"), str(head.account_id))])
    filled = list(sections)
    for section in filled:
        _section(page, section, figures)
    if not filled:
        page.ln(4)
        page.paragraph(words.say("Nothing was booked until the end of this month."))
    page.ln(3)
    page.paragraph(
        words.say("A transfer belongs to the day on which it was booked, by the clock at the charge point."), faint=True
    )
    return page.to_bytes()


def _section(page: Page, section: Section, figures: Figures) -> None:
    say, currency = page.words.say, section.currency
    page.heading(currency)
    page.pairs([
        (say("Balance before"), figures.money(section.opening_minor, currency)),
        (say("Came in"), figures.money(section.credited_minor, currency)),
        (say("Went out"), figures.money(section.debited_minor, currency)),
        (say("Balance after"), figures.money(section.closing_minor, currency)),
    ])  # fmt: skip
    page.ln(2)
    if section.lines:
        heads = [say("Day"), say("Item"), say("Charge point"), say("Amount"), say("Balance")]
        rows = [_row(entry, balance_minor, page.words, figures) for entry, balance_minor in section.lines]
        page.lines(heads, rows, widths=[15, 25, 24, 18, 18], right=2)
    page.total(say("Balance after"), figures.money(section.closing_minor, currency))


def _row(entry: Entry, balance_minor: int, words: Words, figures: Figures) -> list[str]:
    kind = KINDS.get(entry.kind, entry.kind)
    name = words.say(kind)
    return [
        figures.short_day(entry.booked_on),
        words.say("{item}, taken back", item=name) if entry.is_reversal else name,
        entry.charge_point_name,
        figures.money(entry.amount_minor, entry.currency),
        figures.money(balance_minor, entry.currency),
    ]
