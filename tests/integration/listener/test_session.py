"""A session through a real listener process: boot to stop, what is stored, and what the wallbox is told."""

import time
from datetime import UTC, datetime, timedelta

import asyncpg
import orjson

from api.charge_points.live import read_live
from tests.harness.stack import eventually
from tests.integration.listener.gateway import (
    Gateway,
    StartListener,
    call,
    give_card,
    give_price,
    iso,
    make_charge_point,
)
from wire.messages import Disconnected, LoggedFrame

T0 = datetime.now(UTC) - timedelta(hours=2)


async def test_a_whole_session(connection: asyncpg.Connection, gateway: Gateway, listen: StartListener) -> None:
    wallbox = await make_charge_point(connection, rated_power_w=11000)
    await give_card(connection, wallbox)
    await give_price(connection, wallbox)
    listen()
    await gateway.wait_for_listeners(1)

    accepted = await gateway.connect()
    assert (accepted.status, accepted.charge_point_id, accepted.registration) == ("accepted", wallbox, "")
    boot = await gateway.ask(wallbox, "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
    assert boot["status"] == "Accepted"
    assert boot["interval"] == 300
    assert boot["currentTime"].endswith("Z")
    status = {"connectorId": 1, "errorCode": "NoError", "status": "Preparing"}
    assert await gateway.ask(wallbox, "StatusNotification", status) == {}
    tag = await gateway.ask(wallbox, "Authorize", {"idTag": "card1"})
    assert tag == {"idTagInfo": {"status": "Accepted"}}
    now = datetime.now(UTC)
    begun = {"connectorId": 1, "idTag": "CARD1", "meterStart": 1000, "timestamp": iso(now)}
    started = await gateway.ask(wallbox, "StartTransaction", begun)
    assert list(started) == ["idTagInfo", "transactionId"]
    assert started["idTagInfo"] == {"status": "Accepted"}
    values = {
        "connectorId": 1,
        "transactionId": started["transactionId"],
        "meterValue": [
            {
                "timestamp": iso(now),
                "sampledValue": [
                    {"value": "1.2", "unit": "kWh"},
                    {"value": "7000.4", "measurand": "Power.Active.Import", "unit": "W"},
                ],
            }
        ],
    }
    assert await gateway.ask(wallbox, "MeterValues", values) == {}
    live = await read_live(gateway.redis, gateway.channels, wallbox)
    assert live.connectors[1].status == "Preparing"
    assert (live.connectors[1].power_w, live.connectors[1].energy_wh) == (7000, 1200)
    assert live.connectors[1].transaction_id is not None
    stopped = await gateway.ask(
        wallbox,
        "StopTransaction",
        {
            "transactionId": started["transactionId"],
            "idTag": "CARD1",
            "meterStop": 1300,
            "timestamp": iso(now + timedelta(minutes=5)),
        },
    )
    assert stopped == {"idTagInfo": {"status": "Accepted"}}

    row = await connection.fetchrow("select * from transactions")
    assert (row["status"], row["energy_wh"], row["stop_reason"], row["held_reasons"]) == ("stopped", 300, "Local", [])
    assert (row["currency"], row["total_minor"]) == ("CZK", 165), "0.3 kWh at 5.50"
    assert row["charge_detail_record"]["total_minor"] == 165
    assert row["driver_id"] == await connection.fetchval("select owner_id from charge_points")
    value = await connection.fetchrow("select * from meter_values")
    assert (value["transaction_id"], value["energy_wh"], value["power_w"]) == (row["id"], 1200, 7000)

    async def ended() -> bool:
        live = await read_live(gateway.redis, gateway.channels, wallbox)
        return live.connectors[1].transaction_id is None and live.connectors[1].power_w is None

    await eventually(ended, "the live state forgets the transaction")
    log = await connection.fetch("select direction, action, message_type, frame from message_log order by at, id")
    assert len(log) == 12, "six CALLs and their answers"
    frames = [bytes(line["frame"]) for line in log]
    assert any(orjson.dumps(values) in frame and frame.startswith(b"[2,") for frame in frames)
    assert all(isinstance(orjson.loads(frame), list) for frame in frames)
    assert {line["direction"] for line in log} == {"in", "out"}


async def test_frames_and_ended_connections_are_written_down(
    connection: asyncpg.Connection, gateway: Gateway, listen: StartListener
) -> None:
    wallbox = await make_charge_point(connection)
    listen()
    await gateway.wait_for_listeners(1)
    older, newer = await gateway.connect(), await gateway.connect()
    assert newer.epoch > older.epoch
    frames = [
        b'[2,"1","Heartbeat",{}]',
        b"not \xff json",
        b'[3,"1",{"currentTime":"x"}]',
        b'[4,"7","GenericError","",{}]',
    ]
    await gateway.send([LoggedFrame(wallbox, newer.epoch, time.time(), "in", frame) for frame in frames])
    await gateway.send([Disconnected(wallbox, older.epoch, time.time(), "late")])
    await gateway.send([Disconnected(wallbox, newer.epoch, 1_900_000_000.0, "gone")])

    async def all_there() -> bool:
        logged = await connection.fetchval("select count(*) from message_log")
        return bool(logged == 4 and await connection.fetchval("select disconnected_at from charge_points"))

    await eventually(all_there, "frames and disconnect")
    rows = await connection.fetch("select message_type, message_id, action, frame from message_log order by id")
    assert [bytes(row["frame"]) for row in rows] == frames
    live = await read_live(gateway.redis, gateway.channels, wallbox)
    assert live.last_seen is not None, "a heartbeat is a sign of life"
    assert [tuple(row)[:3] for row in rows] == [
        (2, "1", "Heartbeat"),
        (None, None, None),
        (3, "1", None),
        (4, "7", None),
    ]
    gone = await connection.fetchval("select disconnected_at from charge_points")
    assert gone.timestamp() == 1_900_000_000, "the older connection's end did not count"


async def test_a_hundred_charge_points_in_few_commits_and_in_order(
    connection: asyncpg.Connection, gateway: Gateway, listen: StartListener
) -> None:
    wallboxes = [await make_charge_point(connection, f"BOX{number}") for number in range(20)]
    listen()
    await gateway.wait_for_listeners(1)
    sent = [
        call(wallbox, "MeterValues", _values(reading), reply_to=gateway.inbox)
        for reading in range(10)
        for wallbox in wallboxes
    ]
    boot = {"chargePointVendor": "V", "chargePointModel": "M"}
    boots = [call(wallbox, "BootNotification", boot, reply_to=gateway.inbox) for wallbox in wallboxes]
    await gateway.send([*sent[:100], *boots, *sent[100:]])
    for message in (*sent, *boots):
        assert not (await gateway.outcome(message.id)).error_code
    assert await connection.fetchval("select count(*) from meter_values") == 200
    assert await connection.fetchval("select min(boot_count) from charge_points") == 1
    assert gateway.publishes < 120, "answers of a batch share a PUBLISH"
    in_order = await connection.fetch(
        "select array_agg(action order by id) as actions from message_log where direction = 'in' "
        "group by charge_point_id"
    )
    assert {tuple(row["actions"]) for row in in_order} == {
        ("MeterValues",) * 5 + ("BootNotification",) + ("MeterValues",) * 5
    }


def _values(reading: int) -> dict[str, object]:
    at = iso(T0 + timedelta(minutes=reading))
    return {"connectorId": 1, "meterValue": [{"timestamp": at, "sampledValue": [{"value": str(reading)}]}]}
