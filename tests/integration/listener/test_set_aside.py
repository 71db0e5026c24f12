"""What cannot be processed or must be refused: kept raw, answered, and no burden on the messages around it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from tests.integration.listener.gateway import Gateway, StartListener, call, give_card, iso, make_charge_point
from wire.messages import ChargePointCall

NOW = datetime.now(UTC)
POISON = {
    "NUL": b"\\u0000",
    "raw NUL": b"\x00",
    "lone surrogate": b"\\ud800",
    "no UTF-8": b"\xed\xa0\x80",
}
TYPES = (
    b'{"connectorId":1,"meterValue":[{"timestamp":"2026-01-01T00:00:00Z","sampledValue":[{"value":"1","unit":[]}]}]}'
)
NUMBERS = {"too large for jsonb": b"1e400000", "too large for an integer": b"9" * 40}


def values(text: bytes = b"5", *, connector: bytes = b"1", transaction: bytes = b"3") -> bytes:
    return (
        b'{"connectorId":%b,"transactionId":%b,"meterValue":[{"timestamp":"%b","sampledValue":[{"value":"%b"}]}]}'
        % (connector, transaction, iso(NOW).encode(), text)
    )


async def kept(connection: asyncpg.Connection) -> list[Any]:
    found: list[Any] = await connection.fetch("select * from unprocessed order by id")
    return found


async def test_one_of_a_hundred(connection: asyncpg.Connection, gateway: Gateway, listen: StartListener) -> None:
    wallboxes = [await make_charge_point(connection, f"BOX{number}") for number in range(20)]
    listen()
    await gateway.wait_for_listeners(1)
    for round_, (name, poison) in enumerate(POISON.items()):
        messages = [
            call(wallboxes[n % 20], "MeterValues", values(b"%d" % (1000 * round_ + n)), reply_to=gateway.inbox)
            for n in range(100)
        ]
        messages[37] = call(wallboxes[17], "MeterValues", values(poison), reply_to=gateway.inbox)
        await gateway.send([*messages])
        for message in messages:
            outcome = await gateway.outcome(message.id)
            assert (outcome.payload, outcome.error_code) == (b"{}", ""), name
        assert await connection.fetchval("select count(*) from meter_values") == 99 * (round_ + 1), name
        row = (await kept(connection))[-1]
        assert (row["payload"], row["action"], str(row["charge_point_id"])) == (
            messages[37].payload,
            "MeterValues",
            wallboxes[17],
        )
        assert row["error_code"] is None
    assert len(await kept(connection)) == len(POISON)
    assert await connection.fetchval("select count(*) from message_log") == 2 * 100 * len(POISON)


async def test_huge_numbers_everywhere(connection: asyncpg.Connection, gateway: Gateway, listen: StartListener) -> None:
    wallbox = await make_charge_point(connection)
    await give_card(connection, wallbox)
    listen()
    await gateway.wait_for_listeners(1)
    for number in NUMBERS.values():
        sample = values().replace(b'"5"', number)
        for payload in (values(connector=number), values(transaction=number), sample, TYPES):
            assert await gateway.ask(wallbox, "MeterValues", payload) == {}
        begun = b'{"connectorId":1,"idTag":"CARD1","meterStart":%b,"timestamp":"%b"}' % (number, iso(NOW).encode())
        first = await gateway.ask(wallbox, "StartTransaction", begun)
        assert first["transactionId"] > 0
        assert await gateway.ask(wallbox, "StartTransaction", begun) == first, "a replay finds it"
        ended = b'{"transactionId":%d,"meterStop":%b,"timestamp":"%b"}' % (
            first["transactionId"],
            number,
            iso(NOW).encode(),
        )
        assert await gateway.ask(wallbox, "StopTransaction", ended) == {}
        orphan = b'{"transactionId":%b,"meterStop":1,"timestamp":"%b"}' % (number, iso(NOW).encode())
        assert await gateway.ask(wallbox, "StopTransaction", orphan) == {}
    assert "unprocessed" in await connection.fetchval("select held_reasons from transactions limit 1")
    named = [row for row in await kept(connection) if row["transaction_id"] is not None]
    assert {row["action"] for row in named} == {"StartTransaction", "StopTransaction"}


@pytest.mark.parametrize("name", POISON)
async def test_of_every_kind_is_answered_validly(
    connection: asyncpg.Connection, gateway: Gateway, listen: StartListener, name: str
) -> None:
    poison = POISON[name]
    wallbox = await make_charge_point(connection)
    listen()
    await gateway.wait_for_listeners(1)
    for _ in range(2):
        boot = await gateway.ask(
            wallbox, "BootNotification", b'{"chargePointVendor":"%b","chargePointModel":"M"}' % poison
        )
        assert boot["status"] == "Accepted"
        tag = await gateway.ask(wallbox, "Authorize", b'{"idTag":"%b"}' % poison)
        assert tag == {"idTagInfo": {"status": "Invalid"}}
        status = b'{"connectorId":1,"errorCode":"NoError","status":"Available","info":"%b"}' % poison
        assert await gateway.ask(wallbox, "StatusNotification", status) == {}
        begun = b'{"connectorId":1,"idTag":"A%b","meterStart":1,"timestamp":"%b"}' % (poison, iso(NOW).encode())
        started = await gateway.ask(wallbox, "StartTransaction", begun)
        assert started["transactionId"] > 0
        assert started["idTagInfo"]["status"] == "Invalid"
        reason = b'{"transactionId":%d,"meterStop":2,"timestamp":"%b","reason":"%b"}'
        ended = reason % (started["transactionId"], iso(NOW).encode(), poison)
        assert await gateway.ask(wallbox, "StopTransaction", ended) == {}
    transaction = await connection.fetchrow("select * from transactions")
    assert transaction["held_reasons"] == ["unprocessed"]
    assert transaction["status"] == "active"
    rows = await kept(connection)
    assert len(rows) == 5, "a replay finds its row"
    assert all(poison in row["payload"] for row in rows)
    ids = {row["action"]: row["transaction_id"] for row in rows}
    assert ids["StartTransaction"] == ids["StopTransaction"] == transaction["id"]


async def test_a_nul_in_the_message_id_hurts_nobody(
    connection: asyncpg.Connection, gateway: Gateway, listen: StartListener
) -> None:
    wallbox = await make_charge_point(connection)
    listen()
    await gateway.wait_for_listeners(1)
    assert await gateway.ask(wallbox, "MeterValues", values(), message_id="a\0b") == {}
    assert await connection.fetchval("select count(*) from meter_values") == 1
    assert await kept(connection) == []


async def test_a_refused_message_is_kept_before_its_callerror(
    connection: asyncpg.Connection, gateway: Gateway, listen: StartListener
) -> None:
    wallbox = await make_charge_point(connection)
    listen()
    await gateway.wait_for_listeners(1)
    now = iso(NOW)
    started = await gateway.ask(
        wallbox, "StartTransaction", {"connectorId": 1, "idTag": "X", "meterStart": 1, "timestamp": now}
    )
    payload = orjson.dumps({"transactionId": started["transactionId"], "meterStop": "many", "timestamp": now})

    def refused() -> ChargePointCall:
        return call(wallbox, "StopTransaction", payload, reply_to=gateway.inbox,
                    refused="TypeConstraintViolation", refused_description="meterStop")  # fmt: skip

    for message in (refused(), refused()):
        await gateway.send([message])
        outcome = await gateway.outcome(message.id)
        assert (outcome.error_code, outcome.error_description) == ("TypeConstraintViolation", "meterStop")
    (row,) = await kept(connection)
    assert (row["payload"], row["error_code"]) == (payload, "TypeConstraintViolation")
    transaction = await connection.fetchrow("select * from transactions")
    assert (transaction["id"], transaction["held_reasons"]) == (row["transaction_id"], ["refused"])
    errors = await connection.fetch("select frame from message_log where message_type = 4")
    assert orjson.loads(errors[0]["frame"])[2:] == ["TypeConstraintViolation", "meterStop", {}]


async def test_a_call_past_its_deadline_is_dropped(
    connection: asyncpg.Connection, gateway: Gateway, listen: StartListener
) -> None:
    wallbox = await make_charge_point(connection)
    listen()
    await gateway.wait_for_listeners(1)
    start = {"connectorId": 1, "idTag": "X", "meterStart": 1, "timestamp": iso(NOW - timedelta(hours=1))}
    overdue = call(wallbox, "StartTransaction", start, reply_to=gateway.inbox, deadline=NOW.timestamp() - 1)
    status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
    shared = call(wallbox, "StatusNotification", status, reply_to=gateway.inbox, deadline=NOW.timestamp() - 1)
    await gateway.send([overdue, shared])
    assert await gateway.ask(wallbox, "DataTransfer", {"vendorId": "later"}) == {"status": "UnknownVendorId"}
    assert not {overdue.id, shared.id} & gateway.outcomes.keys()
    assert await connection.fetchval("select count(*) from transactions") == 0
    assert await connection.fetchval("select count(*) from connectors") == 0
