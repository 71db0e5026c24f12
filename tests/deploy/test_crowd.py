"""A thousand wallboxes through Apache: they come, a new certificate moves none, and all are back after a crash."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest
from ocpp.v16 import call

from tests.deploy.certificates import make_certificate
from tests.deploy.compose import DOMAIN, Production
from tests.harness.person import Person
from tests.harness.stack import eventually
from tests.harness.wallbox import Wallbox

CROWD = 1000
AT_ONCE = 50
"""Wallboxes of the crowd that do something in the same moment: the client has one process and a core to share."""
SERVICES = ("apache", "ocpp_gateway", "listener", "api", "redis", "postgres")


async def each_does(what: Callable[[Any], Awaitable[Any]], each: Iterable[Any]) -> list[Any]:
    """`what` for each, AT_ONCE at a time, in order."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(item: Any) -> Any:
        async with gate:
            return await what(item)

    return await asyncio.gather(*(one(item) for item in each))


async def _come(wallbox: Wallbox) -> None:
    await wallbox.connect()
    assert (await wallbox.boot()).status == "Accepted"
    await wallbox.call(call.Heartbeat())


def _ends(production: Production) -> dict[str, tuple[int, bool]]:
    """How often each container was started anew, and whether it ever ran out of memory."""
    inspected = {service: production.containers(service)[0] for service in SERVICES}
    return {name: (each["RestartCount"], each["State"]["OOMKilled"]) for name, each in inspected.items()}


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_thousand_wallboxes_at_once(production: Production, owner: Person) -> None:
    before = await asyncio.to_thread(_ends, production)
    made = await each_does(lambda number: owner.wallbox(name=f"Crowd {number}"), range(CROWD))
    crowd = [Wallbox(production.ocpp_url, one["identity"], one["key"], tls=production.tls) for one in made]
    try:
        await each_does(_come, crowd)
        assert await asyncio.to_thread(production.connections) == CROWD
        own = make_certificate(DOMAIN)
        production.lay_down({"privkey.pem": own.key_pem, "fullchain.pem": own.pem})
        try:
            await eventually(lambda: production.serves(own.pem), "the new certificate to be served", 60)
            await each_does(lambda wallbox: wallbox.call(call.Heartbeat()), crowd)
            assert await asyncio.to_thread(production.connections) == CROWD
            assert [wallbox.closes for wallbox in crowd if wallbox.closes] == []
        finally:
            production.take_up()
        assert await asyncio.to_thread(_ends, production) == before
        self_signed = functools.partial(_is_trusted, production, own.pem)
        await eventually(self_signed, "the self-signed certificate to be served again", 60)

        await asyncio.to_thread(production.kill, "ocpp_gateway")
        await each_does(lambda wallbox: wallbox.deliver(call.Heartbeat()), crowd)
        assert await asyncio.to_thread(production.connections) == CROWD
        assert sum(len(wallbox.closes) for wallbox in crowd) == CROWD, "each was cut off once"
        assert sum(len(wallbox.call_errors) for wallbox in crowd) == 0
    finally:
        await each_does(lambda wallbox: wallbox.disconnect(), crowd)


async def _is_trusted(production: Production, other: str) -> bool:
    return not await production.serves(other)
