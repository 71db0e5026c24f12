"""Stickers for connectors: a QR code that leads to the connector, and its code to type, as PNG, SVG and PDF.

One layout in millimetres, drawn three times.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Final
from xml.sax.saxutils import escape

import segno
from fpdf import FPDF
from PIL import Image, ImageDraw, ImageFont
from ttf_opensans import OPENSANS_BOLD, OPENSANS_REGULAR

from api.documents.languages import Language, words_of
from api.documents.page import ACCENT, FAINT, FONT, INK, one_line

WIDTH_MM, HEIGHT_MM = 60, 80
QR_MM, QR_TOP_MM = 46, 9
TEXT_MM: Final = WIDTH_MM - 6
COLUMNS, ROWS = 3, 3
SHEET_MM: Final = (210, 297)
DPI: Final = 300
MM_PER_INCH, PT_PER_INCH = 25.4, 72
QUIET_ZONE: Final = 4
"""Modules that stay white around the code (ISO/IEC 18004)."""
MADE_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""The date inside a PDF of stickers, so that the same stickers are the same file."""


@dataclass(frozen=True, slots=True)
class Sticker:
    """What a connector's sticker says."""

    url: str
    code: str
    charge_point_name: str
    connector_id: int


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text in the middle, by its base line."""

    text: str
    base_mm: float
    size_pt: float
    color: tuple[int, int, int]
    bold: bool


def write_code(code: str) -> str:
    """A code as people read it: groups of four."""
    return "-".join(code[start : start + 4] for start in range(0, len(code), 4))


def to_png(sticker: Sticker, language: Language) -> bytes:
    """An image of 300 dpi."""
    image = Image.new("RGB", (_pixels(WIDTH_MM), _pixels(HEIGHT_MM)), "white")
    draw = ImageDraw.Draw(image)
    size, runs = _modules(sticker.url)
    module_mm = QR_MM / size
    left = (WIDTH_MM - QR_MM) / 2
    for x, y, length in runs:
        corner = (_pixels(left + x * module_mm), _pixels(QR_TOP_MM + y * module_mm))
        end = (_pixels(left + (x + length) * module_mm) - 1, _pixels(QR_TOP_MM + (y + 1) * module_mm) - 1)
        draw.rectangle((corner, end), fill="black")
    for line in _texts(sticker, language):
        font = _font(line.bold, round(line.size_pt * DPI / PT_PER_INCH))
        draw.text((_pixels(WIDTH_MM / 2), _pixels(line.base_mm)), line.text, line.color, font, anchor="ms")
    out = io.BytesIO()
    image.save(out, "PNG", dpi=(DPI, DPI), optimize=True)
    return out.getvalue()


def to_svg(sticker: Sticker, language: Language) -> bytes:
    """A drawing for print shops; its texts stay texts."""
    size, runs = _modules(sticker.url)
    path = "".join(f"M{x} {y}h{length}v1h-{length}z" for x, y, length in runs)
    place = f"translate({(WIDTH_MM - QR_MM) / 2} {QR_TOP_MM}) scale({QR_MM / size:.6f})"
    texts = "".join(
        f'<text x="{WIDTH_MM / 2}" y="{line.base_mm}" font-size="{line.size_pt * MM_PER_INCH / PT_PER_INCH:.3f}" '
        f'font-weight="{700 if line.bold else 400}" fill="rgb{line.color}">{escape(line.text)}</text>'
        for line in _texts(sticker, language)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH_MM}mm" height="{HEIGHT_MM}mm" '
        f'viewBox="0 0 {WIDTH_MM} {HEIGHT_MM}"><rect width="100%" height="100%" fill="#fff"/>'
        f'<path transform="{place}" d="{path}" shape-rendering="crispEdges"/>'
        f'<g font-family="Open Sans, sans-serif" text-anchor="middle">{texts}</g></svg>'
    ).encode()


def to_pdf(sticker: Sticker, language: Language) -> bytes:
    """A page of the sticker's size."""
    pdf = _empty(language, (WIDTH_MM, HEIGHT_MM))
    pdf.add_page()
    _draw(pdf, sticker, language, 0, 0)
    return bytes(pdf.output())


def to_sheet(stickers: Sequence[Sticker], language: Language) -> bytes:
    """Sheets of A4, nine stickers on each, with lines to cut along."""
    pdf = _empty(language, SHEET_MM)
    left, top = (SHEET_MM[0] - COLUMNS * WIDTH_MM) / 2, (SHEET_MM[1] - ROWS * HEIGHT_MM) / 2
    for number, sticker in enumerate(stickers):
        place = number % (COLUMNS * ROWS)
        if place == 0:
            pdf.add_page()
        x, y = left + place % COLUMNS * WIDTH_MM, top + place // COLUMNS * HEIGHT_MM
        pdf.set_draw_color(*FAINT)
        pdf.set_line_width(0.1)
        pdf.rect(x, y, WIDTH_MM, HEIGHT_MM)
        _draw(pdf, sticker, language, x, y)
    return bytes(pdf.output())


def _empty(language: Language, format_mm: tuple[int, int]) -> FPDF:
    pdf = FPDF(format=format_mm)
    pdf.set_title(words_of(language).say("Stickers"))
    pdf.set_lang(language)
    pdf.set_creator("Voltuj")
    pdf.set_creation_date(MADE_AT)
    pdf.add_font(FONT, "", str(OPENSANS_REGULAR.path))
    pdf.add_font(FONT, "B", str(OPENSANS_BOLD.path))
    pdf.set_auto_page_break(auto=False)
    return pdf


def _draw(pdf: FPDF, sticker: Sticker, language: Language, left_mm: float, top_mm: float) -> None:
    size, runs = _modules(sticker.url)
    module_mm = QR_MM / size
    pdf.set_fill_color(0, 0, 0)
    for x, y, length in runs:
        at = (left_mm + (WIDTH_MM - QR_MM) / 2 + x * module_mm, top_mm + QR_TOP_MM + y * module_mm)
        pdf.rect(*at, length * module_mm, module_mm, style="F")
    for line in _texts(sticker, language):
        pdf.set_font(FONT, "B" if line.bold else "", line.size_pt)
        pdf.set_text_color(*line.color)
        width_mm = pdf.get_string_width(line.text)
        pdf.text(left_mm + (WIDTH_MM - width_mm) / 2, top_mm + line.base_mm, line.text)


def _texts(sticker: Sticker, language: Language) -> Iterator[Text]:
    say = words_of(language).say
    yield _fitted(say("Scan to charge"), 8, 13, ACCENT, bold=True)
    yield _fitted(write_code(sticker.code), 60, 13, INK, bold=True)
    yield _fitted(one_line(sticker.charge_point_name), 66.5, 9.5, INK)
    yield _fitted(say("connector {number}", number=sticker.connector_id), 71.5, 9.5, INK)
    yield _fitted(sticker.url.partition("://")[2].rpartition("/")[0], 76.5, 7.5, FAINT)


def _fitted(text: str, base_mm: float, size_pt: float, color: tuple[int, int, int], *, bold: bool = False) -> Text:
    """The text, smaller where it is too wide, and cut where it would be too small."""
    wide = _width_mm(text, size_pt, bold=bold)
    size_pt = max(size_pt * min(1, TEXT_MM / wide), 6) if wide else size_pt
    while len(text) > 1 and _width_mm(text, size_pt, bold=bold) > TEXT_MM:
        text = f"{text[:-2]}…"
    return Text(text, base_mm, round(size_pt, 2), color, bold)


def _width_mm(text: str, size_pt: float, *, bold: bool) -> float:
    return _font(bold, 100).getlength(text) / 100 * size_pt * MM_PER_INCH / PT_PER_INCH


@cache
def _font(bold: bool, size_px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str((OPENSANS_BOLD if bold else OPENSANS_REGULAR).path), size_px)


def _modules(url: str) -> tuple[int, list[tuple[int, int, int]]]:
    """The side of the QR code with its quiet zone, and its black runs: (x, y, length)."""
    rows = [bytes(row) for row in segno.make(url, error="m", micro=False).matrix_iter(border=QUIET_ZONE)]
    runs = []
    for y, row in enumerate(rows):
        x = 0
        while (x := row.find(1, x)) >= 0:
            end = row.find(0, x)
            runs.append((x, y, end - x))
            x = end
    return len(rows), runs


def _pixels(mm: float) -> int:
    return round(mm * DPI / MM_PER_INCH)
