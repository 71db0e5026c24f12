"""PDFs as HTTP answers, and their part of the OpenAPI page."""

from typing import Any

from fastapi import Response


class PdfResponse(Response):
    """A PDF."""

    media_type = "application/pdf"


PDF_DOCS: dict[int | str, dict[str, Any]] = {200: {"content": {"application/pdf": {"example": "%PDF-1.7 ..."}}}}


def pdf_response(content: bytes, name: str) -> Response:
    """The PDF under a name, to be shown by the browser."""
    return PdfResponse(content, headers={"Content-Disposition": f'inline; filename="{name}"'})
