"""Who is let in, over real sockets: J 3 (path, subprotocol), J 6.2 (Basic), and what a proxy tells."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from tests.integration.gateway.api_side import KEY, WAIT_S, ApiSide
from tests.integration.gateway.conftest import QUICK, Start
from tests.integration.gateway.wallbox import basic, opening_request, refusal, wallbox
from wire.messages import Connect, Disconnected


async def raw(port: int, request: bytes) -> bytes:
    """Sends bytes and returns all that comes back until the gateway closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(WAIT_S):
        answer = await reader.read()
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return answer


class TestRefused:
    """Each with its status, and the next good client is served."""

    async def test_by_status(self, api: ApiSide, start_gateway: Start) -> None:
        port = (await start_gateway()).port
        cases: list[tuple[int, dict[str, Any]]] = [
            (401, {"key": b"wrong"}),
            (401, {"headers": {}}),
            (401, {"headers": basic("CP2", KEY)}),
            (401, {"headers": {"Authorization": "Bearer x"}}),
            (401, {"headers": {"Authorization": "Basic !!!"}}),
            (404, {"identity": "UNKNOWN"}),
            (404, {"path": "/"}),
            (404, {"path": "/a/b"}),
            (404, {"path": "/CP1%00"}),
            (404, {"path": "/CP%GG"}),
            (404, {"path": "/" + "x" * 49}),
            (400, {"offers": ("ocpp2.0.1",)}),
            (400, {"offers": ()}),
        ]
        for status, options in cases:
            response = await refusal(port, **options)
            assert (status, response.status_code) == (status, status), options
            assert response.body, options
            if status == 401:
                assert response.headers["WWW-Authenticate"].startswith("Basic")
        async with wallbox(port) as box:
            assert (await box.call("Heartbeat", {}))[0] == 3

    async def test_what_is_no_websocket_handshake(self, api: ApiSide, start_gateway: Start) -> None:
        port = (await start_gateway()).port
        assert (await raw(port, b"GET /CP1 HTTP/1.1\r\nHost: x\r\n\r\n")).startswith(b"HTTP/1.1 426 ")
        upgrade = b"Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        assert (await raw(port, b"POST /CP1 HTTP/1.1\r\n" + upgrade + b"\r\n")).startswith(b"HTTP/1.1 405 ")
        assert (await raw(port, b"GET /CP1 HTTP/1.1\r\n" + upgrade + b"\r\n")).startswith(b"HTTP/1.1 400 ")
        assert await raw(port, b"\x16\x03\x01 not http\r\n\r\n") == b""
        async with wallbox(port) as box:
            assert (await box.call("Heartbeat", {}))[0] == 3

    async def test_the_api_does_not_answer(self, api: ApiSide, start_gateway: Start) -> None:
        api.silent = True
        response = await refusal((await start_gateway()).port)
        assert response.status_code == 503
        assert int(response.headers["Retry-After"]) > 0

    async def test_a_client_that_never_finishes(self, start_gateway: Start) -> None:
        running = await start_gateway(ready=False, timing=replace(QUICK, handshake_s=0.1))
        assert await raw(running.port, b"GET /CP1 HTTP/1.1\r\n") == b""


class TestAccepted:
    """What the api is asked, and what it allows."""

    async def test_the_key_travels_as_digests_only(self, api: ApiSide, start_gateway: Start) -> None:
        port = (await start_gateway()).port
        async with wallbox(port, key=KEY.hex().encode()):
            connect = await api.wait_for(Connect)
        assert connect.key_digests == [sha256(KEY.hex().encode()).digest(), sha256(KEY).digest()]
        assert (connect.identity, connect.offered_subprotocol, connect.secure) == ("CP1", True, False)
        assert connect.remote_address == "127.0.0.1"

    async def test_a_key_that_is_not_text(self, api: ApiSide, start_gateway: Start) -> None:
        api.identities["CP1"] = bytes(range(0xEB, 0xFF))
        async with wallbox((await start_gateway()).port, key=api.identities["CP1"]) as box:
            assert (await box.call("Heartbeat", {}))[0] == 3

    async def test_no_subprotocol_where_the_api_allows_it(self, api: ApiSide, start_gateway: Start) -> None:
        api.allow_no_subprotocol = True
        async with wallbox((await start_gateway()).port, offers=()) as box:
            assert box.socket.subprotocol is None
            assert (await box.call("Heartbeat", {}))[0] == 3

    async def test_an_encoded_identity_with_a_trailing_slash(self, api: ApiSide, start_gateway: Start) -> None:
        api.identities["Garáž 1:2"] = KEY
        options = {"path": "/Gar%C3%A1%C5%BE%201:2/", "headers": basic("Garáž 1:2", KEY), "offers": ("x", "ocpp1.6")}
        async with wallbox((await start_gateway()).port, **options) as box:  # type: ignore[arg-type]
            assert box.socket.subprotocol == "ocpp1.6"

    @pytest.mark.parametrize("trusted", ["127.0.0.0/8", "10.0.0.0/8"])
    async def test_forwarding_headers_count_from_a_proxy_only(
        self, api: ApiSide, start_gateway: Start, trusted: str
    ) -> None:
        running = await start_gateway(proxies=trusted)
        forwarded = {"X-Forwarded-For": "6.6.6.6, 203.0.113.9", "X-Forwarded-Proto": "https"}
        async with wallbox(running.port, headers=basic("CP1", KEY) | forwarded):
            connect = await api.wait_for(Connect)
        expected = ("203.0.113.9", True) if trusted.startswith("127") else ("127.0.0.1", False)
        assert (connect.remote_address, connect.secure) == expected

    async def test_one_that_leaves_before_it_is_let_in_is_told_as_gone(
        self, api: ApiSide, start_gateway: Start
    ) -> None:
        api.silent = True
        port = (await start_gateway()).port
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(opening_request())
        connect = await api.wait_for(Connect)
        writer.transport.abort()
        api.silent = False
        await api._take(connect)
        async with wallbox(port) as box:
            assert (await box.call("Heartbeat", {}))[0] == 3
        await api.wait_for(Disconnected, lambda one: one.epoch == 1)


class TestTooOften:
    """Handshakes are limited for each address, before any key is looked at."""

    async def test_one_who_tries_keys(self, api: ApiSide, start_gateway: Start) -> None:
        """The wallbox itself is let in meanwhile, from its own address."""
        running = await start_gateway(proxies="127.0.0.0/8", gateway_handshakes_per_minute=3000)
        attacker = basic("CP1", b"wrong") | {"X-Forwarded-For": "203.0.113.7"}
        statuses = [(await refusal(running.port, headers=attacker)).status_code for _ in range(6)]
        assert statuses == [401] * 5 + [429]
        assert int((await refusal(running.port, headers=attacker)).headers["Retry-After"]) > 0
        assert len([one for one in api.received if isinstance(one, Connect)]) == 5
        right = basic("CP1", KEY)
        assert (await refusal(running.port, headers=right | {"X-Forwarded-For": "203.0.113.7"})).status_code == 429
        async with wallbox(running.port, headers=right | {"X-Forwarded-For": "203.0.113.8"}) as box:
            assert (await box.call("Heartbeat", {}))[0] == 3

    async def test_one_who_tries_identities(self, api: ApiSide, start_gateway: Start) -> None:
        port = (await start_gateway(gateway_handshakes_per_minute=100)).port
        statuses = [(await refusal(port, f"X{number}")).status_code for number in range(8)]
        assert statuses == [404] * 5 + [429] * 3

    async def test_a_forged_header_from_elsewhere_counts_for_nothing(self, api: ApiSide, start_gateway: Start) -> None:
        port = (await start_gateway(gateway_handshakes_per_minute=100)).port
        statuses = []
        for number in range(8):
            headers = basic("CP1", b"wrong") | {"X-Forwarded-For": f"203.0.113.{number}"}
            statuses.append((await refusal(port, headers=headers)).status_code)
        assert statuses == [401] * 5 + [429] * 3

    async def test_what_is_our_fault_costs_nothing(self, start_gateway: Start) -> None:
        """No listener is up: 503 as often as anybody asks."""
        port = (await start_gateway(ready=False, gateway_handshakes_per_minute=3)).port
        assert [(await refusal(port)).status_code for _ in range(6)] == [503] * 6
