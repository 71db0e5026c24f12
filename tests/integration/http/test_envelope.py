"""What surrounds every request: ids, limits, headers, problems, metrics, readiness."""

import re
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import event
from starlette.types import Message

from api.database import PING_AFTER_S
from standalone.databases import DatabaseUrls
from standalone.servers import free_port
from tests.harness.stack import eventually
from tests.integration.http.site import Person, Site, make_settings, open_site


async def test_the_request_id_is_taken_or_made_and_given_back(site: Site) -> None:
    client = site.client(base="http://voltuj.test")
    for offered, taken in (("my-id.1", True), ("x" * 65, False), ("with space", False), ("", False)):
        answer = await client.get("/api/v1/me", headers={"X-Request-Id": offered})
        given = answer.headers["x-request-id"]
        assert (given == offered) == taken
        assert answer.json()["request_id"] == given
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", given)


async def test_every_answer_has_the_security_headers(site: Site) -> None:
    client = site.client(base="http://voltuj.test")
    for path in ("/healthz", "/api/v1/me", "/nowhere", "/docs", "/docs/static/swagger-ui.css"):
        headers = (await client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        policy = headers["content-security-policy"]
        assert {"base-uri 'none'", "frame-ancestors 'none'"} <= {each.strip() for each in policy.split(";")}
        assert (path == "/docs") != ("default-src 'none'" in policy), "the page of the docs has a policy of its own"
        assert headers["cache-control"]
        assert "strict-transport-security" not in headers


async def test_over_tls_browsers_are_told_to_stay_there(site: Site) -> None:
    for path in ("/healthz", "/nowhere", "/docs"):
        headers = (await site.client(base="https://voltuj.test").get(path)).headers
        assert headers["strict-transport-security"] == "max-age=31536000"


async def test_no_answer_about_people_may_be_kept(owner: Person) -> None:
    created = await owner.charge_point()
    for path in ("/me", "/charge-points", f"/charge-points/{created['id']}", "/id-tags", "/nowhere"):
        assert (await owner.http.get(path)).headers["cache-control"] == "no-store"


async def test_unknown_paths_and_methods_are_problems_too(site: Site) -> None:
    client = site.client(base="http://voltuj.test")
    unknown = await client.get("/api/v1/nowhere")
    assert (unknown.status_code, unknown.json()["type"]) == (404, "/problems/not-found")
    method = await client.delete("/api/v1/me")
    assert (method.status_code, method.json()["type"]) == (405, "/problems/method-not-allowed")
    assert "GET" in method.headers["allow"]


async def test_a_body_that_is_no_json_is_named(owner: Person) -> None:
    for content in (b"{", b"\xff\xfe", b"", b"[" * 100_000, b"null", b'"text"', b"[]"):
        headers = {"content-type": "application/json"}
        answer = await owner.http.post("/charge-points", content=content, headers=headers)
        assert answer.status_code in {400, 422}, content[:10]
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("text", ["nul \\u0000", "half \\ud800", "half \\udfff end"])
async def test_text_that_cannot_be_stored_is_refused(owner: Person, text: str) -> None:
    content = f'{{"name": "{text}"}}'.encode()
    await owner.send("POST", "/charge-points", 422, content=content, headers={"content-type": "application/json"})
    content = f'{{"name": "x", "{text}": 1}}'.encode()
    await owner.send("POST", "/charge-points", 422, content=content, headers={"content-type": "application/json"})


async def test_a_body_above_its_limit_is_refused_announced_or_not(owner: Person) -> None:
    announced = await owner.http.post("/charge-points", content=b"x" * (1024 * 1024 + 1))
    assert (announced.status_code, announced.json()["type"]) == (413, "/problems/too-large")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100_000

    for headers in ({"content-type": "application/json"}, {"content-type": "application/x-www-form-urlencoded"}):
        path = "/charge-points" if "json" in headers["content-type"] else "/auth/token"
        unannounced = await owner.http.post(path, content=pieces(), headers=headers)
        assert (unannounced.status_code, unannounced.json()["type"]) == (413, "/problems/too-large")


def add_broken_route(app: FastAPI) -> None:
    async def broken() -> None:
        raise RuntimeError("the password is hunter2")

    app.add_api_route("/broken", broken, include_in_schema=False)


async def test_our_own_fault_leaks_nothing(site: Site) -> None:
    add_broken_route(site.app)
    answer = await site.client(base="http://voltuj.test").get("/broken")
    assert answer.status_code == 500
    assert answer.json()["type"] == "/problems/internal-error"
    assert "hunter2" not in answer.text
    assert "RuntimeError" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_caller_who_leaves_in_the_middle_of_a_body_is_no_fault_of_ours(site: Site) -> None:
    operator = await site.person("operator", operator=True)
    coming: list[Message] = [
        {"type": "http.request", "body": b"id,date,amo", "more_body": True},
        {"type": "http.disconnect"},
    ]
    statuses = []

    async def receive() -> Message:
        return coming.pop(0) if len(coming) > 1 else coming[0]

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    headers = {"authorization": operator.http.headers["authorization"], "content-length": "1000"}
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": "/api/v1/operator/bank-statements", "query_string": b"", "client": ("127.0.0.1", 1),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    await site.app(scope, receive, send)
    assert statuses == [400]


async def test_a_database_that_is_away_is_a_503_and_comes_back(database: DatabaseUrls, redis_url: str) -> None:
    nowhere = SecretStr(f"postgresql://voltuj_api@127.0.0.1:{free_port()}/voltuj")
    async with open_site(database, make_settings(database, redis_url, "x:", database_url=nowhere)) as site:
        client = site.client(base="http://voltuj.test")
        answer = await client.post("/api/v1/auth/token", data={"username": "a@b.cz", "password": "p"})
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/database-away")
        assert answer.headers["retry-after"] == "5"
        assert str(nowhere.get_secret_value()) not in answer.text
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["failed"]) == (503, ["PostgreSQL does not answer"])
        assert (await client.get("/healthz")).status_code == 200


async def test_connections_that_were_cut_are_replaced(site: Site, owner: Person) -> None:
    await owner.get("/me")
    cut = await site.value(
        "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity "
        "where datname = current_database() and usename = current_user and pid <> pg_backend_pid()"
    )
    assert cut >= 1
    await owner.get("/me")


async def test_a_connection_that_rested_is_tried_before_it_is_used(site: Site, owner: Person) -> None:
    asked: list[str] = []
    rested_s = 0.0

    def rest(connection: Any, record: Any) -> None:
        record.info["rests_since"] -= rested_s
        connection.driver_connection.add_query_logger(note)

    def note(record: Any) -> None:
        asked.append(record.query)

    event.listen(site.app.state.database.engine.sync_engine, "checkin", rest)
    await owner.get("/me")
    await owner.get("/me")
    assert ";" not in asked
    rested_s = PING_AFTER_S + 1
    await owner.get("/me")
    await owner.get("/me")
    assert ";" in asked


async def refuses(site: Site, why: str) -> None:
    """/readyz says so; on a busy machine a server may take too long to be asked, and that is what it says before."""

    async def says_why() -> bool:
        answer = await site.client(base="http://voltuj.test").get("/readyz")
        assert answer.status_code == 503
        return why in answer.json()["detail"]

    await eventually(says_why, f"/readyz to say: {why}")


async def test_ready_says_which_command_is_missing(
    empty_database: DatabaseUrls, database: DatabaseUrls, redis_url: str, redis_prefix: str
) -> None:
    async with open_site(empty_database, make_settings(empty_database, redis_url, redis_prefix)) as site:
        await refuses(site, "alembic upgrade head")
    owner_connection = await asyncpg.connect(database.owner)
    older = "7b1406f4df66"
    await owner_connection.execute("update alembic_version set version_num = $1", older)
    await owner_connection.close()
    async with open_site(database, make_settings(database, redis_url, redis_prefix)) as site:
        await refuses(site, older)
        await refuses(site, "alembic upgrade head")


async def test_ready_names_redis(database: DatabaseUrls, redis_prefix: str) -> None:
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    async with open_site(database, make_settings(database, nowhere, redis_prefix)) as site:
        answer = await site.client(base="http://voltuj.test").get("/readyz")
        assert (answer.status_code, answer.json()["failed"]) == (503, ["Redis does not answer"])


async def test_metrics_count_by_route_template_and_never_by_path(site: Site, owner: Person) -> None:
    created = await owner.charge_point()
    await owner.get(f"/charge-points/{created['id']}")
    client = site.client(base="http://voltuj.test")
    await client.get("/no/such/path")
    assert (await client.get("/readyz")).status_code == 200
    text = (await client.get("/metrics")).text
    assert 'method="GET",route="/api/v1/charge-points/{charge_point_id}",status="200"' in text
    assert 'route="none",status="404"' in text
    assert created["id"] not in text
    assert "/no/such/path" not in text


async def test_no_other_page_may_read_the_answers(site: Site, owner: Person) -> None:
    """CORS is closed: an app is served from the same origin, or by a proxy that says otherwise."""
    for headers in ({"origin": "https://evil.example"}, {"origin": "null"}):
        asked = await owner.http.get("/me", headers=headers)
        preflight = {**headers, "access-control-request-method": "POST"}
        before = await owner.http.request("OPTIONS", "/charge-points", headers=preflight)
        assert before.status_code == 405
        for answer in (asked, before):
            assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_allow_lists_every_method_of_the_resource(owner: Person) -> None:
    created = await owner.charge_point()
    for path, allowed in {
        f"/charge-points/{created['id']}": "GET, PATCH, DELETE",
        "/charge-points": "POST, GET",
        "/grants/received": "GET",
        "/commands/batch": "POST",
    }.items():
        answer = await owner.http.request("OPTIONS", path)
        assert (answer.status_code, answer.json()["type"]) == (405, "/problems/method-not-allowed")
        assert set(answer.headers["allow"].split(", ")) == set(allowed.split(", ")), path
    for method, path in (("PATCH", "/grants/received"), ("GET", "/commands/batch")):
        assert (await owner.http.request(method, path, json={})).status_code == 405


@pytest.mark.parametrize("at", [0, 1_800_000_000, 0.5, "1800000000", True])
async def test_a_time_is_written_out(owner: Person, at: object) -> None:
    await owner.post("/id-tags", {"tag": "CARD1", "expires_at": at}, 422)
    await owner.get("/transactions", 422, to=at)


@pytest.mark.parametrize("number", [False, True])
async def test_a_number_is_no_flag(owner: Person, number: bool) -> None:
    await owner.post("/charge-points", {"name": "Garage", "rated_power_w": number}, 422)
    await owner.post("/id-tags", {"tag": "CARD1", "concurrency_limit": number}, 422)


@pytest.mark.parametrize("flag", [0, 1, "yes", "true", None])
async def test_a_flag_is_true_or_false(owner: Person, flag: object) -> None:
    tag = await owner.post("/id-tags", {"tag": "CARD1"})
    await owner.send("PATCH", f"/id-tags/{tag['id']}", 422, json={"blocked": flag})
