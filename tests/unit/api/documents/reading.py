"""What a person reads on a PDF."""

import io
import re
from collections import Counter

from pypdf import PdfReader


def text_of(pdf: bytes) -> str:
    """The text of all pages, its white space made single spaces."""
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages]
    return re.sub(r"\s+", " ", " ".join(pages))


def page_count(pdf: bytes) -> int:
    return len(PdfReader(io.BytesIO(pdf)).pages)


def fills(pdf: bytes) -> Counter[tuple[float, ...]]:
    """How many areas are filled with each colour."""
    counted: Counter[tuple[float, ...]] = Counter()
    for page in PdfReader(io.BytesIO(pdf)).pages:
        contents = page.get_contents()
        color: tuple[float, ...] = ()
        saved: list[tuple[float, ...]] = []
        for operands, operator in contents.operations if contents is not None else []:
            if operator == b"q":
                saved.append(color)
            elif operator == b"Q":
                color = saved.pop()
            elif operator in {b"rg", b"g"}:
                color = tuple(round(float(operand), 2) for operand in operands)
            elif operator == b"f":
                counted[color] += 1
    return counted
