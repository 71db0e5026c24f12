"""Errors on the wire: RFC 9457 problem documents, the handlers that write them, and their part of the OpenAPI page.

Nothing about our insides leaves by here: a 500 carries the request id and no more.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from api.errors import (
    ApiError,
    BadRequest,
    InternalError,
    Invalid,
    MethodNotAllowed,
    NotFound,
    RedisAway,
    TooLarge,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
_BY_STATUS: dict[int, type[ApiError]] = {
    kind.status: kind for kind in (BadRequest, NotFound, MethodNotAllowed, TooLarge, Invalid, Unavailable)
}
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_EXAMPLE_ERRORS = [{"field": "body.name", "message": "Field required", "code": "missing"}]


class FieldError(BaseModel):
    """One field of a request that is wrong."""

    field: str = Field(description="where it stands: body, query, path or header, then its path")
    message: str
    code: str = Field(description="stable name of the rule")


class Problem(BaseModel):
    """An RFC 9457 problem document."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="stable name of the kind of problem")
    title: str
    status: int
    detail: str
    instance: str = Field(description="the path that was asked for")
    request_id: str = Field(description="the X-Request-Id of the answer; the log has it")
    errors: list[FieldError] | None = Field(default=None, description="the fields that are wrong (422)")


def problem_response(error: ApiError, path: str, request_id: str) -> Response:
    """The answer that says what went wrong."""
    headers = {**error.headers, **error.more_headers, "X-Request-Id": request_id, "Cache-Control": "no-store"}
    body = orjson.dumps(_document(type(error), error.detail, path, request_id) | error.members, default=str)
    return Response(body, error.status, headers, MEDIA_TYPE)


def _document(kind: type[ApiError], detail: str, path: str, request_id: str) -> dict[str, Any]:
    return {
        "type": f"/problems/{kind.slug}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "instance": path,
        "request_id": request_id,
    }


def install_handlers(app: FastAPI) -> None:
    """Makes every error of `app` a problem document. Handlers are coroutines: for others Starlette takes a thread."""
    app.add_exception_handler(ApiError, _on_api_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RedisError, _on_redis_error)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)


def _respond(request: Request, error: ApiError) -> Response:
    return problem_response(error, request.url.path, request.state.request_id)


async def _on_api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 - the handler is registered for this class
    return _respond(request, error)


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - the handler is registered for this class
    if any(each["loc"][0] == "path" for each in error.errors()) and _documented_methods(request):
        return _method_not_allowed(request)  # such as PATCH /grants/received, which names no grant
    return _respond(request, invalid_fields(error.errors()))


def invalid_fields(errors: Sequence[Mapping[str, Any]]) -> Invalid:
    """Pydantic's errors as a problem, without the values that were sent: they may be secrets."""
    fields = [
        {"field": ".".join(map(str, each["loc"])), "message": _printable(each["msg"]), "code": each["type"]}
        for each in errors
    ]
    names = ", ".join(dict.fromkeys(each["field"] for each in fields))
    return Invalid(_printable(f"{'These fields are' if len(fields) > 1 else 'One field is'} wrong: {names}."),
                   errors=[{**each, "field": _printable(each["field"])} for each in fields])  # fmt: skip


def _printable(value: str) -> str:
    """Names of fields come from the caller: a lone surrogate in one must not break the answer."""
    return value.encode("utf-8", "backslashreplace").decode()


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - the handler is registered for this class
    if error.status_code == MethodNotAllowed.status:
        return _method_not_allowed(request)
    return _respond(
        request, _BY_STATUS.get(error.status_code, BadRequest if error.status_code < 500 else InternalError)()
    )


def _method_not_allowed(request: Request) -> Response:
    """RFC 9110 15.5.6: Allow lists all methods of the resource, whichever routes they are on."""
    response = _respond(request, MethodNotAllowed())
    allowed = _documented_methods(request) or [
        method
        for method in METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]
    response.headers["Allow"] = ", ".join(allowed)
    return response


def _documented_methods(request: Request) -> list[str]:
    """Of a path that stands in the OpenAPI document as it is, without parameters."""
    return [method.upper() for method in request.app.openapi()["paths"].get(request.url.path, {})]


async def _on_redis_error(request: Request, error: Exception) -> Response:
    log.warning("redis is away", error=type(error).__name__)
    return _respond(request, RedisAway())


async def _on_disconnect(request: Request, _error: Exception) -> Response:
    """Nobody reads this any more; it keeps our log and our metrics free of an error that is not ours."""
    return _respond(request, BadRequest("The caller left before the body was whole."))


# --- OpenAPI --------------------------------------------------------------------------------------------------------


def problem_docs(*kinds: type[ApiError], public: bool = False) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route: `kinds`, and those that every route has (401 unless `public`, 422, 429, 500, 503)."""
    always: list[type[ApiError]] = [Invalid, TooManyRequests, InternalError, Unavailable]
    if not public:
        always.append(Unauthenticated)
    by_status: dict[int, list[type[ApiError]]] = {}
    for kind in (*kinds, *always):
        if kind not in by_status.setdefault(kind.status, []):
            by_status[kind.status].append(kind)
    return {status: _response_docs(by_status[status]) for status in sorted(by_status)}


def _response_docs(kinds: list[type[ApiError]]) -> dict[str, Any]:
    examples = {kind.slug: {"summary": kind.title, "value": _example(kind)} for kind in kinds}
    return {
        "description": ", or ".join(kind.title for kind in kinds),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}},
    }


def _example(kind: type[ApiError]) -> dict[str, Any]:
    document = _document(kind, kind.example, "/api/v1/charge-points", "5f0c3b6e2f5d4a71")
    return document | ({"errors": _EXAMPLE_ERRORS} if kind is Invalid else {})


def problem_schemas() -> dict[str, Any]:
    """The component schemas that `problem_docs` points to."""
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs"), "Problem": schema}
