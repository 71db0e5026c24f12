"""Quirks on the gateway over real sockets: strict, suggested, set while connected, repaired; and refusals told."""

from tests.corpus import frame_cases
from tests.integration.gateway.api_side import ApiSide
from tests.integration.gateway.conftest import Start
from tests.integration.gateway.wallbox import refusal, wallbox
from wire.messages import ChargePointCall, ChargePointChanged, HandshakeRefused, QuirksSeen
from wire.quirks import QUIRKS

CASES = frame_cases()


async def test_the_corpus_refused_then_taken_on_one_socket(api: ApiSide, start_gateway: Start) -> None:
    async with wallbox((await start_gateway()).port) as box:
        for case in CASES:
            await box.socket.send(case.frame, text=True)
            assert (await box.receive())[:3] == [4, "id", case.refused], case
            assert (await box.call("Heartbeat", {}, "good"))[:2] == [3, "good"]
        gateway, epoch = await api.holder("id-CP1")
        changed = ChargePointChanged("id-CP1", quirks=list(QUIRKS))
        await api.send(api.channels.gateway_inbox(gateway), changed)
        before = len(api.received)
        while (await box.call("Authorize", {"idTag": 1}, "set"))[0] != 3:
            pass
        for case in CASES:
            await box.socket.send(case.frame, text=True)
            assert (await box.receive())[:2] == [3, "id"], case
        assert (await box.call("Heartbeat", {}, "end"))[:2] == [3, "end"]
    taken = [one for one in api.received[before:] if isinstance(one, ChargePointCall) and one.message_id == "id"]
    assert [call.payload for call in taken] == [case.repaired for case in CASES]
    assert [call.refused for call in taken] == [""] * len(CASES)
    for call, case in zip(taken, CASES, strict=True):
        assert call.tolerance is not None
        assert call.tolerance.original in case.frame
        assert call.tolerance.repairs[0].startswith(f"{case.quirk}: ")
    refused = [one for one in api.received[:before] if isinstance(one, ChargePointCall) and one.refused]
    assert all(call.tolerance and call.tolerance.suggested_quirks and call.tolerance.repaired for call in refused)
    seen = await api.wait_for(QuirksSeen)
    assert (seen.charge_point_id, seen.epoch) == ("id-CP1", epoch)


async def test_handshakes_that_the_gateway_refuses_by_itself_are_told(api: ApiSide, start_gateway: Start) -> None:
    port = (await start_gateway()).port
    for _ in range(3):
        assert (await refusal(port, offers=("ocpp2.0.1",))).status_code == 400
    assert (await refusal(port, "CP2", headers={"Authorization": "Basic !"})).status_code == 401
    assert (await refusal(port, path="/no/identity")).status_code == 404
    told = await api.wait_for(HandshakeRefused, lambda one: one.identity == "CP2")
    assert (told.reason, told.remote_address) == ("wrong_key", "127.0.0.1")
    others = [one for one in api.received if isinstance(one, HandshakeRefused) and one is not told]
    assert [(one.identity, one.reason) for one in others] == [("CP1", "wrong_subprotocol")]
