"""What a person reads on a PDF."""

import io
import re

from pypdf import PdfReader


def text_of(pdf: bytes) -> str:
    """The text of all pages, its white space made single spaces."""
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages]
    return re.sub(r"\s+", " ", " ".join(pages))


def page_count(pdf: bytes) -> int:
    return len(PdfReader(io.BytesIO(pdf)).pages)
