"""Quirks of sessions on a real database: strict by default, tolerated once set, and counted while they are not."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from api.charge_points.registration import boot
from api.transactions.meter_values import meter_values
from api.transactions.start import start
from api.transactions.stop import stop
from api.transactions.tolerance import added_up
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
from wire.messages import ChargePointCall, HandshakeRefused, LoggedFrame, QuirksSeen, Tolerance

NOW = datetime.now(UTC).replace(microsecond=0)
HANDLERS = {"StartTransaction": start, "StopTransaction": stop, "MeterValues": meter_values, "BootNotification": boot}


async def do(connection: asyncpg.Connection, message: ChargePointCall) -> dict[str, Any]:
    async with connection.transaction():
        answer = await HANDLERS[message.action](connection, message, datetime.now(UTC))
    payload: dict[str, Any] = orjson.loads(answer.payload)
    return payload


def begin(wallbox: str, **changes: Any) -> ChargePointCall:
    request = {"connectorId": 1, "idTag": "CARD1", "meterStart": 1000, "timestamp": iso(NOW - timedelta(hours=1))}
    return call(wallbox, "StartTransaction", request | changes, received_at=(NOW - timedelta(hours=1)).timestamp())


def finish(wallbox: str, transaction_id: int, **changes: Any) -> ChargePointCall:
    request = {"transactionId": transaction_id, "meterStop": 6000, "timestamp": iso(NOW)}
    return call(wallbox, "StopTransaction", request | changes, received_at=NOW.timestamp())


def reading(wallbox: str, transaction_id: int, minutes_ago: int, energy_wh: int) -> ChargePointCall:
    value = {"timestamp": iso(NOW - timedelta(minutes=minutes_ago)), "sampledValue": [{"value": str(energy_wh)}]}
    return call(wallbox, "MeterValues", {"connectorId": 1, "transactionId": transaction_id, "meterValue": [value]})


async def tolerate(connection: asyncpg.Connection, *quirks: str) -> None:
    await connection.execute("update charge_points set quirks = $1", quirks)


async def sightings(connection: asyncpg.Connection) -> dict[str, int]:
    return {row["quirk"]: row["count"] for row in await connection.fetch("select * from quirk_sightings")}


async def sessions(connection: asyncpg.Connection) -> list[Any]:
    found: list[Any] = await connection.fetch("select * from transactions order by id")
    return found


@pytest.fixture
async def wallbox(connection: asyncpg.Connection) -> str:
    made = await make_charge_point(connection, rated_power_w=11000)
    await give_card(connection, made)
    await give_price(connection, made, since_hours=48)
    return made


@pytest.fixture(params=[False, True], ids=["strict", "tolerant"])
def tolerant(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def test_a_register_that_restarts(connection: asyncpg.Connection, wallbox: str, tolerant: bool) -> None:
    if tolerant:
        await tolerate(connection, "restarting_register")
    ocpp_id = (await do(connection, begin(wallbox, meterStart=800_000)))["transactionId"]
    for minutes_ago, energy_wh in ((40, 801_000), (30, 802_000), (20, 500)):
        await do(connection, reading(wallbox, ocpp_id, minutes_ago, energy_wh))
    await do(connection, finish(wallbox, ocpp_id, meterStop=1500))
    (session,) = await sessions(connection)
    if tolerant:
        assert (session["energy_wh"], session["held_reasons"], session["total_minor"]) == (3500, [], 1925)
        assert await sightings(connection) == {}
    else:
        assert (session["held_reasons"], session["total_minor"]) == (["register_backwards"], None)
        assert await sightings(connection) == {"restarting_register": 1}
    assert session["meter_stop_wh"] == 1500


@pytest.mark.parametrize(
    ("registers", "energy_wh"),
    [([1000, 6000], 5000), ([1000, 5000, 10, 20], 4020), ([5000, 4999, 5100], 100), ([0, 0], 0), ([1000, 990], 0)],
)
def test_energy_over_a_restart(registers: list[int], energy_wh: int) -> None:
    assert added_up(registers) == energy_wh


@pytest.mark.parametrize("clock", ["1970-01-01T00:10:00Z", "0001-01-01T00:00:00Z"])
async def test_a_clock_that_was_reset(connection: asyncpg.Connection, wallbox: str, tolerant: bool, clock: str) -> None:
    if tolerant:
        await tolerate(connection, "reset_clock")
    started = await do(connection, begin(wallbox, timestamp=clock))
    await do(connection, finish(wallbox, started["transactionId"], timestamp=clock))
    assert await do(connection, begin(wallbox, timestamp=clock)) == started, "a replay"
    (session,) = await sessions(connection)
    if tolerant:
        assert (session["held_reasons"], session["total_minor"], session["stopped_at"]) == ([], 2750, NOW)
        assert await sightings(connection) == {}
    else:
        assert (session["held_reasons"], session["total_minor"]) == (["implausible_time"], None)
        assert await sightings(connection) == {"reset_clock": 2}


async def test_two_starts_for_one_session(connection: asyncpg.Connection, wallbox: str, tolerant: bool) -> None:
    if tolerant:
        await tolerate(connection, "repeated_starts")
    first = await do(connection, begin(wallbox))
    second = await do(connection, begin(wallbox, meterStart=1001, timestamp=iso(NOW - timedelta(minutes=59))))
    if tolerant:
        assert second == first
        await do(connection, finish(wallbox, first["transactionId"]))
        (session,) = await sessions(connection)
        assert (session["status"], session["held_reasons"], session["energy_wh"]) == ("stopped", [], 5000)
    else:
        assert second != first
        assert [session["status"] for session in await sessions(connection)] == ["abandoned", "active"]
        assert await sightings(connection) == {"repeated_starts": 1}


@pytest.mark.parametrize("changes", [{"idTag": "CARD2"}, {"connectorId": 2}, {"timestamp": iso(NOW)}])
async def test_another_session_is_no_repeated_start(
    connection: asyncpg.Connection, wallbox: str, changes: dict[str, Any]
) -> None:
    await tolerate(connection, "repeated_starts")
    first = await do(connection, begin(wallbox))
    assert await do(connection, begin(wallbox, meterStart=2000, **changes)) != first


@pytest.mark.parametrize("unknown", [0, -1, 424242])
async def test_a_stop_without_a_start(
    connection: asyncpg.Connection, wallbox: str, tolerant: bool, unknown: int
) -> None:
    if tolerant:
        await tolerate(connection, "stop_without_start")
    await do(connection, begin(wallbox))
    for _ in range(2):
        answer = await do(connection, finish(wallbox, unknown, idTag="CARD1"))
        assert answer["idTagInfo"]["status"] == "Accepted"
    (session,) = await sessions(connection)
    if tolerant:
        assert (session["status"], session["energy_wh"], session["total_minor"]) == ("stopped", 5000, 2750)
    else:
        assert session["status"] == "active"
        assert (await sightings(connection))["stop_without_start"] >= 1
    assert await connection.fetchval("select count(*) from transaction_stops") == 1


async def test_a_stop_that_may_mean_two_sessions_or_none_stops_nothing(
    connection: asyncpg.Connection, wallbox: str
) -> None:
    await tolerate(connection, "stop_without_start")
    await do(connection, finish(wallbox, 0))
    for connector in (1, 2):
        await do(connection, begin(wallbox, connectorId=connector))
    await do(connection, finish(wallbox, 0, meterStop=7000))
    await do(connection, finish(wallbox, 0, meterStop=8000, idTag="OTHER"))
    assert {session["status"] for session in await sessions(connection)} == {"active"}


async def test_remarks_of_gateways(connection: asyncpg.Connection, gateway: Gateway, listen: StartListener) -> None:
    """Counted for a charge point that has not set the quirk; what nobody knows is left out."""
    wallbox = await make_charge_point(connection, quirks=["decimal_integers"])
    listen()
    await gateway.wait_for_listeners(1)
    counts = {"numbers_for_strings": 3, "decimal_integers": 5, "of a newer release": 1}
    frame = LoggedFrame(wallbox, 1, NOW.timestamp(), "in", b'[3,"c",{}]', "numbers_for_strings: a \0 b")
    repaired = call(
        *(wallbox, "Authorize", {"idTag": "12"}),
        reply_to=gateway.inbox,
        tolerance=Tolerance(b'{"idTag":12}', ["numbers_for_strings: idTag '12' taken as its text"]),
    )
    seen = QuirksSeen(wallbox, 1, NOW.timestamp(), counts)
    await gateway.send([seen, seen, frame, repaired])

    async def counted() -> bool:
        return await sightings(connection) == {"numbers_for_strings": 6}

    await eventually(counted, "the sightings")
    await gateway.outcome(repaired.id)

    async def logged() -> Any:
        return await connection.fetch("select frame, note from message_log where direction = 'in' and note is not null")

    rows = {bytes(row["frame"]): row["note"] for row in await eventually(logged, "the log")}
    original = b'[2,"%b","Authorize",{"idTag":12}]' % repaired.message_id.encode()
    assert rows[original] == "repaired: numbers_for_strings: idTag '12' taken as its text"


async def test_a_handshake_without_subprotocol_is_counted(
    connection: asyncpg.Connection, gateway: Gateway, listen: StartListener
) -> None:
    await make_charge_point(connection)
    listen()
    await gateway.wait_for_listeners(1)
    assert (await gateway.connect(offered_subprotocol=False)).status == "no_subprotocol"
    assert await sightings(connection) == {"no_subprotocol": 1}
    await tolerate(connection, "no_subprotocol")
    assert (await gateway.connect(offered_subprotocol=False)).status == "accepted"


async def test_refusals_of_gateways_are_remembered(
    connection: asyncpg.Connection, gateway: Gateway, listen: StartListener
) -> None:
    await make_charge_point(connection)
    listen()
    await gateway.wait_for_listeners(1)
    refusals = [
        HandshakeRefused(name, "wrong_subprotocol", "203.0.113.9", NOW.timestamp()) for name in ("WALLBOX", "NOBODY")
    ]
    await gateway.send([*refusals])

    async def remembered() -> Any:
        return await connection.fetch("select identity, count from knocks")

    assert [tuple(row) for row in await eventually(remembered, "the knock")] == [("NOBODY", 1)]
    rows = await connection.fetch("select reason, remote_address, count, last_at from refused_handshakes")
    assert [tuple(row) for row in rows] == [("wrong_subprotocol", "203.0.113.9", 1, NOW)]
