"""Who reaches which route: docs/access.md is the table, and every route of the service stands in it.

`ok` is an answer of the operation itself, also a refusal for another reason than who asks (402, 409, 410).
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI

from api.app import ROUTERS
from api.identity import operations
from standalone.databases import REPOSITORY
from tests.integration.http.site import Person, Site
from tests.integration.http.test_visibility import BODIES, KNOCK, QUERIES, everything_of

TABLE: Final = (REPOSITORY / "docs" / "access.md").read_text()
CALLERS: Final = ("anonymous", "other owner", "guest", "owner", "operator")
ROW: Final = re.compile(r"^\| `([A-Z]+ /\S*)` \| (.+) \|$", re.MULTILINE)
EXPECTED: Final = {
    route: dict(zip(CALLERS, cells.split(" | "), strict=True)) for route, cells in ROW.findall(TABLE)
}  # fmt: skip
BEGINS: Final = "PUT /api/v1/payout-account"
ORDER: Final = ("GET", "HEAD", "PUT", "PATCH", "POST", "DELETE")
ENDS: Final = (
    "POST /api/v1/handovers/{handover_id}/accept",
    "DELETE /api/v1/charge-points/{charge_point_id}",
    "DELETE /api/v1/operator/users/{user_id}/sessions",
    "DELETE /api/v1/me/sessions/{session_id}",
    "DELETE /api/v1/me/sessions",
    "POST /api/v1/me/erasure",
    "POST /api/v1/auth/logout",
)
"""Asked last: after them there is less to ask for, or nobody who asks."""
DAYS: Final = {"from": "2026-05-01", "until": "2026-06-01"}
ALSO_ASKED: Final[dict[str, dict[str, str]]] = {
    "GET /api/v1/events": {"types": "no-such-event"},
    "GET /api/v1/exports/transfers": DAYS,
    "GET /api/v1/exports/transactions": DAYS,
    "GET /api/v1/exports/settlements": DAYS,
    "GET /api/v1/search/connectors": {"latitude": "50.0884", "longitude": "14.4036", "radius_km": "5"},
    "POST /api/v1/firmware": {"name": "image"},
}
REFUSED_AFTERWARDS: Final = {
    "GET /api/v1/events",
    "POST /api/v1/operator/bank-statements",
    "POST /api/v1/charge-points/{charge_point_id}/bookings",
}
"""Their 422 comes after it was seen who asks: a stream has no end, a bank's file is no part of this test, and the guest
has no id tag."""
FRIEND: Final = "friend@example.org"
PASSWORDS: Final = {"POST /api/v1/me/password", "POST /api/v1/me/email", "POST /api/v1/me/erasure"}
"""403 is their answer to a wrong password, whoever asks."""
ANSWERED: Final = {402, 409, 410}


def routes(app: FastAPI) -> list[str]:
    """Every route: reading before writing before deleting."""
    found = {
        f"{method} {path}"
        for route in [*app.routes, *(route for router in ROUTERS for route in router.routes)]
        if (path := getattr(route, "path", ""))
        for method in getattr(route, "methods", None) or ()
        if method != "HEAD" or path.startswith("/files")
    }
    return sorted(found, key=_place)


def _place(route: str) -> tuple[int, int, int, str]:
    method, parts = route.partition(" ")[0], route.count("/")
    last = ENDS.index(route) + 1 if route in ENDS else -(route == BEGINS)
    return (last, ORDER.index(method), -parts if method == "DELETE" else 0, route)


def in_days(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


def body_of(app: FastAPI, route: str, ids: dict[str, str]) -> dict[str, Any]:
    """The body of a request that is right: ours, or the example of the OpenAPI document."""
    method, path = route.split()
    name, document = f"{method.lower()} {path}", app.openapi()
    body = document["paths"].get(path, {}).get(method.lower(), {}).get("requestBody")
    ours = BODIES | {
        "post /api/v1/charge-points/{charge_point_id}/bookings": {
            "connector_id": 1,
            "starts_at": in_days(2),
            "ends_at": in_days(2.1),
            "id_tag": None,
        },
        "post /api/v1/grants": {"email": FRIEND, "charge_point_id": ids["charge_point_id"]},
        "post /api/v1/charge-points/{charge_point_id}/grants": {"email": FRIEND},
        "post /api/v1/charge-points/{charge_point_id}/firmware-updates": {"firmware_id": ids["firmware_id"]},
    }
    if name in ours or body is None:
        return {"json": ours.get(name)}
    media_type, content = next(iter(body["content"].items()))
    if media_type == "application/x-www-form-urlencoded":
        return {"data": {"username": "nobody@example.org", "password": "wrong"}}
    if media_type != "application/json":
        return {"content": b"content", "headers": {"content-type": media_type}}
    named = content["schema"].get("$ref", "/").rsplit("/", 1)[1]
    return {"json": content.get("example") or document["components"]["schemas"].get(named, {}).get("example")}


def classify(route: str, answer: httpx.Response) -> str:
    """As the table says it."""
    status = answer.status_code
    is_late = (status == 422 and route in REFUSED_AFTERWARDS) or (status == 403 and route in PASSWORDS)
    return "ok" if status < 400 or status in ANSWERED or is_late else str(status)


async def furnish(site: Site, owner: Person, guest: Person) -> dict[str, str]:
    """Ids of things of the owner's, of which the guest may use the charge point."""
    ids = await everything_of(site, owner, guest)
    (site.settings.files_dir / ids["file_id"]).write_bytes(b"a log")
    await site.execute("update users set email = $1 where id = $2", FRIEND, (await site.person("friend")).user_id)
    await site.execute("update users set password_hash = $1", await site.app.state.passwords.hash("another password"))
    async with site.app.state.database.transaction() as connection:
        now = datetime.now(UTC)
        session = await operations.open_session(connection, owner.user_id, "phone", now, timedelta(days=1))
    [code] = [each["code"] for each in await codes(owner, ids["charge_point_id"]) if each["connector_id"] == 1]
    others = {"code": code, "session_id": str(session.session_id), "user_id": str(guest.user_id)}
    return ids | others | {"token": "not-a-link", "name": "image"}


async def codes(owner: Person, charge_point_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await owner.get(f"/charge-points/{charge_point_id}/connector-codes"))["items"]
    return found


async def ask_all(site: Site, caller: str) -> dict[str, str]:
    """What each route says to this caller, each asked once."""
    owner, guest, other = await site.person("owner"), await site.person("guest"), await site.person("other")
    operator = await site.person("operator", operator=True)
    people: dict[str, Person] = {"other owner": other, "guest": guest, "owner": owner, "operator": operator}
    ids = await furnish(site, owner, guest)
    await other.charge_point()
    client = site.client(base="http://voltuj.test")
    if caller in people:
        client.headers["Authorization"] = people[caller].http.headers["Authorization"]
    said = {}
    for route in routes(site.app):
        method, path = route.split()
        query = QUERIES.get(f"{method.lower()} {path}") or ALSO_ASKED.get(route) or {}
        if route == "GET /api/v1/stickers.pdf":
            query = {"charge_point_id": ids["charge_point_id"]}
        if route == "DELETE /api/v1/operator/knocks/{knock_id}":
            ids["knock_id"] = str(await site.value(KNOCK.replace("NOBODY", "ANOTHER")))  # the first was adopted
        address = path.replace(":path}", "}").format(**ids)
        answer = await client.request(method, address, params=query, **body_of(site.app, route, ids))
        said[route] = classify(route, answer)
    return said


def test_every_route_stands_in_the_table_and_nothing_else(site: Site) -> None:
    assert set(routes(site.app)) == set(EXPECTED)


@pytest.mark.parametrize("caller", CALLERS)
async def test_each_caller_reaches_what_the_table_says(site: Site, caller: str) -> None:
    said = await ask_all(site, caller)
    wrong = {route: (said[route], EXPECTED[route][caller]) for route in said if said[route] != EXPECTED[route][caller]}
    assert wrong == {}, "(is, should be)"
