"""Accounts: who gets in, who does not, and that the answers give nothing away."""

import asyncio
import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
from passlib.hash import argon2

from api.identity.tokens import AccessClaims
from tests.integration.http.site import Person, Site

PROVEN_BY_MAIL = {
    "/api/v1/auth/register/verify",
    "/api/v1/auth/register/resend",
    "/api/v1/auth/reset-request",
    "/api/v1/auth/reset",
    "/api/v1/auth/change-email",
}
PASSWORD = "correct horse battery"


def registration(**changes: Any) -> dict[str, Any]:
    return {"email": "Jana@Example.org", "password": PASSWORD, "display_name": "Jana", "language": "cs", **changes}


async def log_in(client: httpx.AsyncClient, email: str, password: str = PASSWORD) -> httpx.Response:
    return await client.post("/auth/token", data={"username": email, "password": password})


async def test_register_log_in_and_read_the_own_account(site: Site) -> None:
    client = site.client()
    created = await client.post("/auth/register", json=registration())
    assert created.status_code == 201
    assert created.json()["email"] == "jana@example.org"
    assert "password" not in created.text

    answer = await log_in(client, "JANA@example.org")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    tokens = answer.json()
    assert (tokens["token_type"], tokens["expires_in"]) == ("bearer", 15 * 60)

    client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
    me = (await client.get("/me")).json()
    assert (me["display_name"], me["role"], me["language"]) == ("Jana", "user", "cs")
    changed = await client.patch("/me", json={"language": "en"})
    assert (changed.json()["language"], changed.json()["display_name"]) == ("en", "Jana")
    [tag] = (await client.get("/id-tags")).json()["items"]
    assert tag["kind"] == "app"


async def test_a_password_is_stored_as_argon2id_and_kept_as_typed(site: Site) -> None:
    client = site.client()
    await client.post("/auth/register", json=registration(password="  spaces belong to it "))
    stored = await site.value("select password_hash from users")
    assert stored.startswith("$argon2id$")
    assert (await log_in(client, "jana@example.org", "spaces belong to it")).status_code == 401
    assert (await log_in(client, "jana@example.org", "  spaces belong to it ")).status_code == 200


async def test_an_old_hash_is_made_anew_at_log_in(site: Site) -> None:
    client = site.client()
    await client.post("/auth/register", json=registration())
    old = argon2.using(type="ID", memory_cost=8192, time_cost=1, parallelism=1).hash(PASSWORD)  # type: ignore[no-untyped-call]
    await site.execute("update users set password_hash = $1", old)
    assert (await log_in(client, "jana@example.org")).status_code == 200
    assert "m=19456,t=2,p=1" in await site.value("select password_hash from users")
    assert (await log_in(client, "jana@example.org")).status_code == 200


WRONG_REGISTRATIONS: list[dict[str, str]] = [
    {"password": "too short"},
    {"password": "x" * 257},
    {"password": "with a \x00 inside it"},
    {"email": "not an address"},
    {"email": "a@b@c"},
    {"display_name": ""},
    {"language": "czech"},
    {"role": "operator"},
]


async def test_a_registration_that_is_wrong_names_the_field_and_keeps_the_value_to_itself(site: Site) -> None:
    client = site.client()
    for changes in WRONG_REGISTRATIONS:
        answer = await client.post("/auth/register", json=registration(**changes))
        assert answer.status_code == 422, changes
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["errors"], changes
        assert all(value not in answer.text for value in changes.values() if len(value) > 8)
    assert await site.value("select count(*) from users") == 0


async def test_the_same_address_in_another_case_is_a_conflict(site: Site) -> None:
    client = site.client()
    answers = [await client.post("/auth/register", json=registration(email=e)) for e in ("a@b.cz", "A@B.cz")]
    assert [answer.status_code for answer in answers] == [201, 409]


async def test_unknown_user_and_wrong_password_look_alike(site: Site) -> None:
    client = site.client()
    await client.post("/auth/register", json=registration())
    attempts = [
        ("jana@example.org", "wrong password"),
        ("nobody@example.org", PASSWORD),
        ("not an address", PASSWORD),
        ("jana\x00@example.org", PASSWORD),
        ("jana@example.org", PASSWORD + "\x00"),
        ("jana@example.org", "x" * 5000),
    ]
    answers = [await log_in(client, *attempt) for attempt in attempts]
    assert {answer.status_code for answer in answers} == {401}
    bodies = [{**answer.json(), "request_id": ""} for answer in answers]
    assert all(body == bodies[0] for body in bodies)


async def test_a_disabled_user_neither_logs_in_nor_goes_on(site: Site, owner: Person) -> None:
    await owner.get("/me")
    await site.execute("update users set disabled_at = now()")
    await owner.get("/me", 401)
    refused = await site.client().post("/auth/refresh", json={"refresh_token": owner.session.refresh_token})
    assert refused.status_code == 401


# --- refresh tokens -------------------------------------------------------------------------------------------------


async def refresh(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post("/auth/refresh", json={"refresh_token": token})


async def test_refresh_tokens_rotate(site: Site, owner: Person) -> None:
    client = site.client()
    first = (await refresh(client, owner.session.refresh_token)).json()
    second = (await refresh(client, first["refresh_token"])).json()
    assert len({owner.session.refresh_token, first["refresh_token"], second["refresh_token"]}) == 3
    client.headers["Authorization"] = f"Bearer {second['access_token']}"
    assert (await client.get("/me")).json()["email"] == owner.email


async def test_a_refresh_token_that_is_used_twice_ends_the_log_in(site: Site, owner: Person) -> None:
    """RFC 9700, 4.14.2: one of the two who used it stole it."""
    client = site.client()
    stolen = owner.session.refresh_token
    newest = (await refresh(client, stolen)).json()
    assert (await refresh(client, stolen)).status_code == 401
    assert (await refresh(client, newest["refresh_token"])).status_code == 401
    client.headers["Authorization"] = f"Bearer {newest['access_token']}"
    assert (await client.get("/me")).status_code == 401
    await owner.get("/me", 401)


async def test_of_two_refreshes_at_once_one_wins_and_the_log_in_ends(site: Site, owner: Person) -> None:
    client = site.client()
    answers = await asyncio.gather(*(refresh(client, owner.session.refresh_token) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]
    await owner.get("/me", 401)


async def test_a_log_in_ends_however_much_it_is_used(site: Site, owner: Person) -> None:
    client = site.client()
    await site.execute("update sessions set created_at = now() - interval '179 days'")
    newer = (await refresh(client, owner.session.refresh_token)).json()
    await site.execute("update sessions set created_at = now() - interval '180 days'")
    assert (await refresh(client, newer["refresh_token"])).status_code == 401


async def test_an_expired_or_unknown_refresh_token_is_refused_and_ends_nothing(site: Site, owner: Person) -> None:
    client = site.client()
    assert (await refresh(client, "unknown")).status_code == 401
    await site.execute("update refresh_tokens set expires_at = now() - interval '1 second'")
    assert (await refresh(client, owner.session.refresh_token)).status_code == 401
    await owner.get("/me")


async def test_log_out_ends_one_log_in_and_no_other(site: Site, owner: Person) -> None:
    client = site.client()
    await client.post("/auth/register", json=registration())
    tokens = [(await log_in(client, "jana@example.org")).json() for _ in range(2)]
    here, there = ({"Authorization": f"Bearer {each['access_token']}"} for each in tokens)
    assert (await client.post("/auth/logout", headers=here)).status_code == 204
    assert (await client.get("/me", headers=here)).status_code == 401
    assert (await refresh(client, tokens[0]["refresh_token"])).status_code == 401
    assert (await client.get("/me", headers=there)).status_code == 200
    await owner.get("/me")


# --- access tokens (what a token must have is in tests/unit/api_http/test_tokens.py) -------------------------------


async def test_tokens_that_are_not_ours_are_refused(site: Site, owner: Person) -> None:
    now = datetime.now(UTC)
    ours, claims = site.app.state.access_tokens, AccessClaims(owner.user_id, owner.session.session_id)
    header, body, signature = ours.issue(claims, now).split(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    refused = [
        replace(ours, issuer="https://elsewhere.test").issue(claims, now),
        replace(ours, secret="another-secret-that-is-long-enough-too").issue(claims, now),
        ours.issue(claims, now - timedelta(minutes=20)),
        ours.issue(AccessClaims(uuid4(), owner.session.session_id), now),
        ours.issue(AccessClaims(owner.user_id, uuid4()), now),
        f"{unsigned}.{body}.",
        f"{unsigned}.{body}.{signature}",
        f"{header}.{body}.",
        "",
        "a.b.c",
    ]
    client = site.client()
    for token in refused:
        answer = await client.get("/me", headers=[("Authorization", f"Bearer {token}")])
        assert answer.status_code == 401, token
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["type"] == "/problems/unauthenticated"
    accepted = await client.get("/me", headers=[("Authorization", f"Bearer {header}.{body}.{signature}")])
    assert accepted.status_code == 200, "they differ from this one in one thing each"


async def test_a_token_of_another_users_session_is_refused(site: Site, owner: Person, stranger: Person) -> None:
    mixed = AccessClaims(owner.user_id, stranger.session.session_id)
    token = site.app.state.access_tokens.issue(mixed, datetime.now(UTC))
    assert (await site.client(Authorization=f"Bearer {token}").get("/me")).status_code == 401


async def test_every_private_route_asks_for_a_log_in(site: Site) -> None:
    client = site.client(base="http://voltuj.test")
    public = {
        "/api/v1/auth/register",
        *PROVEN_BY_MAIL,
        "/api/v1/auth/token",
        "/api/v1/auth/refresh",
        "/healthz",
        "/readyz",
        "/metrics",
        "/c/{code}",
    }
    asked = 0
    for path, methods in site.app.openapi()["paths"].items():
        if path in public:
            continue
        for method in methods:
            answer = await client.request(method, path.replace("{", "").replace("}", ""), json={})
            assert answer.status_code == 401, f"{method} {path}: {answer.status_code}"
            asked += 1
    assert asked >= 25
