"""A4 pages with our fonts: headings, pairs of label and value, tables, a footer. What stands on them is said elsewhere.

The same input makes the same bytes: the date inside is the document's own, and no random id is drawn.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from fpdf import FPDF, Align, FontFace
from fpdf.enums import TableBordersLayout
from ttf_opensans import OPENSANS_BOLD, OPENSANS_REGULAR

from api.documents.languages import Words

FONT: Final = "OpenSans"
MARGIN_MM: Final = 18
LABEL_MM: Final = 46
LINE_MM: Final = 5.2
BODY_PT, SMALL_PT, TITLE_PT, HEADING_PT = 9.5, 7.5, 19, 10.5
INK: Final = (25, 32, 44)
FAINT: Final = (105, 115, 130)
ACCENT: Final = (11, 110, 79)
SHADE: Final = (236, 243, 240)


class Page(FPDF):
    """A document of A4 pages."""

    def __init__(self, words: Words, title: str, created_at: datetime, foot: str = "") -> None:
        super().__init__(format="A4")
        self.words = words
        self.foot = foot
        self.set_title(title)
        self.set_lang(words.language)
        self.set_creator("Voltuj")
        self.set_creation_date(created_at)
        self.add_font(FONT, "", str(OPENSANS_REGULAR.path))
        self.add_font(FONT, "B", str(OPENSANS_BOLD.path))
        self.set_margins(MARGIN_MM, MARGIN_MM, MARGIN_MM)
        self.set_auto_page_break(auto=True, margin=MARGIN_MM + 6)
        self.write_in(BODY_PT)
        self.alias_nb_pages("{n}")
        self.add_page()

    def footer(self) -> None:
        """Called by the library at the end of each page."""
        self.set_y(-MARGIN_MM)
        self.write_in(SMALL_PT, FAINT)
        self.cell(self.epw / 2, LINE_MM, self.foot)
        pages = self.words.say("Page {page} of {pages}", page=self.page_no(), pages="{n}")
        self.cell(self.epw / 2, LINE_MM, pages, align=Align.R)

    def write_in(self, size_pt: float, color: tuple[int, int, int] = INK, *, bold: bool = False) -> None:
        """The look of what is written next."""
        self.set_font(FONT, "B" if bold else "", size_pt)
        self.set_text_color(*color)

    def title_block(self, title: str, subtitle: str) -> None:
        """The head of the first page."""
        self.write_in(TITLE_PT, ACCENT, bold=True)
        self.multi_cell(0, 9, one_line(title), new_x="LMARGIN", new_y="NEXT")
        self.write_in(BODY_PT, FAINT)
        self.multi_cell(0, LINE_MM, one_line(subtitle), new_x="LMARGIN", new_y="NEXT")
        self.ln(3)

    def heading(self, text: str) -> None:
        """The head of a part; what follows it stays with it."""
        if self.will_page_break(4 * LINE_MM):
            self.add_page()
        self.ln(3)
        self.write_in(HEADING_PT, ACCENT, bold=True)
        self.multi_cell(0, LINE_MM + 1, one_line(text), new_x="LMARGIN", new_y="NEXT")
        self.ln(0.8)

    def pairs(self, rows: Sequence[tuple[str, str]]) -> None:
        """Labels with their values below each other."""
        for label, value in rows:
            self.write_in(BODY_PT, FAINT)
            self.cell(LABEL_MM, LINE_MM, label)
            self.write_in(BODY_PT)
            self.multi_cell(0, LINE_MM, one_line(value), align=Align.L, new_x="LMARGIN", new_y="NEXT")

    def paragraph(self, text: str, *, faint: bool = False) -> None:
        """A text over the whole width."""
        self.write_in(SMALL_PT + 0.5 if faint else BODY_PT, FAINT if faint else INK)
        self.multi_cell(0, LINE_MM - 0.6 if faint else LINE_MM, one_line(text), align=Align.L, new_x="LMARGIN",
                        new_y="NEXT")  # fmt: skip

    def lines(
        self, heads: Sequence[str], rows: Sequence[Sequence[str]], *, widths: Sequence[int], right: int, sums: int = 0
    ) -> None:
        """A table whose last `right` columns are figures and whose last `sums` rows are bold; its head is repeated."""
        self.write_in(BODY_PT - 0.5)
        self.set_draw_color(200, 208, 214)
        aligns = tuple("LEFT" if place < len(heads) - right else "RIGHT" for place in range(len(heads)))
        with self.table(
            col_widths=tuple(widths),
            text_align=aligns,
            borders_layout=TableBordersLayout.HORIZONTAL_LINES,
            headings_style=FontFace(emphasis="BOLD", color=INK, fill_color=SHADE),
            line_height=LINE_MM - 0.4,
            padding=(1.1, 1.2),
        ) as table:
            table.row([one_line(head) for head in heads])
            for place, row in enumerate(rows):
                style = FontFace(emphasis="BOLD") if place >= len(rows) - sums else None
                table.row([one_line(text) for text in row], style=style)

    def total(self, label: str, amount: str) -> None:
        """What it all comes to."""
        self.ln(1.5)
        self.set_fill_color(*ACCENT)
        self.write_in(12.5, (255, 255, 255), bold=True)
        self.cell(self.epw / 2, 10, f"  {label}", fill=True)
        self.cell(self.epw / 2, 10, f"{amount}  ", fill=True, align=Align.R, new_x="LMARGIN", new_y="NEXT")
        self.set_fill_color(255, 255, 255)
        self.ln(1.5)

    def to_bytes(self) -> bytes:
        """The finished file."""
        return bytes(self.output())


def one_line(text: str) -> str:
    """What people wrote, without line breaks and control characters."""
    return "".join(character if character.isprintable() or character == "\u00a0" else " " for character in text)
