"""HTTP answers that no model makes: PDFs with their part of the OpenAPI page, and JSON."""

from typing import Any

import orjson
from fastapi import Response


class PdfResponse(Response):
    """A PDF."""

    media_type = "application/pdf"


PDF_DOCS: dict[int | str, dict[str, Any]] = {200: {"content": {"application/pdf": {"example": "%PDF-1.7 ..."}}}}


def pdf_response(content: bytes, name: str) -> Response:
    """The PDF under a name, to be shown by the browser."""
    return PdfResponse(content, headers={"Content-Disposition": f'inline; filename="{name}"'})


def json_response(body: dict[str, Any]) -> Response:
    """What the route's `response_model` would say, without making it: of hundreds of rows models take most of the time.

    Times are in UTC and end in Z, as those of models do.
    """
    return Response(orjson.dumps(body, default=str, option=orjson.OPT_UTC_Z), media_type="application/json")
