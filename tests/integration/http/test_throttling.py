"""Limits of log-ins and requests: per address, per account, shared by processes, and what holds while Redis is away."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from standalone.databases import DatabaseUrls
from standalone.servers import free_port
from tests.integration.http.site import Site, make_settings, open_site
from tests.integration.http.test_accounts import log_in, registration
from tests.integration.http.test_process import environment, running, until_answering

TIGHT = {"log_in_limit_address": "5/hour", "log_in_limit_account": "3/hour"}


async def statuses(client: httpx.AsyncClient, email: str, count: int, **arguments: Any) -> list[int]:
    return [(await log_in(client, email, **arguments)).status_code for _ in range(count)]


async def test_an_account_is_tried_only_so_often_and_a_good_log_in_begins_anew(
    database: DatabaseUrls, redis_url: str, redis_prefix: str
) -> None:
    settings = make_settings(database, redis_url, redis_prefix, log_in_limit_account="3/hour")
    async with open_site(database, settings) as site:
        client = site.client()
        await client.post("/auth/register", json=registration())
        assert await statuses(client, "jana@example.org", 2, password="wrong") == [401, 401]
        assert await statuses(client, "JANA@example.org", 1) == [200]
        assert await statuses(client, "jana@example.org", 4, password="wrong") == [401, 401, 401, 429]
        assert await statuses(client, "jana@example.org", 1) == [429], "the right password is not even looked at"
        assert await statuses(client, "nobody@example.org", 4) == [401, 401, 401, 429], "unknown ones look alike"
        refused = await log_in(client, "jana@example.org")
        assert 0 < int(refused.headers["retry-after"]) <= 3600
        assert refused.headers["content-type"] == "application/problem+json"


async def test_two_processes_count_together_and_a_client_cannot_name_its_address(
    *, database: DatabaseUrls, redis_url: str, redis_prefix: str, tmp_path: Path
) -> None:
    variables = environment(database, redis_url, redis_prefix, LOG_IN_LIMIT_ADDRESS="4/hour")
    with running(variables, tmp_path / "one") as (_, one), running(variables, tmp_path / "two") as (_, two):
        async with httpx.AsyncClient(timeout=30) as http:
            for port in (one, two):
                await until_answering(http, f"http://127.0.0.1:{port}/readyz", 200)
            found = []
            for number in range(6):
                answer = await http.post(
                    f"http://127.0.0.1:{(one, two)[number % 2]}/api/v1/auth/token",
                    data={"username": f"person{number}@example.org", "password": "wrong"},
                    headers={"X-Forwarded-For": f"203.0.113.{number}"},
                )
                found.append(answer.status_code)
    assert found == [401] * 4 + [429] * 2


async def test_behind_a_trusted_proxy_each_client_counts_for_itself(
    *, database: DatabaseUrls, redis_url: str, redis_prefix: str, tmp_path: Path
) -> None:
    limits = {"LOG_IN_LIMIT_ADDRESS": "2/hour", "TRUSTED_PROXIES": "127.0.0.0/8"}
    variables = environment(database, redis_url, redis_prefix, **limits)
    with running(variables, tmp_path / "log") as (_, port):
        async with httpx.AsyncClient(timeout=30) as http:
            await until_answering(http, f"http://127.0.0.1:{port}/readyz", 200)

            async def attempt(address: str, number: int) -> int:
                form = {"username": f"person{number}@example.org", "password": "wrong"}
                url = f"http://127.0.0.1:{port}/api/v1/auth/token"
                return (await http.post(url, data=form, headers={"X-Forwarded-For": address})).status_code

            mine = [await attempt("203.0.113.9", number) for number in range(3)]
            others = await attempt("203.0.113.10", 4)
            network = [await attempt(f"2001:db8:1:2::{number}", 5 + number) for number in range(3)]
    assert (mine, others) == ([401, 401, 429], 401)
    assert network == [401, 401, 429], "whoever has one IPv6 address has its whole /64"


async def test_attempts_at_once_are_counted_one_by_one(site: Site) -> None:
    client = site.client()
    answers = await asyncio.gather(*(log_in(client, "a@example.org") for _ in range(15)))
    assert sorted(answer.status_code for answer in answers) == [401] * 10 + [429] * 5


@pytest.mark.parametrize("changes", [{"rate_limit_address": "5/hour"}, {"rate_limit_account": "4/hour"}])
async def test_requests_are_limited_but_health_is_not(
    database: DatabaseUrls, redis_url: str, redis_prefix: str, changes: dict[str, str]
) -> None:
    async with open_site(database, make_settings(database, redis_url, redis_prefix, **changes)) as site:
        person = await site.person()
        found = [(await person.http.get("/me")).status_code for _ in range(6)]
        limit = int(next(iter(changes.values()))[0])
        assert found == [200] * limit + [429] * (6 - limit)
        assert (await site.client(base="http://voltuj.test").get("/healthz")).status_code == 200
        other = (await (await site.person("other")).http.get("/me")).status_code
        assert other == (429 if "rate_limit_address" in changes else 200)


async def test_tokens_are_guessed_only_so_often_and_those_of_others_do_not_count(
    database: DatabaseUrls, redis_url: str, redis_prefix: str
) -> None:
    changes = {"rate_limit_address": "6/hour", "rate_limit_account": "2/hour"}
    async with open_site(database, make_settings(database, redis_url, redis_prefix, **changes)) as site:
        person = await site.person()
        assert (await person.http.get("/me")).status_code == 200
        token = person.http.headers["Authorization"]
        client = site.client()
        guessed = [
            await client.get("/me", headers={"Authorization": f"{token[:-2]}{number}"}) for number in range(10, 13)
        ]
        assert [each.status_code for each in guessed] == [401] * 3
        found = [(await person.http.get("/me")).status_code for _ in range(2)]
        assert found == [200, 429], "once more for the account, whatever others guess"
        assert (await client.get("/me", headers={"Authorization": "Bearer x"})).status_code == 429


async def test_while_redis_is_away_each_process_counts_for_itself(database: DatabaseUrls, redis_prefix: str) -> None:
    settings = make_settings(database, f"redis://127.0.0.1:{free_port()}/0", redis_prefix, **TIGHT)
    async with open_site(database, settings) as site:
        client = site.client()
        await client.post("/auth/register", json=registration())
        assert await statuses(client, "jana@example.org", 1) == [200]
        assert await statuses(client, "jana@example.org", 4, password="wrong") == [401, 401, 401, 429]
