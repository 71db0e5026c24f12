"""Connections of one charge point against each other and against time: take-over, epochs, pings, silence."""

import asyncio
import gc
import weakref
from contextlib import suppress
from dataclasses import replace

from websockets.frames import Frame, Opcode

from ocpp_gateway.connection import Connection
from tests.harness.stack import eventually
from tests.integration.gateway.api_side import KEY, WAIT_S, ApiSide
from tests.integration.gateway.conftest import PATIENT, QUICK, Start
from tests.integration.gateway.wallbox import METER_VALUES, bare_link, opening_request, wallbox
from wire.messages import ChargePointChanged, Disconnected

PING = b"\x89\x00"
PONG = b"\x8a\x80\x00\x00\x00\x00"
"""Empty and, as a client's must be, masked (RFC 6455 5.3)."""


class TestTakeOver:
    """DESIGN 3, Epochs: the newest authenticated connection wins."""

    async def test_within_one_gateway(self, api: ApiSide, start_gateway: Start) -> None:
        port = (await start_gateway()).port
        async with wallbox(port) as old, wallbox(port) as new:
            assert (await old.closed())[0] == 1008
            assert (await new.call("Heartbeat", {}))[0] == 3
            assert (await api.wait_for(Disconnected)).epoch == 1
            assert (await api.holder("id-CP1", at_least=2))[1] == 2

    async def test_across_gateways(self, api: ApiSide, start_gateway: Start) -> None:
        first, second = await start_gateway(), await start_gateway()
        async with wallbox(first.port) as old:
            await api.holder("id-CP1")
            async with wallbox(second.port) as new:
                assert (await old.closed())[0] == 1008
                assert (await new.call("MeterValues", METER_VALUES))[0] == 3
                assert second.gateway is not None
                assert await api.holder("id-CP1", at_least=2) == (second.gateway.id, 2)

    async def test_a_refresh_that_finds_a_newer_epoch_closes_its_own(self, api: ApiSide, start_gateway: Start) -> None:
        async with wallbox((await start_gateway()).port) as box:
            await api.holder("id-CP1")
            await api.redis.hset(api.channels.connection("id-CP1"), mapping={"gateway": "other", "epoch": "99"})
            assert (await box.closed())[0] == 1008
            assert await api.holder("id-CP1") == ("other", 99)

    async def test_the_end_of_a_connection_releases_its_claim(self, api: ApiSide, start_gateway: Start) -> None:
        async with wallbox((await start_gateway()).port):
            await api.holder("id-CP1")
        async with asyncio.timeout(WAIT_S):
            while await api.redis.exists(api.channels.connection("id-CP1")):
                pass

    async def test_many_come_and_go(self, api: ApiSide, start_gateway: Start) -> None:
        running = await start_gateway(timing=PATIENT)
        api.identities = {f"N{number}": KEY for number in range(60)}

        async def visit(identity: str) -> None:
            async with wallbox(running.port, identity) as box:
                assert (await box.call("MeterValues", METER_VALUES))[0] == 3

        await asyncio.gather(*(visit(identity) for identity in api.identities))
        await running.shows("voltuj_gateway_connections 0.0")


class TestLimits:
    """A charge point that takes too much is held back or cut; the others notice nothing."""

    async def test_a_flood_is_read_slowly_and_answered_wholly(self, api: ApiSide, start_gateway: Start) -> None:
        async with wallbox((await start_gateway()).port) as box:
            for number in range(1200):
                await box.send([2, str(number), "Heartbeat", {}])
            assert [(await box.receive())[1] for _ in range(1200)] == [str(number) for number in range(1200)]

    async def test_a_slow_reader_is_cut(self, api: ApiSide, start_gateway: Start) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", (await start_gateway()).port, limit=1024)
        writer.write(opening_request())
        command = await api.command("DataTransfer", b'{"vendorId":"%s"}' % (b"x" * 24 * 1024 * 1024))
        await api.outcome(command, "unknown")
        assert (await api.wait_for(Disconnected)).reason == "slow reader"
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


class TestAnswersAndTheEnd:
    """Answers leave when all that has come is read; the end that it brings does not overtake them."""

    async def test_heartbeats_and_a_forbidden_frame_in_one_write(self, api: ApiSide, start_gateway: Start) -> None:
        async with bare_link((await start_gateway()).port) as (reader, writer):
            asked = [Frame(Opcode.TEXT, b'[2,"%d","Heartbeat",{}]' % number) for number in range(2)]
            writer.write(b"".join(frame.serialize(mask=True) for frame in (*asked, Frame(Opcode.BINARY, b"x"))))
            said = await reader.read()
        assert 0 < said.find(b'[3,"0"') < said.find(b'[3,"1"') < said.find(b"\x88\x12\x03\xebtext frames only"), said


class TestSilence:
    """A silent link is closed after a multiple of the ping interval (OCPP.md, Transport)."""

    async def test_a_link_that_answers_pings_stays(self, api: ApiSide, start_gateway: Start) -> None:
        """Far beyond the limit of silence, ping after ping."""
        running = await start_gateway(ping_s=0.1)
        async with bare_link(running.port) as (reader, writer):
            for _ in range(10):
                assert await reader.readexactly(2) == PING
                writer.write(PONG)

    async def test_a_link_that_falls_silent_is_closed(self, api: ApiSide, start_gateway: Start) -> None:
        """Pings come; after one answer silence: the gateway closes and cuts the socket."""
        running = await start_gateway(ping_s=0.2, timing=replace(QUICK, close_s=0.2))
        async with bare_link(running.port) as (reader, writer):
            assert await reader.readexactly(2) == PING
            writer.write(PONG)
            rest = await reader.read()
        assert rest.endswith(b"\x88\x11\x03\xf3no sign of life"), rest
        ended = await api.wait_for(Disconnected)
        assert "no sign of life" in ended.reason

    async def test_the_heartbeat_interval_of_who_answers_no_ping_may_change(
        self, api: ApiSide, start_gateway: Start
    ) -> None:
        """Until then ten minutes of silence are allowed, whatever pings are left unanswered."""
        running = await start_gateway(ping_s=0.2)
        api.heartbeat_interval_s = 600
        async with bare_link(running.port) as (reader, _):
            for _ in range(5):
                assert await reader.readexactly(2) == PING
            assert running.gateway is not None
            inbox = api.channels.gateway_inbox(running.gateway.id)
            await api.send(inbox, ChargePointChanged("id-CP1", heartbeat_interval_s=1))
            assert (await reader.read()).endswith(b"\x88\x11\x03\xf3no sign of life")


class TestTheEnd:
    """Whose link is over is let go of at once."""

    async def test_nothing_holds_a_socket_until_its_next_ping(self, api: ApiSide, start_gateway: Start) -> None:
        running = await start_gateway(ping_s=3600)
        assert running.gateway is not None
        async with wallbox(running.port):
            await api.holder("id-CP1")
            open_here = (each for each in gc.get_objects() if type(each) is Connection and each.is_open)
            (socket,) = map(weakref.ref, open_here)

        async def is_gone() -> bool:
            gc.collect()
            return socket() is None

        await eventually(is_gone, "the connection to be let go of", WAIT_S)
