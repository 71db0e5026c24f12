"""What happens to a session when a part of the production stack dies, is replaced, or gets a new certificate."""

import asyncio
import socket
import ssl

import pytest
from ocpp.v16 import call
from websockets.exceptions import InvalidStatus

from tests.deploy.certificates import make_certificate
from tests.deploy.compose import DOMAIN, Production
from tests.harness.person import Person
from tests.harness.stack import eventually
from tests.harness.wallbox import Wallbox


@pytest.mark.slow
@pytest.mark.parametrize("service", ["ocpp_gateway", "listener", "api", "redis", "postgres", "apache"])
async def test_a_killed_container_costs_no_session(production: Production, owner: Person, service: str) -> None:
    created, card = await owner.wallbox(), await owner.card()
    restarts = production.containers(service)[0]["RestartCount"]
    wallbox = Wallbox(production.ocpp_url, created["identity"], created["key"], tls=production.tls)
    async with wallbox:
        await wallbox.boot()
        started = await wallbox.start(card, 1000)
        await asyncio.to_thread(production.kill, service)
        for step in range(1, 4):
            await wallbox.meter(started.transaction_id, 1000 + 10 * step)
        await wallbox.stop(started.transaction_id, 1050, card)
        await production.healthy(service)
        assert production.containers(service)[0]["RestartCount"] > restarts
        assert wallbox.call_errors == []
    transactions = await eventually(lambda: _transactions(owner), "the api to answer again", 60)
    assert [(t["status"], t["energy_wh"]) for t in transactions] == [("stopped", 50)]


async def _transactions(owner: Person) -> list[dict[str, object]]:
    answer = await owner.http.get("/transactions")
    return list(answer.json()["items"]) if answer.status_code == 200 else []


@pytest.mark.slow
async def test_without_a_gateway_charge_points_are_told_to_come_again(production: Production, owner: Person) -> None:
    created = await owner.wallbox()
    wallbox = Wallbox(production.ocpp_url, created["identity"], created["key"], tls=production.tls)
    async with wallbox:
        await wallbox.boot()
    await asyncio.to_thread(production.compose, "stop", "ocpp_gateway")
    try:
        with pytest.raises(InvalidStatus) as refused:
            await wallbox.connect()
        assert refused.value.response.status_code == 503
        assert int(refused.value.response.headers["Retry-After"]) > 0
        assert (await owner.http.get("/me")).status_code == 200
    finally:
        await asyncio.to_thread(production.compose, "up", "--detach", "--no-recreate", "--wait", "ocpp_gateway")
    await wallbox.deliver(call.Heartbeat())
    await wallbox.disconnect()


@pytest.mark.slow
async def test_two_of_each_share_the_work(production: Production, owner: Person) -> None:
    twice = [part for name in ("api", "listener", "ocpp_gateway") for part in ("--scale", f"{name}=2")]
    await asyncio.to_thread(production.compose, "up", "--detach", "--no-recreate", "--wait", *twice)
    try:
        made = [await owner.wallbox(name=f"W{n}") for n in range(6)]
        wallboxes = [Wallbox(production.ocpp_url, w["identity"], w["key"], tls=production.tls) for w in made]

        for wallbox in wallboxes:
            async with wallbox:
                await wallbox.boot()

        async def are_spread() -> bool:
            for wallbox in wallboxes:
                await wallbox.disconnect()
                await wallbox.deliver(call.Heartbeat())
            return all([await asyncio.to_thread(production.connections, index) for index in (1, 2)])

        await eventually(are_spread, "both gateways to hold charge points", 60)
        await asyncio.to_thread(production.kill, "ocpp_gateway")
        await asyncio.gather(*(w.deliver(call.Heartbeat()) for w in wallboxes))
        assert (await owner.http.get("/me")).status_code == 200
        for wallbox in wallboxes:
            await wallbox.disconnect()
    finally:
        once = [part for name in ("api", "listener", "ocpp_gateway") for part in ("--scale", f"{name}=1")]
        await asyncio.to_thread(production.compose, "up", "--detach", "--no-recreate", "--wait", *once)


async def test_a_new_certificate_is_taken_without_dropping_a_socket(production: Production, owner: Person) -> None:
    created, card = await owner.wallbox(), await owner.card()
    own, other = make_certificate(DOMAIN), make_certificate(DOMAIN)
    async with Wallbox(production.ocpp_url, created["identity"], created["key"], tls=production.tls) as wallbox:
        await wallbox.boot()
        started = await wallbox.start(card, 1000)
        try:
            production.lay_down({"privkey.pem": other.key_pem, "fullchain.pem": own.pem})
            await eventually(lambda: _refused(production), "a key that does not fit to be refused", 40)
            assert production.served() != own.pem
            production.lay_down({"privkey.pem": own.key_pem})
            await eventually(lambda: production.serves(own.pem), "the new certificate to be served", 40)
            await wallbox.meter(started.transaction_id, 1010)
            await wallbox.stop(started.transaction_id, 1020, card)
            assert wallbox.closes == []
        finally:
            production.take_up()
        await eventually(lambda: _trusted(production), "the self-signed certificate to be served again", 40)
        await wallbox.call(call.Heartbeat())
        assert wallbox.closes == []


async def _trusted(production: Production) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", production.ocpp_port), timeout=10) as plain:
            production.tls.wrap_socket(plain, server_hostname=DOMAIN).close()
    except ssl.SSLCertVerificationError:
        return False
    return True


async def _refused(production: Production) -> bool:
    return "privkey.pem is not the key of fullchain.pem" in await asyncio.to_thread(production.logs, "apache")
