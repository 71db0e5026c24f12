"""CALLs of a charge point on their way to the api and back: order, fail-over, deadlines, bad frames."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

from standalone.servers import free_port, start_redis
from tests.integration.gateway.api_side import ApiSide
from tests.integration.gateway.conftest import QUICK, Start
from tests.integration.gateway.wallbox import METER_VALUES, wallbox
from tests.unit.ocpp_gateway.bad_frames import BAD_FRAMES
from wire.messages import CallOutcome, ChargePointCall, ChargePointChanged, LoggedFrame


class TestBadFrames:
    """J 4.2: each gets its refusal, and the next good frame on the same socket is served."""

    async def test_each_on_one_socket(self, api: ApiSide, start_gateway: Start) -> None:
        async with wallbox((await start_gateway()).port) as box:
            for number, bad in enumerate(BAD_FRAMES):
                await box.socket.send(bad.frame, text=True)
                answer = await box.receive()
                assert answer[:3] == [4, bad.message_id, bad.code], bad.name
                assert len(answer) == 5
                assert (await box.call("Heartbeat", {}, f"good-{number}"))[:2] == [3, f"good-{number}"]

    async def test_ten_unreadable_in_a_row_close(self, api: ApiSide, start_gateway: Start) -> None:
        async with wallbox((await start_gateway()).port) as box:
            for _ in range(10):
                await box.send("garbage")
            assert (await box.closed())[0] == 1008

    async def test_what_websocket_itself_forbids(self, api: ApiSide, start_gateway: Start) -> None:
        port = (await start_gateway()).port
        async with wallbox(port) as box:
            await box.send(b"[2]")
            assert (await box.closed())[0] == 1003
        async with wallbox(port) as box:
            await box.send("x" * (600 * 1024))
            assert (await box.closed())[0] == 1009
        async with wallbox(port) as box:
            assert (await box.call("Heartbeat", {}))[0] == 3

    async def test_a_fragmented_frame_is_one_frame(self, api: ApiSide, start_gateway: Start) -> None:
        async with wallbox((await start_gateway()).port) as box:
            await box.socket.send(["[2,", '"f",', '"Heartbeat",', "{}]"])
            assert (await box.receive())[:2] == [3, "f"]

    async def test_a_start_that_must_be_refused_is_committed_first(self, api: ApiSide, start_gateway: Start) -> None:
        """DESIGN 2.3."""
        async with wallbox((await start_gateway()).port) as box:
            api.silent = True
            broken = '[2,"s","StartTransaction",{"connectorId":1,"idTag":,"meterStart":0}]'
            await box.send(broken)
            call = await api.wait_for(ChargePointCall)
            assert (call.refused, call.action) == ("FormationViolation", "StartTransaction")
            assert call.payload == b'{"connectorId":1,"idTag":,"meterStart":0}'
            await api.send(call.reply_to, CallOutcome(call.id, call.charge_point_id))
            assert (await box.receive())[:3] == [4, "s", "FormationViolation"]

    async def test_what_fits_no_number_or_string_is_for_the_api(self, api: ApiSide, start_gateway: Start) -> None:
        async with wallbox((await start_gateway()).port) as box:
            for number, value in enumerate((r'"\ud800"', "1e400000", "9" * 5000)):
                await box.send(f'[2,"{number}","StopTransaction",{{"idTag":{value}}}]')
                assert await box.receive() == [3, str(number), {}]
                assert api.calls("StopTransaction")[number].payload == f'{{"idTag":{value}}}'.encode()
                assert api.calls("StopTransaction")[number].refused == ""


class TestOrder:
    """J 4.1.1."""

    async def test_pipelined_calls_are_answered_in_order(self, api: ApiSide, start_gateway: Start) -> None:
        async with wallbox((await start_gateway()).port) as box:
            for number in range(60):
                action = ("MeterValues", "Heartbeat", "Nonsense")[number % 3]
                await box.send([2, str(number), action, METER_VALUES if action == "MeterValues" else {}])
            assert [(await box.receive())[1] for _ in range(60)] == [str(number) for number in range(60)]
        assert [call.sequence for call in api.calls("MeterValues")] == list(range(1, 21))

    async def test_the_answer_is_what_was_committed(self, api: ApiSide, start_gateway: Start) -> None:
        api.answers["Authorize"] = b'{"idTagInfo":{"status":"Invalid"}}'
        async with wallbox((await start_gateway()).port) as box:
            assert await box.call("Authorize", {"idTag": "x"}) == [3, "m", {"idTagInfo": {"status": "Invalid"}}]

    async def test_a_change_of_registration_counts_at_once(self, api: ApiSide, start_gateway: Start) -> None:
        async with wallbox((await start_gateway()).port) as box:
            gateway, _ = await api.holder("id-CP1")
            inbox = api.channels.gateway_inbox(gateway)
            await api.send(inbox, ChargePointChanged("id-CP1", registration="Pending"))
            async with asyncio.timeout(10):
                while (await box.call("Heartbeat", {}))[0] == 3:
                    pass
            await api.send(inbox, ChargePointChanged("id-CP1", close=True))
            assert await box.closed() == (1008, "access of this charge point changed")


class TestFailOver:
    """DESIGN 3.2."""

    async def test_a_silent_listener_is_retried_elsewhere_and_avoided(
        self, api: ApiSide, second_api: ApiSide, start_gateway: Start
    ) -> None:
        running = await start_gateway()
        async with wallbox(running.port) as box:
            api.silent = True
            await second_api.start()
            async with asyncio.timeout(10):
                while "voltuj_gateway_listeners 2.0" not in (await running.get("/metrics"))[1]:
                    pass
            for number in range(8):
                assert (await box.call("MeterValues", METER_VALUES, str(number)))[:2] == [3, str(number)]
        ids = [call.id for call in second_api.calls("MeterValues")]
        assert len(ids) == 8
        assert {call.id for call in api.calls("MeterValues")} <= {ids[0]}

    async def test_a_listener_that_is_gone_is_left_at_once(
        self, api: ApiSide, second_api: ApiSide, start_gateway: Start
    ) -> None:
        running = await start_gateway()
        async with wallbox(running.port) as box:
            await second_api.start()
            async with asyncio.timeout(10):
                while "voltuj_gateway_listeners 2.0" not in (await running.get("/metrics"))[1]:
                    pass
            await api.stop()
            assert (await box.call("MeterValues", METER_VALUES))[0] == 3
            assert "voltuj_gateway_missed_attempts_total 0.0" in (await running.get("/metrics"))[1]

    async def test_a_short_restart_of_the_api_disconnects_nobody(self, api: ApiSide, start_gateway: Start) -> None:
        running = await start_gateway()
        async with wallbox(running.port) as box:
            await api.stop()
            await box.send([2, "kept", "MeterValues", METER_VALUES])
            async with asyncio.timeout(10):
                while (await running.get("/readyz"))[0] == 200:
                    pass
            await api.start()
            assert await box.receive() == [3, "kept", {}]
            assert (await box.call("Heartbeat", {}))[0] == 3

    async def test_no_listener_until_the_deadline_is_1013(self, api: ApiSide, start_gateway: Start) -> None:
        """DESIGN 2.3: no CALLERROR, the charge point keeps the message."""
        async with wallbox((await start_gateway()).port) as box:
            await api.stop()
            await box.send([2, "kept", "MeterValues", METER_VALUES])
            assert await box.closed() == (1013, "try again later")

    async def test_listeners_that_never_answer_are_1013_too(self, api: ApiSide, start_gateway: Start) -> None:
        async with wallbox((await start_gateway()).port) as box:
            api.silent = True
            await box.send([2, "kept", "MeterValues", METER_VALUES])
            assert (await box.closed())[0] == 1013
        assert len({call.id for call in api.calls("MeterValues")}) == 1
        assert len(api.calls("MeterValues")) == 2, "one attempt and one retry"

    async def test_a_restart_of_redis(self, redis_prefix: str, start_gateway: Start, tmp_path: Path) -> None:
        folder, port = tmp_path, free_port()
        redis = start_redis(folder, port=port)
        api = ApiSide(redis.url, redis_prefix)
        try:
            await api.start()
            running = await start_gateway(url=redis.url, timing=replace(QUICK, call_deadline_s=15))
            async with wallbox(running.port) as box:
                holder = await api.holder("id-CP1")
                await api.stop()
                await asyncio.to_thread(redis.stop)
                await box.send([2, "kept", "MeterValues", METER_VALUES])
                redis = start_redis(folder, port=port)
                await api.start()
                assert await box.receive() == [3, "kept", {}]
                assert await api.holder("id-CP1") == holder, "the claim is written again"
                await api.redis.flushall()
                assert await api.holder("id-CP1") == holder
        finally:
            await api.close()
            await asyncio.to_thread(redis.stop)


class TestMessageLog:
    """What no forwarded CALL carries reaches the log; what one carries is not sent twice."""

    async def test_heartbeats_and_refusals(self, api: ApiSide, start_gateway: Start) -> None:
        async with wallbox((await start_gateway()).port) as box:
            await box.call("Heartbeat", {}, "h")
            await box.call("MeterValues", METER_VALUES, "v")
            await box.call("Nonsense", {}, "n")
            await api.wait_for(LoggedFrame, lambda frame: b"NotImplemented" in frame.frame)
        logged = [message for message in api.received if isinstance(message, LoggedFrame)]
        assert [(frame.direction, json.loads(frame.frame)[1]) for frame in logged] == [
            *(("in", "h"), ("out", "h")),
            *(("in", "n"), ("out", "n")),
        ]
        assert {(frame.charge_point_id, frame.epoch) for frame in logged} == {("id-CP1", 1)}
