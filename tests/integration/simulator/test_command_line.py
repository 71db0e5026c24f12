"""`python -m simulator` as a process: its sentences, its exit codes, its signals."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from http import HTTPStatus
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from standalone.servers import free_port
from tests.integration.simulator.central_system import CentralSystem

QUICK = ("--plain", "--duration", "0.5", "--meter-interval", "0.2", "--pause", "0.1")


async def simulator(*arguments: str) -> Process:
    command = (sys.executable, "-m", "simulator", *arguments)
    environment = {**os.environ, "SIMULATOR_KEY": "secret"}
    return await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, env=environment)


async def test_counts_sessions_and_ends(central_system: CentralSystem) -> None:
    process = await simulator(
        "--url", central_system.url, "--identity", "CP 1", "--id-tag", "A", "--count", "1", *QUICK
    )
    output, errors = await process.communicate()
    events = [json.loads(line) for line in output.splitlines()]
    assert (process.returncode, errors) == (0, b"")
    assert [event["transaction"] for event in events if event["event"] == "stopped"] == [1001]


async def test_the_url_may_end_in_the_identity(central_system: CentralSystem) -> None:
    url = f"{central_system.url}/prefix/CP%201"
    process = await simulator("--url", url, "--id-tag", "A", "--count", "1", *QUICK)
    await process.communicate()
    assert process.returncode == 0
    assert {path for path, _ in central_system.handshakes} == {"/prefix/CP%201"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_the_session_properly(central_system: CentralSystem, number: signal.Signals) -> None:
    arguments = ("--url", central_system.url, "--identity", "CP 1", "--id-tag", "A", "--duration", "600")
    process = await simulator(*arguments, "--meter-interval", "0.1")
    await central_system.until_received("MeterValues")
    process.send_signal(number)
    output, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
    assert len(central_system.of("StopTransaction")) == 1
    assert b"transaction 1001 stopped" in output


async def test_killed_in_mid_session_it_stops_after_the_next_boot(
    central_system: CentralSystem, tmp_path: Path
) -> None:
    arguments = ("--url", central_system.url, "--identity", "CP 1", "--state", str(tmp_path / "state.json"))
    killed = await simulator(*arguments, "--id-tag", "A", "--duration", "600", "--meter-interval", "0.1", "--plain")
    await central_system.until_received("MeterValues")
    killed.kill()
    await killed.communicate()
    second = await simulator(*arguments, "--plain")
    stop = await central_system.until_received("StopTransaction")
    assert (stop.payload["reason"], stop.payload["transactionId"]) == ("PowerLoss", 1001)
    second.terminate()
    await second.communicate()


async def sentence_of(*arguments: str) -> str:
    process = await simulator(*arguments)
    output, errors = await process.communicate()
    assert (process.returncode, output) == (1, b"")
    (sentence,) = errors.decode().splitlines()
    return sentence


async def test_refusals_are_one_sentence(central_system: CentralSystem, tmp_path: Path) -> None:
    url = central_system.url
    assert "(401): check --key" in await sentence_of("--url", url, "--identity", "CP 1", "--key", "wrong")
    assert "(404): check --identity" in await sentence_of("--url", url, "--identity", "other")
    assert "no identity" in await sentence_of("--url", url)
    assert "not a WebSocket URL" in await sentence_of("--url", "http://127.0.0.1/x")
    nobody = f"ws://127.0.0.1:{free_port()}/x"
    assert "Nothing listens on" in await sentence_of("--url", nobody)
    broken = tmp_path / "state.json"
    broken.write_text("{")
    assert "is broken" in await sentence_of("--url", url, "--identity", "CP 1", "--state", str(broken))


async def test_a_server_without_the_subprotocol_is_named() -> None:
    async with serve(_end, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        assert "does not speak ocpp1.6" in await sentence_of("--url", f"ws://127.0.0.1:{port}/x")


async def test_a_server_that_is_not_ready_is_named() -> None:
    async with serve(_end, "127.0.0.1", 0, process_request=_not_ready) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        assert "is not ready (503)" in await sentence_of("--url", f"ws://127.0.0.1:{port}/x")


async def _end(connection: ServerConnection) -> None:
    await connection.wait_closed()


def _not_ready(connection: ServerConnection, request: Request) -> Response:
    return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "")
