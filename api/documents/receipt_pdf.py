"""The PDF of a receipt. What it says comes from `receipt` and `tariff_words`; nothing is computed here."""

from datetime import datetime
from typing import Final

from api.documents.figures import Figures
from api.documents.languages import Language, Words, marked, words_of
from api.documents.page import Page
from api.documents.receipt import Kind, Receipt, VatPart, number_text
from api.documents.tariff_words import TariffWords

TITLES: Final[dict[Kind, str]] = {
    "receipt": marked("Receipt"),
    "credit_note": marked("Credit note"),
    "debit_note": marked("Debit note"),
    "correction": marked("Corrected receipt"),
}
UNKNOWN: Final = "–"


def title_of(receipt: Receipt, words: Words) -> str:
    """What it is called; of a seller with a VAT id also that it is a tax document."""
    name = TITLES[receipt.kind]
    title, tax_document = words.say(name), words.say("tax document")
    return f"{title} – {tax_document}" if receipt.seller.vat_id else title


def vat_status(receipt: Receipt, words: Words) -> str:
    """Whether the seller is registered for VAT, and under which id."""
    if receipt.seller.vat_id:
        return receipt.seller.vat_id
    if receipt.seller.is_vat_registered:
        return words.say("registered for VAT")
    return words.say("not registered for VAT")


def correction_text(receipt: Receipt, words: Words, figures: Figures) -> str:
    """Which receipt it corrects and by how much; empty of a first one."""
    if receipt.corrects is None:
        return ""
    return words.say(
        "Corrects receipt {number} of {day}: it came to {before}, now {after}, a difference of {difference}.",
        number=number_text(receipt.corrects.number),
        day=figures.day_of(receipt.corrects.issued_at),
        before=figures.money(receipt.corrects.total_minor, receipt.currency),
        after=figures.money(receipt.total_minor, receipt.currency),
        difference=figures.money(receipt.difference_minor, receipt.currency),
    )


def render_receipt(receipt: Receipt, language: Language) -> bytes:
    """The PDF in this language; the same receipt makes the same bytes."""
    words, figures = words_of(language), Figures(language, receipt.time_zone)
    say, number = words.say, number_text(receipt.number)
    title = title_of(receipt, words)
    page = Page(words, f"{title} {number}", receipt.issued_at, foot=f"{title} {number} · {receipt.seller.name}")
    issued = say("issued {day}", day=figures.day_of(receipt.issued_at))
    page.title_block(title, say("Number {number}, revision {revision}, {issued}", number=number,
                                revision=receipt.revision, issued=issued))  # fmt: skip
    if receipt.corrects is not None:
        page.paragraph(correction_text(receipt, words, figures))
        page.ln(2)
    page.pairs([
        (say("Seller"), receipt.seller.name),
        (say("VAT id") if receipt.seller.vat_id else say("VAT status"), vat_status(receipt, words)),
        (say("Driver"), receipt.driver_name or UNKNOWN),
    ])  # fmt: skip
    _session(page, receipt, figures)
    _amounts(page, receipt, figures)
    _small_print(page, receipt)
    return page.to_bytes()


def _session(page: Page, receipt: Receipt, figures: Figures) -> None:
    say = page.words.say

    def moment(at: datetime | None) -> str:
        return UNKNOWN if at is None else figures.moment(at)

    def energy(energy_wh: int | None) -> str:
        return UNKNOWN if energy_wh is None else figures.kilowatt_hours(energy_wh)

    page.heading(say("Charging"))
    page.pairs([
        (say("Charge point"), receipt.charge_point_name or UNKNOWN),
        (say("Connector"), str(receipt.connector_id)),
        (say("Session"), str(receipt.transaction_id)),
    ])  # fmt: skip
    page.ln(1.5)
    page.lines(
        ["", say("Time"), say("Register")],
        [
            [say("Start"), moment(receipt.started_at), energy(receipt.meter_start_wh)],
            [say("End"), moment(receipt.stopped_at), energy(receipt.meter_stop_wh)],
            [say("Energy"), "", energy(receipt.energy_wh)],
        ],
        widths=[26, 48, 26],
        right=1,
        sums=1,
    )


def _amounts(page: Page, receipt: Receipt, figures: Figures) -> None:
    say, tariff, said = page.words.say, receipt.tariff, TariffWords(page.words, figures)
    if tariff is not None:
        page.heading(say("Tariff, as it was agreed at the start"))
        for text in said.describe(tariff):
            page.paragraph(f"· {text}")
        page.heading(say("Price"))
        page.lines(
            [say("Item"), say("How it is computed"), say("Amount")],
            [
                [said.name(line), said.rule(line, tariff), figures.money(line["amount_minor"], receipt.currency)]
                for line in receipt.lines
            ],
            widths=[27, 53, 20],
            right=1,
        )
    if receipt.vat_minor:
        page.heading(say("VAT by rate"))
        page.lines(
            [say("Rate"), say("Without VAT"), say("VAT"), say("With VAT")],
            [_vat_row(part, receipt.currency, page.words, figures) for part in receipt.vat_parts],
            widths=[25, 25, 25, 25],
            right=3,
        )
    page.total(say("Total"), figures.money(receipt.total_minor, receipt.currency))


def _vat_row(part: VatPart, currency: str, words: Words, figures: Figures) -> list[str]:
    rate = words.say("no VAT") if part.rate_bp is None else figures.percent(part.rate_bp)
    amounts = (part.net_minor, part.vat_minor, part.net_minor + part.vat_minor)
    return [rate, *(figures.money(amount, currency) for amount in amounts)]


def _small_print(page: Page, receipt: Receipt) -> None:
    say = page.words.say
    if receipt.is_own:
        page.paragraph(say("The owner charged on the own wallbox: nothing is to be paid."))
    if not receipt.lines:
        page.paragraph(say("Nothing is charged for this session."))
    page.paragraph(
        say("Each amount is computed to the end and rounded once, half to even; the total is the sum of the lines."),
        faint=True,
    )
    evidence = say(
        "Settlement {id}, revision {revision}. Times are those of the place ({zone}).",
        id=receipt.settlement_id,
        revision=receipt.revision,
        zone=receipt.time_zone,
    )
    page.paragraph(evidence, faint=True)
