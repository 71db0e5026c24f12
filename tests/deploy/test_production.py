"""A charge point and an owner through Apache: WSS 9000 and HTTPS 443 of the production stack, certificates verified."""

import asyncio
import base64
import contextlib
import json
import re
import socket
import ssl
import uuid
from typing import Any

import httpx
import pytest
from ocpp.v16 import call
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from api.events.stream import HEARTBEAT_S
from ocpp_gateway.settings import Settings
from tests.deploy.compose import DOMAIN, Production
from tests.harness.person import PASSWORD, Person
from tests.harness.stack import eventually
from tests.harness.wallbox import Wallbox, while_running
from tests.integration.events.reader import reading

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


async def test_events_pass_at_once(production: Production, owner: Person) -> None:
    """Nothing on the way keeps what the api streams: an event comes before the next comment would push it out."""
    async with reading(owner.http) as reader:

        async def is_kept_alive() -> bool:
            return reader.comments > 0

        await eventually(is_kept_alive, "the comment that keeps the stream open", 2 * HEARTBEAT_S)
        comments = reader.comments
        created = await owner.wallbox()
        async with Wallbox(production.ocpp_url, created["identity"], created["key"], tls=production.tls):
            await reader.until("charge_point.connected")
        assert reader.comments == comments


def test_what_is_quiet_for_long_is_not_cut_off(production: Production) -> None:
    """The default of Apache for both is `Timeout`, 75 s."""

    def limit(balancer: str) -> int:
        members = production.compose("exec", "-T", "apache", "cat", f"/run/apache2/members/{balancer}.conf").stdout
        return int(re.findall(r" timeout=(\d+)", members)[0])

    [longest] = [each.le for each in Settings.model_fields["gateway_ping_interval_s"].metadata if hasattr(each, "le")]
    assert limit("gateways") > longest
    assert limit("apis") > 2 * HEARTBEAT_S


@pytest.mark.slow
async def test_a_tunnel_in_which_nobody_speaks_outlives_what_apache_waits_elsewhere(
    production: Production, owner: Person
) -> None:
    """Neither the gateway nor this charge point pings within Apache's `Timeout` of 75 s."""
    up = ("up", "--detach", "--no-deps", "--wait", "ocpp_gateway")
    await asyncio.to_thread(production.compose, *up, environment={"GATEWAY_PING_INTERVAL_S": "3600"})
    try:
        created = await owner.wallbox()
        host = production.ocpp_url.removeprefix("wss://")
        url = f"wss://{created['identity']}:{created['key']}@{host}/{created['identity']}"

        async def comes_in() -> ClientConnection | None:
            with contextlib.suppress(InvalidStatus):
                return await connect(url, subprotocols=[Subprotocol("ocpp1.6")], ssl=production.tls, ping_interval=None)
            return None

        async with await eventually(comes_in, "the new gateway to be there", 60) as silent:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(silent.wait_closed(), 80)
            await silent.send('[2, "1", "Heartbeat", {}]')
            assert json.loads(await silent.recv())[:3] == [4, "1", "SecurityError"], "it has not booted"
    finally:
        await asyncio.to_thread(production.compose, *up)


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


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
@pytest.mark.parametrize("port", ["ocpp", "https"])
def test_tls_before_1_2_is_refused(production: Production, port: str) -> None:
    """WP A00: TLS 1.2 or above."""
    context = production.tls
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL@SECLEVEL=0")
    number = production.ocpp_port if port == "ocpp" else production.https_port
    with (
        socket.create_connection(("127.0.0.1", number), timeout=10) as plain,
        pytest.raises(ssl.SSLError, match="alert protocol version"),
    ):
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


async def test_logs_are_structured_and_hold_no_secret(production: Production, owner: Person) -> None:
    """Requests, charge points and transactions are found by id; keys, passwords, tokens and cards are in none."""
    created, card, request_id = await owner.wallbox(), await owner.card(), uuid.uuid4().hex
    async with Wallbox(production.ocpp_url, created["identity"], created["key"], tls=production.tls) as wallbox:
        await wallbox.boot()
        started = await wallbox.start(card, 1000)
        await wallbox.stop(started.transaction_id, 1020, card)
    answer = await owner.http.get("/transactions", headers={"X-Request-Id": request_id})
    [transaction] = answer.json()["items"]

    lines = {name: _lines(production, name) for name in ("api", "listener", "ocpp_gateway", "apache")}
    [request] = [line for line in lines["api"] if line.get("request_id") == request_id]
    assert (request["event"], request["path"], request["status"]) == ("request", "/api/v1/transactions", 200)
    of_box = [line for line in lines["listener"] if line.get("charge_point_id") == created["id"]]
    actions = [line["action"] for line in of_box if line.get("transaction_id") == transaction["id"]]
    assert actions == ["StartTransaction", "StopTransaction"]
    events = [line["event"] for line in lines["ocpp_gateway"] if line.get("charge_point_id") == created["id"]]
    assert events[:1] == ["connected"]
    assert any(line["path"].endswith(created["identity"]) for line in lines["apache"] if "path" in line)

    written = production.logs(*lines)
    settings = (line.partition("=") for line in production.environment_file.read_text().splitlines())
    secret = {name: value for name, _, value in settings if name.endswith(("PASSWORD", "SECRET"))}
    secret |= {"key": created["key"], "password": PASSWORD, "token": owner.http.headers["Authorization"].split()[1]}
    secret |= {"Basic": base64.b64encode(f"{created['identity']}:{created['key']}".encode()).decode(), "card": card}
    assert [name for name, value in secret.items() if value in written] == []


def _lines(production: Production, service: str) -> list[dict[str, Any]]:
    """Apache's own start is plain text of its scripts and of the engine's init."""
    written = production.logs(service).splitlines()
    return [json.loads(line) for line in written if service != "apache" or line.startswith("{")]
