"""The interactive documentation at /docs, from files of our own: the page loads nothing from another host."""

import base64
import hashlib
import re
from importlib import resources
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from api.problems import problem_schemas

STATIC = "/docs/static"
DESCRIPTION = """
Voltuj lets owners of private EV wallboxes manage them and share them.

**To try it here:** make an account (`POST /api/v1/auth/register`), press *Authorize*, log in with the e-mail as user
name, and bring in a charge point.

- Times are ISO 8601 with a zone, energy is in Wh, power in W, prices are decimal text, amounts integers of minor units.
- Lists are read page by page: give `next_cursor` as `cursor` until it is null.
- A creating POST may carry `Idempotency-Key`: sent again with the same key it has its effect once.
- Every error is a problem document (RFC 9457) with a stable `type`. What you may not see is 404.
- Every answer has an `X-Request-Id`; give it when you ask for help.
"""
TAGS = [
    {"name": "accounts", "description": "Register, log in, and the own account."},
    {"name": "charge points", "description": "Wallboxes: bring in, edit, keys, connectors."},
    {"name": "message log", "description": "What was said on the wire."},
    {"name": "quirks", "description": "What a charge point may depart from in OCPP 1.6; strict is the default."},
    {"name": "commands", "description": "CALLs to a charge point, and what became of them."},
    {"name": "firmware and diagnostics", "description": "Images, updates, and what charge points upload."},
    {"name": "local list", "description": "Who may charge while the charge point is offline."},
    {"name": "reservations", "description": "Connectors kept for somebody."},
    {"name": "smart charging", "description": "Charging profiles, and what the charge point makes of them."},
    {"name": "security", "description": "Keys, security profiles, certificates and security events."},
    {"name": "tariffs", "description": "What charging costs: tariffs in OCPI terms, previews, VAT of owners."},
    {"name": "transactions", "description": "Charging sessions, their meter values and prices."},
    {"name": "books", "description": "Who owes whom: accounts, transfers, statements, decisions about held sessions."},
    {"name": "locations", "description": "Where charge points stand."},
    {"name": "sharing", "description": "With whom a charge point is shared: grants, groups, hand-over to a new owner."},
    {"name": "payments", "description": "Money from and to the bank: top-ups, payouts, statements of the bank."},
    {"name": "events", "description": "What happens, as it happens: a stream, and webhooks."},
    {"name": "id tags", "description": "Cards and apps by which charge points know a person."},
    {"name": "system", "description": "For whoever runs this installation."},
]


def install_docs(app: FastAPI) -> None:
    """Serves the page and its files, leads `/` to it, and completes the OpenAPI document."""
    page = bytes(get_swagger_ui_html(
        openapi_url=str(app.openapi_url),
        title=f"{app.title} API",
        swagger_js_url=f"{STATIC}/swagger-ui-bundle.js",
        swagger_css_url=f"{STATIC}/swagger-ui.css",
        swagger_favicon_url=f"{STATIC}/favicon.png",
        swagger_ui_parameters={"persistAuthorization": False, "docExpansion": "none"},
    ).body).decode()  # fmt: skip
    headers = {"Content-Security-Policy": _policy(page), "Cache-Control": "no-cache"}

    async def docs() -> Response:
        return HTMLResponse(page, headers=headers)

    async def root() -> Response:
        return RedirectResponse("/docs")

    app.add_api_route("/docs", docs, include_in_schema=False)
    app.add_api_route("/", root, include_in_schema=False)
    files = Path(str(resources.files("fastapi_offline"))) / "static"
    app.mount(STATIC, StaticFiles(directory=files), name="docs")
    _complete_openapi(app)


def _policy(page: str) -> str:
    """Scripts from here only; the one inside the page is allowed by its digest. Swagger UI sets styles by script."""
    digests = [
        hashlib.sha256(script.encode()).digest() for script in re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    ]
    inline = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'self'; script-src 'self' {inline}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


def _complete_openapi(app: FastAPI) -> None:
    make = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = make()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(problem_schemas())
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
        return app.openapi_schema or make()

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's documented way to extend the document
