"""What is answered directly is what FastAPI would have answered: the same requests, with and without `api.direct`."""

import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import httpx
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.middleware import Middleware

from api.app import ROUTERS, create_app
from api.direct import Direct, _plan
from standalone.databases import DatabaseUrls
from tests.integration.http.site import Person, Site, make_settings, open_site

DIRECT: Final = [
    route
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, APIRoute) and "GET" in (route.methods or ()) and _plan(route) is not None
]
QUERIES: Final = (
    *("", "limit=2", "limit=0", "limit=x", "limit=", "limit=1&limit=2", "cursor=", "cursor=zzz", "unknown=1"),
    *("held=true&status=active", "status=nonsense", "from=2026", "from=2026-05-04T00:00:00Z", "on=2026-05-04"),
    *("month=2026-05", "month=x", "latitude=50&longitude=14", "charge_point_id=x", "lang=cs", "lang=xx"),
)
PASSING: Final = frozenset({"date", "content-length"})


@pytest.fixture
async def site(database: DatabaseUrls, redis_url: str, redis_prefix: str) -> AsyncIterator[Site]:
    """One that counts nothing: each request is sent twice."""
    settings = make_settings(database, redis_url, redis_prefix, rate_limit_address="off", rate_limit_account="off")
    async with open_site(database, settings) as opened:
        yield opened


@pytest.fixture
async def fastapis_own(site: Site) -> AsyncIterator[Site]:
    """The same service where FastAPI answers everything itself."""
    app = create_app(site.settings)
    app.user_middleware[:] = [each for each in app.user_middleware if not _is_direct(each)]
    async with app.router.lifespan_context(app):
        other = Site(app, site.database, site.settings)
        yield other
        for client in other.clients:
            await client.aclose()


def _is_direct(middleware: Middleware) -> bool:
    kind: object = middleware.cls
    return kind is Direct


async def known_ids(site: Site, owner: Person) -> dict[str, str]:
    """Of what is the owner's; of other kinds there is nothing."""
    charge_point = (await owner.charge_point())["id"]
    await site.accept(charge_point)
    accounts = (await owner.get("/accounts"))["items"]
    session = await site.transaction(charge_point, driver_id=owner.user_id)
    known = {"charge_point_id": charge_point, "transaction_id": session, "connector_id": "1"}
    return known | ({"account_id": accounts[0]["id"]} if accounts else {})


def paths(route: APIRoute, known: dict[str, str]) -> Iterator[str]:
    """With ids that are known, that nobody has, and that are none."""
    names = route.param_convertors
    yield route.path_format.format(**{name: known.get(name, str(uuid.UUID(int=1))) for name in names})
    if names:
        yield route.path_format.format(**{name: str(uuid.UUID(int=2)) for name in names})
        yield route.path_format.format(**dict.fromkeys(names, "no%20id"))
        yield route.path_format.format(**dict.fromkeys(names, "%00%22"))


def parameters(dependant: Dependant) -> list[Any]:
    """Of the query, those of the dependencies among them."""
    return [*dependant.query_params, *(each for part in dependant.dependencies for each in parameters(part))]


async def answer(client: httpx.AsyncClient, url: str, headers: dict[str, str]) -> tuple[int, dict[str, str], Any]:
    """What of an answer must be the same."""
    got = await client.get(url, headers={"X-Request-Id": "the-same", **headers})
    kept = {name: value for name, value in got.headers.items() if name not in PASSING}
    return got.status_code, kept, got.content if got.headers.get("content-type") != "text/plain" else None


async def test_every_route_answers_as_fastapi_would(site: Site, fastapis_own: Site, owner: Person) -> None:
    token = owner.http.headers["authorization"]
    known = await known_ids(site, owner)
    ours, theirs = (each.client(base="http://voltuj.test") for each in (site, fastapis_own))
    statuses: dict[int, int] = {}
    for number, route in enumerate(DIRECT):
        strangers: dict[str, str] = ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic x"})[number % 3]
        for path in paths(route, known):
            for headers in ({"Authorization": token}, strangers):
                found = await answer(ours, path, headers)
                assert found == await answer(theirs, path, headers), (path, headers)
                statuses[found[0]] = statuses.get(found[0], 0) + 1
    assert len(DIRECT) > 70
    assert statuses[200] > 30
    assert {200, 401, 404, 409, 422} <= set(statuses)


async def test_queries_are_read_as_fastapi_reads_them(site: Site, fastapis_own: Site, owner: Person) -> None:
    token = owner.http.headers["authorization"]
    known = await known_ids(site, owner)
    for number in range(3):
        await site.transaction(known["charge_point_id"], number=5 + number, driver_id=owner.user_id)
    ours, theirs = (each.client(base="http://voltuj.test") for each in (site, fastapis_own))
    routes = {tuple(each.name for each in parameters(route.dependant)): route for route in reversed(DIRECT)}
    refused = 0
    for path in {next(paths(route, known)) for names, route in routes.items() if names}:
        for query in QUERIES:
            found = await answer(ours, f"{path}?{query}", {"Authorization": token})
            assert found == await answer(theirs, f"{path}?{query}", {"Authorization": token}), (path, query)
            refused += found[0] == 422
    assert refused > 20


async def test_headers_are_read_as_fastapi_reads_them(site: Site, fastapis_own: Site, owner: Person) -> None:
    known = await known_ids(site, owner)
    reason = ["register_backwards"]
    held: dict[str, Any] = {"number": 9, "driver_id": owner.user_id, "owner_id": owner.user_id, "held_reasons": reason}
    await site.transaction(known["charge_point_id"], **held)
    ours, theirs = (each.client(base="http://voltuj.test/api/v1") for each in (site, fastapis_own))
    texts = set()
    for language in ("cs", "en", "de, cs;q=0.5", ""):
        headers = {"Authorization": owner.http.headers["authorization"], "Accept-Language": language}
        found = await answer(ours, "/held-sessions", headers)
        assert found == await answer(theirs, "/held-sessions", headers)
        texts.add(found[2])
    assert len(texts) == 2, "Czech and English"
