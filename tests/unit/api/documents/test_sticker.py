"""Stickers: the QR code leads where the connector is, and the code can be read and typed."""

import io
from xml.etree import ElementTree

import pytest
import segno
from PIL import Image

from api.documents.sticker import (
    DPI,
    HEIGHT_MM,
    MM_PER_INCH,
    QR_MM,
    QR_TOP_MM,
    WIDTH_MM,
    Sticker,
    to_pdf,
    to_png,
    to_sheet,
    to_svg,
    write_code,
)
from tests.unit.api.documents.reading import page_count, text_of

URL = "https://charging.example.org/c/7K3M9QXA2B4C"
LONG = "Velmi dlouhé jméno nabíječky v podzemní garáži za domem u třešně, druhý sloup vlevo od výtahu"


def made(name: str = "Garáž U Třešně", connector_id: int = 2) -> Sticker:
    return Sticker(URL, "7K3M9QXA2B4C", name, connector_id)


def test_the_image_shows_exactly_the_modules_of_the_address() -> None:
    image = Image.open(io.BytesIO(to_png(made(), "cs"))).convert("L")
    expected = [bytes(row) for row in segno.make(URL, error="m", micro=False).matrix_iter(border=4)]
    pixels_per_mm = DPI / MM_PER_INCH
    module_mm = QR_MM / len(expected)
    for y, row in enumerate(expected):
        for x, module in enumerate(row):
            at_mm = ((WIDTH_MM - QR_MM) / 2 + (x + 0.5) * module_mm, QR_TOP_MM + (y + 0.5) * module_mm)
            pixel = image.getpixel((round(at_mm[0] * pixels_per_mm), round(at_mm[1] * pixels_per_mm)))
            assert pixel == (0 if module else 255), (x, y)
    assert image.size == (round(WIDTH_MM * pixels_per_mm), round(HEIGHT_MM * pixels_per_mm))


def test_the_drawing_has_the_same_modules_and_its_texts() -> None:
    root = ElementTree.fromstring(to_svg(made('<Garáž> & "U" Třešně'), "cs"))  # noqa: S314 - our own
    assert (root.get("width"), root.get("height")) == ("60mm", "80mm")
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == [
        "Načtěte a nabíjejte", "7K3M-9QXA-2B4C", '<Garáž> & "U" Třešně', "konektor 2", "charging.example.org/c",
    ]  # fmt: skip
    [path] = [element.get("d") or "" for element in root.iter("{http://www.w3.org/2000/svg}path")]
    dark = sum(int(run.split("h")[1].split("v")[0]) for run in path.split("M")[1:])
    assert dark == sum(sum(row) for row in segno.make(URL, error="m", micro=False).matrix)


def test_the_page_can_be_read() -> None:
    text = text_of(to_pdf(made(), "cs"))
    for expected in ("Načtěte a nabíjejte", "7K3M-9QXA-2B4C", "Garáž U Třešně", "konektor 2"):
        assert expected in text


@pytest.mark.parametrize(("count", "pages"), [(1, 1), (9, 1), (10, 2), (19, 3)])
def test_a_sheet_has_nine_stickers_a_page(count: int, pages: int) -> None:
    pdf = to_sheet([made(connector_id=number + 1) for number in range(count)], "en")
    assert page_count(pdf) == pages
    assert all(f"connector {number + 1}" in text_of(pdf) for number in range(count))


def test_a_long_name_is_cut_and_the_connector_stays() -> None:
    text = text_of(to_pdf(made(LONG), "cs"))
    assert "Velmi dlouhé jméno" in text
    assert "…" in text
    assert "výtahu" not in text
    assert "konektor 2" in text


@pytest.mark.parametrize("name", ["", " ", "🔌\n\x00", "W" * 500])
def test_any_name_makes_a_sticker(name: str) -> None:
    for draw in (to_png, to_svg, to_pdf):
        assert len(draw(made(name), "en")) > 1000


def test_the_same_sticker_is_the_same_file() -> None:
    assert to_pdf(made(), "cs") == to_pdf(made(), "cs")
    assert to_sheet([made()], "cs") == to_sheet([made()], "cs")


def test_a_code_is_written_in_groups_of_four() -> None:
    assert write_code("7K3M9QXA2B4C") == "7K3M-9QXA-2B4C"
