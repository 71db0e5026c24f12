"""The real process, `python -m ocpp_gateway`, with nothing but environment variables."""

import asyncio
import os
import signal
import sys

from standalone.servers import free_port
from tests.integration.gateway.api_side import KEY, ApiSide
from tests.integration.gateway.conftest import Start
from tests.integration.gateway.wallbox import BOOT, METER_VALUES, basic, refusal, wallbox
from wire.messages import ChargePointCall, Disconnected, LoggedFrame


async def run(**environment: str) -> tuple[int, str]:
    """Runs the gateway until it ends by itself; returns the status and all that it wrote."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ocpp_gateway"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | environment,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_serves_a_charge_point(api: ApiSide, start_process: Start) -> None:
    api.registration = ""
    running = await start_process()
    await running.ready()
    async with wallbox(running.port) as box:
        assert box.socket.subprotocol == "ocpp1.6"
        assert "Sec-WebSocket-Extensions" not in (box.socket.response.headers if box.socket.response else {})
        assert (await box.call("Heartbeat", {}))[2] == "SecurityError"
        assert (await box.call("BootNotification", BOOT, "b"))[:2] == [3, "b"]
        heartbeat = await box.call("Heartbeat", {}, "h")
        assert heartbeat[:2] == [3, "h"]
        assert heartbeat[2]["currentTime"].endswith("Z")
        assert await box.call("MeterValues", METER_VALUES, "v") == [3, "v", {}]
    call = await api.wait_for(ChargePointCall, lambda one: one.action == "MeterValues")
    assert (call.charge_point_id, call.epoch, call.sequence, call.message_id) == ("id-CP1", 1, 2, "v")
    logged = await api.wait_for(LoggedFrame, lambda frame: b"currentTime" in frame.frame)
    assert logged.direction == "out"
    ended = await api.wait_for(Disconnected)
    assert (ended.charge_point_id, ended.epoch) == ("id-CP1", 1)
    status, text = await running.get("/metrics")
    assert status == 200
    assert 'voltuj_gateway_frames_total{action="MeterValues",direction="in"} 1.0' in text
    assert 'voltuj_gateway_call_errors_total{code="SecurityError"} 1.0' in text
    assert (await running.get("/healthz"))[0] == 200
    assert (await running.get("/nothing"))[0] == 404


async def test_stops_in_order(api: ApiSide, start_process: Start) -> None:
    """An acknowledged CALL is answered before the close; 1012 tells the charge point to come back."""
    running = await start_process()
    await running.ready()
    async with wallbox(running.port) as box:
        await api.holder("id-CP1")
        api.silent = True
        await box.send([2, "last", "MeterValues", METER_VALUES])
        call = await api.wait_for(ChargePointCall)
        assert running.process is not None
        running.process.send_signal(signal.SIGTERM)
        assert (await refusal(running.port, "CP2")).status_code == 503
        await box.send([2, "late", "MeterValues", METER_VALUES])
        api.silent = False
        await api._take(call)
        assert await box.receive() == [3, "last", {}]
        assert await box.closed() == (1012, "service restart")
    assert await running.process.wait() == 0
    assert not await api.redis.exists(api.channels.connection("id-CP1"))
    await api.wait_for(Disconnected)
    assert [one.message_id for one in api.calls("MeterValues")][-1] == "last"


async def test_no_api_is_503_with_retry_after(start_process: Start) -> None:
    running = await start_process()
    response = await refusal(running.port)
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert (await running.get("/readyz"))[0] == 503


async def test_no_redis_is_503(start_process: Start) -> None:
    running = await start_process(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    assert (await refusal(running.port)).status_code == 503
    assert (await running.get("/readyz"))[0] == 503
    assert (await running.get("/healthz"))[0] == 200


async def test_keys_are_not_in_the_log(api: ApiSide, start_process: Start) -> None:
    running = await start_process(LOG_LEVEL="debug")
    await running.ready()
    for key in (KEY, b"wrong-but-secret-key"):
        if key == KEY:
            async with wallbox(running.port, key=key):
                pass
        else:
            await refusal(running.port, key=key)
    assert running.process is not None
    running.process.terminate()
    output, _ = await running.process.communicate()
    assert b"refused" in output
    for secret in (KEY, b"wrong-but-secret-key", basic("CP1", KEY)["Authorization"].split(" ")[1].encode()):
        assert secret not in output


async def test_wrong_settings_are_one_sentence_each() -> None:
    status, output = await run(GATEWAY_PORT="port", REDIS_URL="http://redis", GATEWAY_TRUSTED_PROXIES="10.0.0.0/99")
    assert status == 2
    lines = output.strip().splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "Wrong setting REDIS_URL",
        "Wrong setting GATEWAY_PORT",
        "Wrong setting GATEWAY_TRUSTED_PROXIES",
    ]


async def test_a_taken_port_is_one_sentence(redis_url: str) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = str(server.sockets[0].getsockname()[1])
    for setting in ("GATEWAY_PORT", "GATEWAY_OPERATIONS_PORT"):
        ports = {"GATEWAY_PORT": "0", "GATEWAY_OPERATIONS_PORT": "0", setting: port}
        status, output = await run(GATEWAY_HOST="127.0.0.1", REDIS_URL=redis_url, **ports)
        assert status == 1
        assert setting in output
        assert "Traceback" not in output
    server.close()
    await server.wait_closed()
