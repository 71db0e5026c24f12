"""What stands on a receipt: every figure of the settled record, the rule of each line, in Czech letters."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest

from api.accounting.rating import rate, record_to_json
from api.accounting.samples import Sample
from api.accounting.tariff import ENERGY, FLAT, PARKING_TIME, Element, PriceComponent, PriceLimit, Restrictions, Tariff
from api.documents.receipt import Issued, Receipt, Seller, VatPart
from api.documents.receipt_pdf import render_receipt
from tests.unit.api.documents.reading import page_count, text_of

START = datetime(2026, 5, 4, 19, 0, tzinfo=UTC)
STOP = START + timedelta(hours=3, minutes=12)
NIGHT = Restrictions(time(22), time(6), date(2026, 1, 1), None, frozenset({"MONDAY"}), None, 90_000, 60, 86_400)
TARIFF = Tariff(
    "CZK",
    (
        Element((PriceComponent(ENERGY, 35_000, 1, 2100),), NIGHT),
        Element(
            (
                PriceComponent(ENERGY, 55_555, 100, 2100),
                PriceComponent(PARKING_TIME, 600_000, 60, 1200),
                PriceComponent(FLAT, 100_000, 1, 2100),
            )
        ),
    ),
    PriceLimit(20_000),
    PriceLimit(100_000, 121_000),
    600,
)


def make(stop_wh: int = 21_633, **changes: Any) -> Receipt:
    samples = [Sample(START + timedelta(minutes=m), 1_460_000 + m * 180, 11_000) for m in range(1, 120)]
    samples.append(Sample(START + timedelta(minutes=121), 1_460_000 + stop_wh, 0))
    record = record_to_json(
        rate(TARIFF, meter_start_wh=1_460_000, meter_stop_wh=1_460_000 + stop_wh, started_at=START, stopped_at=STOP,
             samples=samples, time_zone="Europe/Prague")
    )  # fmt: skip
    receipt = Receipt(
        number=17,
        revision=0,
        settlement_id=UUID(int=5),
        issued_at=STOP,
        seller=Seller("Žaneta Příhodová", is_vat_registered=True, vat_id="CZ12345678"),
        driver_name="Jiří Ďáblík",
        is_own=False,
        transaction_id=UUID(int=77),
        charge_point_name="Garáž U Třešně",
        connector_id=2,
        time_zone="Europe/Prague",
        started_at=START,
        stopped_at=STOP,
        meter_start_wh=1_460_000,
        meter_stop_wh=1_460_000 + stop_wh,
        energy_wh=stop_wh,
        currency="CZK",
        tariff=TARIFF,
        lines=record["lines"],
        net_minor=record["net_minor"],
        vat_minor=record["vat_minor"],
        corrects=None,
    )
    return replace(receipt, **changes)


def test_a_czech_receipt_says_who_where_when_how_much_and_why() -> None:
    text = text_of(render_receipt(make(), "cs"))
    for expected in (
        "Doklad o nabíjení – daňový doklad",
        "Číslo 000017, revize 0, vystaveno 5. května 2026",
        "Žaneta Příhodová",
        "CZ12345678",
        "Jiří Ďáblík",
        "Garáž U Třešně",
        str(UUID(int=77)),
        "4. 5. 2026 21:00:00 GMT+02:00 1 460,000 kWh",
        "5. 5. 2026 0:12:00 GMT+02:00 1 481,633 kWh",
        "Energie 21,633 kWh",
        "3,50 Kč za kWh + DPH 21 % (od 22:00 do 06:00, po, od 1. ledna 2026, do 90,000 kWh, po 0:01:00 od začátku",
        "5,5555 Kč za kWh + DPH 21 %, za každých započatých 0,100 kWh",
        "prvních 0:10:00 připojení bez nabíjení je zdarma",
        "nejméně 200,00 Kč bez DPH za nabíjení",
        "nejvýše 1 000,00 Kč bez DPH a 1 210,00 Kč s DPH za nabíjení",
        "10,00 Kč za každé nabíjení",
        "co chybí do nejnižší ceny tarifu",
        "Celkem",
        "Strana 1 z 2",
        f"Vyúčtování {UUID(int=5)}, revize 0",
    ):
        assert expected in text, expected


def test_every_amount_of_the_record_stands_on_it() -> None:
    receipt = make()
    text = text_of(render_receipt(receipt, "en"))
    assert len(receipt.lines) >= 5
    for amount_minor in [*(line["amount_minor"] for line in receipt.lines), receipt.total_minor]:
        assert f"CZK {amount_minor // 100:,}.{amount_minor % 100:02d}" in text
    assert sum(line["amount_minor"] for line in receipt.lines) == receipt.total_minor


def test_vat_by_rate_adds_up_to_the_settlement() -> None:
    receipt = make(stop_wh=60_000)
    parts = receipt.vat_parts
    assert {part.rate_bp for part in parts} == {2100, 1200}
    assert sum(part.net_minor for part in parts) == receipt.net_minor
    assert sum(part.vat_minor for part in parts) == receipt.vat_minor
    text = text_of(render_receipt(receipt, "cs"))
    assert "12 %" in text
    assert "hodinu připojení bez nabíjení" in text


def test_vat_parts_keep_their_rates_apart() -> None:
    lines = [
        {"type": "ENERGY", "vat_bp": 2100, "amount_minor": 100},
        {"type": "FLAT", "amount_minor": 7},
        {"type": "MAX_PRICE", "vat_bp": 2100, "amount_minor": -10},
        {"type": "VAT", "vat_bp": 2100, "amount_minor": 19},
    ]
    assert make(lines=lines).vat_parts == [VatPart(2100, 90, 19), VatPart(None, 7, 0)]


def test_the_same_receipt_makes_the_same_file() -> None:
    assert render_receipt(make(), "cs") == render_receipt(make(), "cs")
    assert render_receipt(make(), "cs") != render_receipt(make(number=18), "cs")


@pytest.mark.parametrize(
    ("difference", "kind", "title"),
    [(-1, "debit_note", "Vrubopis"), (0, "correction", "Opravený doklad"), (1, "credit_note", "Dobropis")],
)
def test_a_correction_names_what_it_corrects(difference: int, kind: str, title: str) -> None:
    before = make().total_minor + difference
    receipt = make(revision=1, number=18, corrects=Issued(17, STOP, before))
    assert receipt.kind == kind
    text = text_of(render_receipt(receipt, "cs"))
    assert title in text
    assert "Opravuje doklad 000017 ze dne 5. května 2026" in text


def test_a_waived_session_that_never_ended() -> None:
    waived = make(
        lines=(), tariff=None, net_minor=0, vat_minor=0, stopped_at=None, meter_stop_wh=None, energy_wh=None,
        seller=Seller("", is_vat_registered=False, vat_id=None), driver_name="", charge_point_name="",
    )  # fmt: skip
    text = text_of(render_receipt(waived, "en"))
    assert "Nothing is charged for this session." in text
    assert "not registered for VAT" in text
    assert "tax document" not in text
    assert "CZK 0.00" in text


def test_whatever_people_write_makes_a_page() -> None:
    """The font has no emoji; a name of many lines stays in its place."""
    odd = make(
        driver_name="Jiří 🔌 \n\r\t**x** {price} __u__ <b>", charge_point_name="Ž" * 500 + " " + "dlouhé jméno " * 60
    )
    pdf = render_receipt(odd, "cs")
    assert "{price}" in text_of(pdf)
    assert "**x**" in text_of(pdf)
    assert page_count(pdf) <= 3


def test_an_own_session_says_that_nothing_is_paid() -> None:
    assert "nothing is to be paid" in text_of(render_receipt(make(is_own=True), "en"))
