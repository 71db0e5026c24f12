"""`python -m api.app` as it runs in production: settings, start, stop."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from standalone.databases import REPOSITORY, DatabaseUrls
from standalone.servers import free_port
from tests.harness.stack import eventually
from tests.integration.http.gateway import Gateway
from tests.integration.http.site import JWT_SECRET, Person, Site

DEADLINE_S = 60.0
"""On a busy machine a process takes many times as long to start."""


def environment(database: DatabaseUrls, redis_url: str, prefix: str, **changes: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database.application,
        "REDIS_URL": redis_url,
        "REDIS_PREFIX": prefix,
        "JWT_SECRET": JWT_SECRET,
        "PUBLIC_API_URL": "https://voltuj.test",
        "EMAIL_VERIFICATION": "off",
        "PYTHONWARNINGS": "error::DeprecationWarning:api",
        **changes,
    }


@contextmanager
def running(variables: dict[str, str], log: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The process and its port; ended with the test."""
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "api.app"],
            cwd=REPOSITORY,
            env={**variables, "API_PORT": str(port)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process, port
    finally:
        process.kill()
        process.wait()


async def until_answering(client: httpx.AsyncClient, path: str, status: int) -> httpx.Response:
    async def answering() -> httpx.Response | None:
        with suppress(httpx.TransportError):
            answer = await client.get(path)
            return answer if answer.status_code == status else None
        return None

    answer: httpx.Response = await eventually(answering, f"{path} to become {status}", DEADLINE_S)
    return answer


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=30) as client:
        yield client


async def test_it_serves_and_stops_when_it_is_told(
    database: DatabaseUrls, redis_url: str, redis_prefix: str, tmp_path: Path, http: httpx.AsyncClient
) -> None:
    log = tmp_path / "log"
    with running(environment(database, redis_url, redis_prefix), log) as (process, port):
        await until_answering(http, f"http://127.0.0.1:{port}/readyz", 200)
        password = "correct horse battery"
        body = {"email": "jana@example.org", "password": password, "display_name": "Jana"}
        answer = await http.post(f"http://127.0.0.1:{port}/api/v1/auth/register", json=body)
        assert answer.status_code == 201
        assert "server" not in answer.headers
        form = {"username": body["email"], "password": password}
        tokens = (await http.post(f"http://127.0.0.1:{port}/api/v1/auth/token", data=form)).json()
        spoofed = {"X-Forwarded-Proto": "https", "Authorization": f"Bearer {tokens['access_token']}"}
        assert (await http.get(f"http://127.0.0.1:{port}/api/v1/me", headers=spoofed)).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, DEADLINE_S) == 0
    text = log.read_text()
    assert '"event": "stopped"' in text
    assert "Traceback" not in text
    assert password not in text
    assert tokens["access_token"] not in text
    assert tokens["refresh_token"] not in text


async def test_the_log_tells_who_tried_to_log_in_and_what_was_refused(
    database: DatabaseUrls, redis_url: str, redis_prefix: str, tmp_path: Path, http: httpx.AsyncClient
) -> None:
    log = tmp_path / "log"
    with running(environment(database, redis_url, redis_prefix), log) as (_, port):
        api = f"http://127.0.0.1:{port}/api/v1"
        await until_answering(http, f"http://127.0.0.1:{port}/readyz", 200)
        body = {"email": "jana@example.org", "password": "correct horse battery", "display_name": "Jana"}
        user = (await http.post(f"{api}/auth/register", json=body)).json()
        form = {"username": body["email"], "password": "wrong horse battery"}
        assert (await http.post(f"{api}/auth/token", data=form)).status_code == 401
        tokens = (await http.post(f"{api}/auth/token", data={**form, "password": body["password"]})).json()
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        refused = f"/charge-points/{user['id']}"
        assert (await http.get(api + refused, headers=bearer)).status_code == 404

        async def is_told() -> bool:
            return refused in log.read_text()

        await eventually(is_told, "the last line")  # it is written when the answer is out already
    lines = [json.loads(line) for line in log.read_text().splitlines() if '"request"' in line]
    told = [(each["path"].removeprefix("/api/v1"), each["status"], each["user_id"]) for each in lines[-3:]]
    assert told == [
        ("/auth/token", 401, user["id"]),
        ("/auth/token", 200, user["id"]),
        (refused, 404, user["id"]),
    ]
    assert all(each["request_id"] for each in lines)
    assert body["email"] not in log.read_text()


async def test_it_starts_while_postgresql_and_redis_are_down_and_says_so(
    database: DatabaseUrls, tmp_path: Path, http: httpx.AsyncClient
) -> None:
    variables = environment(database, f"redis://127.0.0.1:{free_port()}/0", "x:")
    variables["DATABASE_URL"] = f"postgresql://voltuj_api@127.0.0.1:{free_port()}/voltuj"
    with running(variables, tmp_path / "log") as (_, port):
        answer = await until_answering(http, f"http://127.0.0.1:{port}/readyz", 503)
        assert answer.json()["failed"] == ["PostgreSQL does not answer", "Redis does not answer"]
        assert (await http.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200


async def test_who_waits_for_a_command_is_answered_before_it_stops(
    *, site: Site, owner: Person, gateway: Gateway, redis_url: str, tmp_path: Path, http: httpx.AsyncClient
) -> None:
    created = await owner.charge_point()
    await site.accept(created["id"])
    await gateway.connect(created["id"])
    gateway.answer = None
    variables = environment(site.database, redis_url, site.settings.redis_prefix)
    with running(variables, tmp_path / "log") as (process, port):
        await until_answering(http, f"http://127.0.0.1:{port}/readyz", 200)
        url = f"http://127.0.0.1:{port}/api/v1/charge-points/{created['id']}/start"
        headers = {"Authorization": owner.http.headers["Authorization"]}
        asked = asyncio.create_task(http.post(url, json={"wait_s": 60}, headers=headers))
        await gateway.next_command()
        process.send_signal(signal.SIGTERM)
        answer = await asked
        assert (answer.status_code, answer.json()["status"]) == (201, "queued")
        assert await asyncio.to_thread(process.wait, DEADLINE_S) == 0


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"JWT_SECRET": ""}, "JWT_SECRET"),
        ({"JWT_SECRET": "please-change-me-please-change-me-please"}, "JWT_SECRET"),
        ({"DATABASE_URL": ""}, "DATABASE_URL"),
        ({"API_PORT": "many"}, "API_PORT"),
        ({"API_HOST": "203.0.113.1"}, "API_HOST"),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_names_it(redis_url: str, changes: dict[str, str], names: str) -> None:
    urls = DatabaseUrls("", "postgresql://voltuj_api:s3cret@127.0.0.1:1/voltuj")
    variables = environment(urls, redis_url, "x:", API_PORT="0") | changes
    result = subprocess.run(
        [sys.executable, "-m", "api.app"],
        cwd=REPOSITORY,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stderr.startswith(names)
    assert "Traceback" not in result.stderr
    assert "s3cret" not in result.stderr
