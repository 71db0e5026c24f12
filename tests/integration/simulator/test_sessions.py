"""Sessions of a simulated charge point against a bare central system: the good case and each misbehaviour."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.integration.simulator.central_system import CallError, CentralSystem, Silence
from tests.integration.simulator.conftest import StartBox

SESSION = ("StartTransaction", "MeterValues", "StopTransaction")


async def test_a_whole_session(central_system: CentralSystem, start_box: StartBox) -> None:
    box = start_box(id_tags=("CARD1",), count=1, power_w=22_000, speed_up=1000, transaction_data=True)
    await box.running
    actions = [message.action for message in central_system.received]
    assert actions[:3] == ["BootNotification", "StatusNotification", "StatusNotification"]
    statuses = [(m.payload["connectorId"], m.payload["status"]) for m in central_system.of("StatusNotification")]
    assert statuses[:2] == [(0, "Available"), (1, "Available")]
    assert [status for _, status in statuses[2:]] == ["Preparing", "Charging", "Finishing", "Available"]
    assert [m.payload["idTag"] for m in central_system.of("Authorize")] == ["CARD1"]
    start, *values, stop = central_system.of(*SESSION)
    assert (start.action, stop.action, len(values)) == ("StartTransaction", "StopTransaction", 3)
    assert start.payload["meterStart"] == 0
    assert {value.payload["transactionId"] for value in values} == {1001}
    energy_wh = stop.payload["meterStop"]
    assert 22_000 * 1000 * 0.4 / 3600 <= energy_wh < 22_000 * 1000 * 10 / 3600
    begin, end = stop.payload["transactionData"]
    assert begin["sampledValue"][0]["value"] == "0"
    assert end["sampledValue"][0]["value"] == str(energy_wh)
    assert box.told("stopped")[0]["energy_wh"] == energy_wh


async def test_meter_values_carry_energy_power_and_phases(central_system: CentralSystem, start_box: StartBox) -> None:
    start_box(id_tags=("CARD1",), power_w=6900)
    value = await central_system.until_received("MeterValues")
    samples = {(s["measurand"], s.get("phase")): s["value"] for s in value.payload["meterValue"][0]["sampledValue"]}
    assert samples["Power.Active.Import", None] == "6900"
    assert samples["Current.Import", "L1"] == "10.0"
    assert samples["Voltage", "L3-N"] == "230"
    assert ("Energy.Active.Import.Register", None) in samples
    sampled_at = datetime.fromisoformat(value.payload["meterValue"][0]["timestamp"])
    assert abs(sampled_at - datetime.now(UTC)) < timedelta(minutes=1)


async def test_cards_and_connectors_take_turns(central_system: CentralSystem, start_box: StartBox) -> None:
    box = start_box(id_tags=("A", "B", "C"), connectors=2, count=3, duration_s=0.15)
    await box.running
    starts = [(m.payload["connectorId"], m.payload["idTag"]) for m in central_system.of("StartTransaction")]
    assert starts == [(1, "A"), (2, "B"), (1, "C")]


async def test_boot_is_repeated_until_accepted(central_system: CentralSystem, start_box: StartBox) -> None:
    """4.2: at the interval, and nothing else is sent before Accepted."""
    answers = iter(["Pending", "Rejected", "Accepted"])
    central_system.answers["BootNotification"] = lambda _: {
        "status": next(answers), "currentTime": "2026-01-01T00:00:00Z", "interval": 1,
    }  # fmt: skip
    start_box()
    await central_system.until_received("StatusNotification", 2)
    assert [m.action for m in central_system.received][:3] == ["BootNotification"] * 3


async def test_heartbeats_at_the_interval(central_system: CentralSystem, start_box: StartBox) -> None:
    central_system.answers["BootNotification"] = lambda _: {
        "status": "Accepted", "currentTime": "2026-01-01T00:00:00Z", "interval": 1,
    }  # fmt: skip
    start_box()
    await central_system.until_received("Heartbeat", 2)


async def test_a_refused_card_starts_nothing(central_system: CentralSystem, start_box: StartBox) -> None:
    central_system.answers["Authorize"] = lambda _: {"idTagInfo": {"status": "Blocked"}}
    box = start_box(id_tags=("CARD1",), count=1)
    await box.running
    assert box.told("not_authorized")
    assert not central_system.of(*SESSION)
    assert central_system.of("StatusNotification")[-1].payload["status"] == "Available"


async def test_a_start_that_is_not_accepted_is_deauthorized(central_system: CentralSystem, start_box: StartBox) -> None:
    """4.8: StopTransactionOnInvalidId."""
    central_system.answers["StartTransaction"] = lambda _: {"transactionId": 7, "idTagInfo": {"status": "Invalid"}}
    await start_box(id_tags=("CARD1",), count=1, duration_s=30).running
    stop = central_system.of("StopTransaction")[0].payload
    assert (stop["transactionId"], stop["reason"]) == (7, "DeAuthorized")


async def test_call_errors_use_up_the_attempts(central_system: CentralSystem, start_box: StartBox) -> None:
    """3.7.1: after TransactionMessageAttempts the message is thrown away, and the next one goes."""
    central_system.answers["StartTransaction"] = lambda _: CallError("InternalError")
    box = start_box(id_tags=("CARD1",), count=1)
    await box.running
    assert len(central_system.of("StartTransaction")) == 3
    assert [event["given_up"] for event in box.told("call_error")] == [False, False, True]
    assert central_system.of("StopTransaction")[0].payload["transactionId"] == -1


async def test_a_lost_connection_uses_up_nothing(central_system: CentralSystem, start_box: StartBox) -> None:
    """3.7: messages wait for the connection, in order, however often it is lost."""
    box = start_box(id_tags=("CARD1",), count=1)
    central_system.answers["StartTransaction"] = lambda _: Silence()
    for attempt in range(1, 6):
        await central_system.until_received("StartTransaction", attempt)
        if attempt == 5:
            central_system.answers["StartTransaction"] = lambda _: {
                "transactionId": 9, "idTagInfo": {"status": "Accepted"},
            }  # fmt: skip
        await central_system.close(1012)
    await box.running
    starts = central_system.of("StartTransaction")
    assert len({str(message.payload) for message in starts}) == 1
    assert central_system.of("StopTransaction")[-1].payload["transactionId"] == 9
    assert len(central_system.of("BootNotification")) == 1


async def test_offline_in_mid_session(central_system: CentralSystem, start_box: StartBox) -> None:
    box = start_box(id_tags=("CARD1",), count=1, duration_s=0.6, offline_after_s=0.25, offline_for_s=0.8)
    await box.running
    sent = central_system.of(*SESSION)
    assert [message.action for message in sent][-1] == "StopTransaction"
    assert {message.connection for message in sent} == {1, 2}
    timestamps = [m.payload["meterValue"][0]["timestamp"] for m in sent if m.action == "MeterValues"]
    assert timestamps == sorted(timestamps)
    assert len(central_system.of("BootNotification")) == 1, "J 5.4: a reconnect is no boot"


async def test_lost_answers_are_sent_again_unchanged(central_system: CentralSystem, start_box: StartBox) -> None:
    central_system.answers["StartTransaction"] = lambda _: {"transactionId": 5, "idTagInfo": {"status": "Accepted"}}
    box = start_box(id_tags=("CARD1",), count=2, lose_answers=0.6, seed=4)
    await box.running
    lost = box.told("answer_lost")
    sent = central_system.of(*SESSION)
    assert lost
    assert len(sent) == len({str(m.payload) for m in sent}) + len(lost)
    assert len({m.message_id for m in sent}) == len(sent)
    assert not box.told("replay_differs")


async def test_a_replay_answered_with_another_id_is_told(central_system: CentralSystem, start_box: StartBox) -> None:
    box = start_box(id_tags=("CARD1",), count=1, duplicate_starts=True)
    await box.running
    first, second = central_system.of("StartTransaction")
    assert first.payload == second.payload
    assert box.told("replay_differs") == [{"expected": 1001, "got": 1002}]


async def test_power_loss(central_system: CentralSystem, start_box: StartBox) -> None:
    box = start_box(id_tags=("CARD1",), count=1, power_loss=True, power_off_for_s=0.1)
    await box.running
    actions = [m.action for m in central_system.received if m.action in {"BootNotification", *SESSION}]
    assert actions.count("BootNotification") == 2
    assert actions.index("StopTransaction") > actions.index("BootNotification", 1)
    stop = central_system.of("StopTransaction")[0]
    assert (stop.payload["reason"], stop.payload["transactionId"]) == ("PowerLoss", 1001)


async def test_stop_ends_the_running_session(central_system: CentralSystem, start_box: StartBox) -> None:
    box = start_box(id_tags=("CARD1",), duration_s=600)
    await central_system.until_received("MeterValues")
    box.charge_point.stop()
    await box.running
    assert central_system.of("StopTransaction")[0].payload["idTag"] == "CARD1"
    assert central_system.received[-1].payload.get("status") == "Available"


async def test_the_state_file_keeps_register_and_queue(
    central_system: CentralSystem, start_box: StartBox, tmp_path: Path
) -> None:
    first = start_box(id_tags=("CARD1",), state_file=tmp_path / "state.json", speed_up=1000, duration_s=600)
    await central_system.until_received("MeterValues", 2)
    first.running.cancel()
    second = start_box(state_file=tmp_path / "state.json")
    stop = await central_system.until_received("StopTransaction")
    assert stop.payload["reason"] == "PowerLoss"
    assert stop.payload["meterStop"] > 0
    assert second.charge_point.connectors[1].meter.register_wh == stop.payload["meterStop"]
