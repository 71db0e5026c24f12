"""A charge point and an owner through Apache: WSS 9000 and HTTPS 443 of the production stack, certificates verified."""

import json
import socket
import ssl

import httpx
import pytest
from ocpp.v16 import call
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from tests.deploy.compose import DOMAIN, Production
from tests.harness.person import Person
from tests.harness.wallbox import Wallbox, while_running

MIB = 1024 * 1024


async def test_a_whole_session_through_apache(production: Production, owner: Person) -> None:
    created = await owner.wallbox()
    assert created["url"] == f"wss://{DOMAIN}:{production.ocpp_port}/{created['identity']}"
    card = await owner.card()
    async with Wallbox(production.ocpp_url, created["identity"], created["key"], tls=production.tls) as wallbox:
        assert (await wallbox.boot()).status == "Accepted"
        assert (await wallbox.call(call.Authorize(id_tag=card))).id_tag_info["status"] == "Accepted"
        await wallbox.status(1, "Preparing")
        started = await wallbox.start(card, 1000)
        await wallbox.status(1, "Charging")
        for step in range(1, 6):
            await wallbox.meter(started.transaction_id, 1000 + 20 * step)

        async def obey() -> None:
            action, _ = await wallbox.next_command()
            assert action == "RemoteStopTransaction"
            await wallbox.stop(started.transaction_id, 1100, card)

        [active] = (await owner.get("/transactions", status="active"))["items"]
        command = await while_running(owner.post(f"/transactions/{active['id']}/stop", {}), obey)
        assert command["status"] == "accepted"
        assert wallbox.call_errors == []
    [transaction] = (await owner.get("/transactions"))["items"]
    assert (transaction["status"], transaction["energy_wh"], transaction["total_minor"]) == ("stopped", 100, 55)


async def test_the_right_refusals_reach_the_charge_point(production: Production, owner: Person) -> None:
    created = await owner.wallbox()
    wrong_key = Wallbox(production.ocpp_url, created["identity"], "x" * 20, tls=production.tls)
    with pytest.raises(InvalidStatus) as refused:
        await wrong_key.connect()
    assert refused.value.response.status_code == 401
    unknown = Wallbox(production.ocpp_url, "nobody", created["key"], tls=production.tls)
    with pytest.raises(InvalidStatus) as refused:
        await unknown.connect()
    assert refused.value.response.status_code == 404
    host = production.ocpp_url.removeprefix("wss://")
    with pytest.raises(InvalidStatus) as refused:
        await connect(
            f"wss://{created['identity']}:{created['key']}@{host}/{created['identity']}",
            subprotocols=[Subprotocol("ocpp2.0.1")],
            ssl=production.tls,
        )
    assert refused.value.response.status_code == 400


async def test_what_is_inside_stays_inside(production: Production) -> None:
    async with production.http() as http:
        for path in ("/metrics", "/readyz", "/healthz", "//metrics", "/%6detrics", "/x/../readyz", "/metrics/"):
            answer = await http.get(f"https://localhost:{production.https_port}{path}")
            assert answer.status_code == 404, path
            assert "voltuj_" not in answer.text, path
        assert (await http.get("/docs")).status_code == 200
        assert (await http.get("/api/v1/openapi.json")).json()["info"]["title"] == "Voltuj"
    for service in ("api", "listener", "ocpp_gateway", "postgres", "redis"):
        [container] = production.containers(service)
        assert not any(container["NetworkSettings"]["Ports"].values()), service


async def test_files_may_be_as_large_as_the_api_takes_and_other_bodies_not(
    production: Production, owner: Person
) -> None:
    """LARGEST_FILE_MIB is 200 by default, the api's limit for all else 1 MiB."""
    image = bytes(11 * MIB)
    made = await owner.http.post("/firmware", params={"name": "image.bin"}, content=image)
    assert made.status_code == 201, made.text
    assert made.json()["size_bytes"] == len(image)
    await owner.http.delete(f"/firmware/{made.json()['id']}")
    api = await owner.http.post("/id-tags", json={"label": "x" * MIB, "kind": "card"})
    assert (api.status_code, api.headers["content-type"]) == (413, "application/problem+json")
    apache = await owner.http.post("/id-tags", json={"label": "x" * 3 * MIB, "kind": "card"})
    assert apache.status_code == 413


async def test_how_busy_apache_is_is_shown_inside_only(production: Production) -> None:
    script = "import urllib.request as u; print(u.urlopen('http://apache:8081/?auto').headers['X-Max-Request-Workers'])"
    assert production.compose("exec", "-T", "api", "python", "-c", script).stdout.strip() == "2048"
    [apache] = production.containers("apache")
    assert set(apache["NetworkSettings"]["Ports"]) == {"80/tcp", "443/tcp", "9000/tcp"}
    outside = apache["NetworkSettings"]["Networks"][f"{production.name}_outside"]["IPAddress"]
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"http://{outside}:8081/?auto")).status_code == 403


async def test_http_leads_to_https(production: Production) -> None:
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"http://127.0.0.1:{production.http_port}/docs?x=1")
    assert answer.status_code == 308
    assert answer.headers["location"] == f"https://{DOMAIN}:{production.https_port}/docs?x=1"


@pytest.mark.parametrize(
    ("port", "suite", "accepted"),
    [
        ("ocpp", "ECDHE-ECDSA-AES128-GCM-SHA256", True),
        ("ocpp", "ECDHE-ECDSA-AES256-GCM-SHA384", True),
        ("ocpp", "AES128-GCM-SHA256", True),
        ("ocpp", "AES256-GCM-SHA384", True),
        ("ocpp", "AES128-SHA", False),
        ("https", "ECDHE-ECDSA-AES128-GCM-SHA256", True),
        ("https", "ECDHE-RSA-AES256-GCM-SHA384", True),
        ("https", "AES128-GCM-SHA256", False),
    ],
)
def test_tls_suites(production: Production, port: str, suite: str, accepted: bool) -> None:
    """WP A00: the four suites that a central system must offer, on 9000 only."""
    context = production.tls
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{suite}@SECLEVEL=0")
    number = production.ocpp_port if port == "ocpp" else production.https_port
    with socket.create_connection(("127.0.0.1", number), timeout=10) as plain:
        if accepted:
            with context.wrap_socket(plain, server_hostname=DOMAIN) as secure:
                assert secure.cipher() == (suite, "TLSv1.2", int(suite.rpartition("AES")[2][:3]))
        else:
            with pytest.raises(ssl.SSLError, match="handshake failure"):
                context.wrap_socket(plain, server_hostname=DOMAIN)


async def test_forged_forwarding_headers_are_dropped(production: Production) -> None:
    """What the api believes of the client's address is what Apache saw, whatever the client says."""
    forged = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9", "X-Request-Id": "forged-headers"}
    async with production.http() as http:
        await http.get("/api/v1/me", headers=forged)
    assert "203.0.113.9" not in production.logs("api", "apache", "ocpp_gateway")


def test_containers_may_do_little(production: Production) -> None:
    for service in ("api", "listener", "ocpp_gateway", "apache", "redis", "postgres"):
        [container] = production.containers(service)
        host = container["HostConfig"]
        assert container["Config"]["User"] not in {"", "root", "0"}, service
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert host["Memory"] > 0, service
        assert host["LogConfig"]["Config"]["max-size"], service
        assert host["RestartPolicy"]["Name"] == "unless-stopped", service


def test_only_migrations_have_the_owners_role(production: Production) -> None:
    for service in ("api", "listener", "ocpp_gateway", "apache", "redis"):
        [container] = production.containers(service)
        names = {entry.partition("=")[0] for entry in container["Config"]["Env"]}
        assert names.isdisjoint({"MIGRATIONS_DATABASE_URL", "DATABASE_OWNER_PASSWORD", "POSTGRES_PASSWORD"}), service
    refused = production.compose(
        *("exec", "-T", "api", "python", "-c"),
        "import asyncio, asyncpg, os\n"
        "async def main():\n"
        "    c = await asyncpg.connect(os.environ['DATABASE_URL'])\n"
        "    await c.execute('create table forbidden (x int)')\n"
        "asyncio.run(main())",
        check=False,
    )
    assert "permission denied" in refused.stderr


def test_redis_lets_each_service_do_its_own(production: Production) -> None:
    script = (
        "import os, redis, sys\n"
        "r = redis.Redis.from_url(os.environ['REDIS_URL'])\n"
        "for command in (['FLUSHALL'], ['CONFIG', 'GET', '*'], ['KEYS', '*'], ['SET', 'other:x', '1'],"
        " ['PUBLISH', 'other:x', '1']):\n"
        "    try:\n"
        "        r.execute_command(*command)\n"
        "        sys.exit(f'allowed: {command}')\n"
        "    except redis.exceptions.NoPermissionError:\n"
        "        pass\n"
        "print(r.execute_command('PUBLISH', 'voltuj:x', '1'))"
    )
    for service in ("api", "ocpp_gateway"):
        assert production.compose("exec", "-T", service, "python", "-c", script).stdout.strip() == "0"
    anonymous = production.compose("exec", "-T", "redis", "redis-cli", "PING").stdout
    assert "NOAUTH" in anonymous


def test_logs_are_structured_and_hold_no_secret(production: Production) -> None:
    written = production.logs("api", "listener", "ocpp_gateway", "apache")
    for line in production.environment_file.read_text().splitlines():
        name, _, value = line.partition("=")
        if name.endswith(("PASSWORD", "SECRET")):
            assert value not in written, name
    for line in filter(None, production.logs("ocpp_gateway").splitlines()):
        assert isinstance(json.loads(line), dict), line
