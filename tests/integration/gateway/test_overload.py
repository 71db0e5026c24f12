"""More than the api can take: what has a slot, who waits, who is not read and who is not let in."""

from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

from tests.integration.gateway.api_side import KEY, ApiSide
from tests.integration.gateway.conftest import PATIENT, Running, Start
from tests.integration.gateway.wallbox import METER_VALUES, Wallbox, refusal, wallbox
from wire.messages import CallOutcome, ChargePointCall

START = {"connectorId": 1, "idTag": "T", "meterStart": 0, "timestamp": "2026-01-01T00:00:00Z"}


class Crowd:
    """Connected charge points of an api that has fallen silent, each with a CALL to send."""

    def __init__(self, api: ApiSide, running: Running, stack: AsyncExitStack) -> None:
        self.api, self.running, self._stack = api, running, stack
        self.boxes: dict[str, Wallbox] = {}

    async def connect(self, *identities: str) -> None:
        self.api.identities = dict.fromkeys(identities, KEY)
        for identity in identities:
            self.boxes[identity] = await self._stack.enter_async_context(wallbox(self.running.port, identity))
        self.api.silent = True

    async def send(self, identity: str, action: str, payload: Any, *, waiting: int) -> None:
        """Sends a CALL; returns when the gateway says that so many wait."""
        await self.boxes[identity].send([2, identity, action, payload])
        if waiting:
            await self.running.shows(f"voltuj_gateway_waiting {waiting}.0")
        else:
            await self.api.wait_for(ChargePointCall, lambda call: call.message_id == identity)

    async def arrival(self, identity: str, api: ApiSide | None = None) -> ChargePointCall:
        """Waits until the api has it."""
        return await (api or self.api).wait_for(ChargePointCall, lambda call: call.message_id == identity)

    async def answer(self, identity: str) -> None:
        """The api commits it after all."""
        call = await self.arrival(identity)
        await self.api.send(call.reply_to, CallOutcome(call.id, call.charge_point_id))

    def arrived(self) -> list[str]:
        return [call.message_id for call in self.api.received if isinstance(call, ChargePointCall)]


@pytest.fixture
async def crowd(api: ApiSide, start_gateway: Start) -> Any:
    """A gateway whose listener takes one question at a time, and lets two wait."""
    running = await start_gateway(timing=PATIENT, gateway_in_flight_per_listener=1, gateway_waiting=2)
    async with AsyncExitStack() as stack:
        yield Crowd(api, running, stack)


async def test_starts_and_stops_go_before_readings(crowd: Crowd) -> None:
    await crowd.connect("A", "B", "C", "D", "E")
    await crowd.send("A", "MeterValues", METER_VALUES, waiting=0)
    await crowd.send("B", "MeterValues", METER_VALUES, waiting=1)
    await crowd.send("C", "Authorize", {"idTag": "T"}, waiting=2)
    await crowd.send("D", "StartTransaction", START, waiting=3)
    await crowd.send("E", "StartTransaction", START, waiting=4)
    assert crowd.arrived() == ["A"]
    for identity in "ADECB":
        await crowd.answer(identity)
        assert (await crowd.boxes[identity].receive())[:2] == [3, identity]
    assert crowd.arrived() == ["A", "D", "E", "C", "B"]


async def test_one_who_sends_without_waiting_overtakes_nobody(crowd: Crowd) -> None:
    """Its next CALL would be there the moment the slot of its last one is free."""
    await crowd.connect("A", "B")
    await crowd.send("A", "MeterValues", METER_VALUES, waiting=0)
    await crowd.boxes["A"].send([2, "again", "MeterValues", METER_VALUES])
    await crowd.send("B", "MeterValues", METER_VALUES, waiting=1)
    for message_id in ("A", "B", "again"):
        await crowd.answer(message_id)
    assert crowd.arrived() == ["A", "B", "again"]


async def test_a_socket_whose_call_waits_is_not_read(crowd: Crowd) -> None:
    """Ten unreadable frames in a row close a connection that is read."""
    await crowd.connect("A", "B", "C")
    await crowd.send("A", "MeterValues", METER_VALUES, waiting=0)
    await crowd.send("B", "MeterValues", METER_VALUES, waiting=1)
    for _ in range(10):
        await crowd.boxes["B"].send("garbage")
    for number in range(20):
        assert (await crowd.boxes["C"].call("Heartbeat", {}, str(number)))[:2] == [3, str(number)]
    await crowd.answer("A")
    await crowd.answer("B")
    assert (await crowd.boxes["B"].receive())[:2] == [3, "B"]
    assert (await crowd.boxes["B"].closed())[0] == 1008


async def test_nobody_new_is_let_in_while_too_many_wait(crowd: Crowd) -> None:
    await crowd.connect("A", "B", "C")
    await crowd.send("A", "MeterValues", METER_VALUES, waiting=0)
    await crowd.send("B", "MeterValues", METER_VALUES, waiting=1)
    await crowd.send("C", "MeterValues", METER_VALUES, waiting=2)
    responses = [await refusal(crowd.running.port) for _ in range(12)]
    assert {response.status_code for response in responses} == {503}
    pauses_s = {int(response.headers["Retry-After"]) for response in responses}
    assert len(pauses_s) > 1, "all were told to come again at the same time"
    assert all(10 <= pause_s <= 30 for pause_s in pauses_s)
    await crowd.running.shows('voltuj_gateway_handshakes_total{result="saturated"} 12.0')
    for identity in "ABC":
        await crowd.answer(identity)
    await crowd.running.shows("voltuj_gateway_waiting 0.0")
    crowd.api.silent, crowd.api.identities = False, {"CP1": KEY}
    async with wallbox(crowd.running.port) as box:
        assert (await box.call("MeterValues", METER_VALUES))[0] == 3


async def test_one_who_hangs_up_keeps_its_slot_until_the_api_is_done(crowd: Crowd) -> None:
    """Else whoever comes and goes would fill the listener without bound."""
    await crowd.connect("A", "B")
    await crowd.send("A", "MeterValues", METER_VALUES, waiting=0)
    await crowd.boxes["A"].socket.close()
    await crowd.running.shows("voltuj_gateway_connections 1.0")
    await crowd.send("B", "MeterValues", METER_VALUES, waiting=1)
    assert crowd.arrived() == ["A"]
    await crowd.answer("A")
    await crowd.arrival("B")


async def test_who_waits_for_a_listener_that_leaves_goes_to_another(crowd: Crowd, second_api: ApiSide) -> None:
    await crowd.connect("A", "B")
    await crowd.send("A", "MeterValues", METER_VALUES, waiting=0)
    await crowd.send("B", "MeterValues", METER_VALUES, waiting=1)
    await second_api.start()
    await crowd.running.shows("voltuj_gateway_listeners 2.0")
    await crowd.api.stop()
    await crowd.arrival("B", second_api)
    assert (await crowd.boxes["B"].receive())[:2] == [3, "B"]


async def test_what_a_silent_listener_holds_past_its_deadline_is_asked_no_more(
    api: ApiSide, start_gateway: Start
) -> None:
    """J: it is sent away to come again, and the next one has its slot."""
    timing = replace(PATIENT, call_deadline_s=2)
    running = await start_gateway(timing=timing, gateway_in_flight_per_listener=1, gateway_waiting=2)
    async with AsyncExitStack() as stack:
        crowd = Crowd(api, running, stack)
        await crowd.connect("A", "B")
        await crowd.send("A", "MeterValues", METER_VALUES, waiting=0)
        assert (await crowd.boxes["A"].closed())[0] == 1013
        await crowd.send("B", "MeterValues", METER_VALUES, waiting=0)
        await crowd.answer("B")
        assert (await crowd.boxes["B"].receive())[:2] == [3, "B"]


async def test_no_more_connections_than_there_may_be(api: ApiSide, start_gateway: Start) -> None:
    running = await start_gateway(gateway_most_connections=1)
    async with wallbox(running.port):
        assert (await refusal(running.port, "CP2")).status_code == 503
    await running.shows("voltuj_gateway_connections 0.0")
    async with wallbox(running.port, "CP2") as box:
        assert (await box.call("Heartbeat", {}))[0] == 3
