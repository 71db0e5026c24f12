"""The OpenAPI document is complete, and the interactive page loads nothing from another host."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import SecretStr

from api.app import ROUTERS, create_app
from api.settings import Settings


@pytest.fixture(scope="module")
def app() -> FastAPI:
    """The application; nothing is connected before the first request that needs it."""
    settings = Settings(
        database_url=SecretStr("postgresql://nobody@127.0.0.1:1/none"),
        jwt_secret=SecretStr("for-these-tests-only-7Jq2vX9pLm4Rz8Wb"),
    )
    return create_app(settings)


@pytest.fixture(scope="module")
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


LOG_INS = {"POST /api/v1/auth/token", "POST /api/v1/auth/refresh"}


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return found


def has_example(document: dict[str, Any], content: dict[str, Any]) -> bool:
    schema = content.get("schema", {})
    parts = [schema, *schema.get("anyOf", [])]
    return "example" in content or "examples" in content or any("example" in resolve(document, p) for p in parts)


def test_every_operation_explains_itself(document: dict[str, Any]) -> None:
    assert len(list(operations(document))) >= 30
    for name, operation in operations(document):
        assert operation["summary"], name
        assert len(operation["description"]) > 20, name
        assert len(operation["tags"]) == 1, name
        for parameter in operation.get("parameters", []):
            described = parameter.get("description") or parameter["in"] == "path"
            assert described, f"{name}: {parameter['name']}"


def test_every_answer_and_body_has_an_example(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for content in operation.get("requestBody", {}).get("content", {}).items():
            assert content[0] == "application/x-www-form-urlencoded" or has_example(document, content[1]), name
        good = {status: answer for status, answer in operation["responses"].items() if status.startswith("2")}
        assert good, name
        for status, answer in good.items():
            assert status == "204" or all(has_example(document, each) for each in answer["content"].values()), name


def test_every_error_is_a_problem_document_with_an_example(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        errors = {status: answer for status, answer in operation["responses"].items() if not status.startswith("2")}
        assert {"422", "429", "500", "503"} <= set(errors), name
        assert ("401" in errors) == ("security" in operation or name in LOG_INS), name
        for status, answer in errors.items():
            [(media_type, content)] = answer["content"].items()
            assert media_type == "application/problem+json", name
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
            for example in content["examples"].values():
                assert str(example["value"]["status"]) == status, name


def test_operation_ids_are_unique_and_readable(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", each) for each in ids)
    assert {"create_charge_point", "log_in", "list_transactions", "start_session"} <= set(ids)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    names = re.findall(r"#/components/schemas/([^'\"]+)", str(document))
    assert names
    assert set(names) <= set(schemas)
    assert "HTTPValidationError" not in schemas


def texts(schema: object) -> Iterator[dict[str, Any]]:
    """Every schema of a text in it."""
    if isinstance(schema, dict):
        if schema.get("type") == "string":
            yield schema
        for part in schema.values():
            yield from texts(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from texts(part)


def test_a_text_that_must_not_be_empty_must_not_be_spaces_alone_either(document: dict[str, Any]) -> None:
    """A body strips its texts before it measures them; the document measures what is sent."""
    filled = [text for text in texts(document["components"]["schemas"]) if text.get("minLength") == 1]
    assert len(filled) >= 10
    for text in filled:
        assert text.get("pattern") == r"[^\s\x85]", text


def test_the_authorize_button_knows_where_to_log_in(document: dict[str, Any]) -> None:
    [scheme] = document["components"]["securitySchemes"].values()
    assert scheme["flows"]["password"]["tokenUrl"] in document["paths"]


class Links(HTMLParser):
    """Collects every address that a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in {"src", "href"} and value]


async def test_the_docs_load_nothing_from_another_host(app: FastAPI) -> None:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://voltuj.test") as client:
        root = await client.get("/")
        assert (root.status_code, root.headers["location"]) == (307, "/docs")
        page = await client.get("/docs")
        assert page.status_code == 200
        assert "//" not in re.sub(r"//\s|<!--.*?-->", "", page.text.replace("http://voltuj.test", ""))
        links = Links()
        links.feed(page.text)
        assert len(links.found) == 3
        for address in [*links.found, "/api/v1/openapi.json"]:
            assert address.startswith("/")
            assert (await client.get(address)).status_code == 200, address


async def test_the_policy_of_the_docs_allows_its_own_script_and_no_other(app: FastAPI) -> None:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://voltuj.test") as client:
        policy = (await client.get("/docs")).headers["content-security-policy"]
        script = next(part for part in policy.split(";") if "script-src" in part)
        assert re.fullmatch(r" script-src 'self' 'sha256-[A-Za-z0-9+/=]{44}'", script)
        assert "frame-ancestors 'none'" in policy
        assert "http" not in policy


def test_no_route_holds_a_connection_while_it_asks_who_calls(app: FastAPI) -> None:
    """Who calls, and in which language, is asked on connections of its own: first, or requests that hold one each wait
    for each other.
    """
    checked = 0
    for router in ROUTERS:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            names = [str(dependency.name) for dependency in route.dependant.dependencies]
            for own in {"caller", "language"} & set(names):
                if "transaction" in names:
                    assert names.index(own) < names.index("transaction"), route.name
                    checked += 1
    assert checked >= 15
