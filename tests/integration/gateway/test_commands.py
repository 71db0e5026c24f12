"""Commands of the api: what reaches the charge point, and what becomes of each (DESIGN 3, Api -> charge point)."""

import time
from dataclasses import replace

from tests.integration.gateway.api_side import ApiSide
from tests.integration.gateway.conftest import QUICK, Start
from tests.integration.gateway.wallbox import METER_VALUES, wallbox
from wire.messages import CommandOutcome, LoggedFrame


async def test_sent_and_answered(api: ApiSide, start_gateway: Start) -> None:
    async with wallbox((await start_gateway()).port) as box:
        command = await api.command("Reset", b'{"type":"Soft"}')
        assert await box.receive() == [2, command.id, "Reset", {"type": "Soft"}]
        await api.outcome(command, "sent")
        await box.send([3, command.id, {"status": "Accepted"}])
        outcome = await api.outcome(command, "result")
        assert (outcome.payload, outcome.notify) == (b'{"status": "Accepted"}', "someone")
        assert (outcome.charge_point_id, outcome.error_code) == ("id-CP1", "")


async def test_a_call_error_and_a_result_that_does_not_fit(api: ApiSide, start_gateway: Start) -> None:
    async with wallbox((await start_gateway()).port) as box:
        command = await api.command()
        await box.receive()
        await box.send([4, command.id, "NotSupported", "no cache here", {}])
        outcome = await api.outcome(command, "call_error")
        assert (outcome.error_code, outcome.error_description) == ("NotSupported", "no cache here")
        command = await api.command()
        await box.receive()
        await box.send([3, command.id, {"status": "Maybe"}])
        outcome = await api.outcome(command, "call_error")
        assert (outcome.error_code, outcome.payload) == ("FormationViolation", b'{"status": "Maybe"}')


async def test_one_at_a_time_and_crossing_calls(api: ApiSide, start_gateway: Start) -> None:
    """J 4.1.1: one outstanding CALL per direction."""
    async with wallbox((await start_gateway()).port) as box:
        first, second = await api.command(), await api.command()
        assert (await box.receive())[1] == first.id
        assert await box.call("MeterValues", METER_VALUES) == [3, "m", {}]
        await box.send([4, "-1", "NotImplemented", "", {}])
        await box.send([3, "nobody waits for this", {}])
        await box.send([3, first.id, {"status": "Accepted"}])
        assert (await box.receive())[1] == second.id


async def test_a_repeated_id_is_sent_once(api: ApiSide, start_gateway: Start) -> None:
    async with wallbox((await start_gateway()).port) as box:
        command = await api.command()
        await api.command(id=command.id)
        other = await api.command()
        assert (await box.receive())[1] == command.id
        await box.send([3, command.id, {"status": "Accepted"}])
        assert (await box.receive())[1] == other.id
        await box.send([3, other.id, {"status": "Rejected"}])
        await api.outcome(other, "result")
    mine = [one for one in api.received if isinstance(one, CommandOutcome) and one.id == command.id]
    assert [one.status for one in mine] == ["sent", "result"]


async def test_another_epoch_is_offline(api: ApiSide, start_gateway: Start) -> None:
    async with wallbox((await start_gateway()).port):
        await api.outcome(await api.command(epoch=77), "offline")
        await api.outcome(await api.command(charge_point_id="id-CP9"), "offline")


async def test_no_answer_is_a_timeout_and_the_next_goes(api: ApiSide, start_gateway: Start) -> None:
    running = await start_gateway(timing=replace(QUICK, command_s=0.2))
    async with wallbox(running.port) as box:
        first = await api.command()
        second = await api.command()
        hurried = await api.command(deadline=time.time() + 0.05)
        assert (await box.receive())[1] == first.id
        await api.outcome(hurried, "timeout")
        await api.outcome(first, "timeout")
        assert (await box.receive())[1] == second.id
        await box.send([3, first.id, {"status": "Accepted"}])
        await box.send([3, second.id, {"status": "Accepted"}])
        await api.outcome(second, "result")
    assert not [one for one in api.received if isinstance(one, CommandOutcome) and one.id == hurried.id][1:]


async def test_a_connection_that_drops_leaves_unknown_and_offline(api: ApiSide, start_gateway: Start) -> None:
    async with wallbox((await start_gateway()).port) as box:
        sent, waiting = await api.command(), await api.command()
        await box.receive()
        await api.outcome(sent, "sent")
        box.socket.transport.abort()
        await api.outcome(sent, "unknown")
        await api.outcome(waiting, "offline")


async def test_an_outcome_waits_for_a_listener(api: ApiSide, start_gateway: Start) -> None:
    async with wallbox((await start_gateway()).port) as box:
        command = await api.command()
        await box.receive()
        await api.outcome(command, "sent")
        await api.stop()
        await box.send([3, command.id, {"status": "Accepted"}])
        assert (await box.call("Heartbeat", {}))[0] == 3
        await api.start()
        await api.outcome(command, "result")


async def test_a_key_is_not_in_the_message_log(api: ApiSide, start_gateway: Start) -> None:
    """WP A00: the new AuthorizationKey goes to the charge point and nowhere else."""
    async with wallbox((await start_gateway()).port) as box:
        secret = "41" * 20
        command = await api.command("ChangeConfiguration", b'{"key":"AuthorizationKey","value":"%s"}' % secret.encode())
        assert (await box.receive())[3]["value"] == secret
        logged = await api.wait_for(LoggedFrame, lambda frame: command.id.encode() in frame.frame)
        assert secret.encode() not in logged.frame
        assert b"***" in logged.frame
