"""StartTransaction and StopTransaction on a real database: replays, two starts, orphans, and what is held."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from api.charge_points.registration import boot
from api.transactions.meter_values import meter_values
from api.transactions.start import lock_charge_point, start
from api.transactions.stop import stop
from tests.integration.listener.gateway import call, give_card, give_price, iso, make_charge_point
from wire.messages import ChargePointCall

NOW = datetime.now(UTC).replace(microsecond=0)
HANDLERS = {"StartTransaction": start, "StopTransaction": stop, "MeterValues": meter_values, "BootNotification": boot}


async def do(connection: asyncpg.Connection, message: ChargePointCall) -> dict[str, Any]:
    async with connection.transaction():
        await lock_charge_point(connection, message.charge_point_id)
        answer = await HANDLERS[message.action](connection, message, datetime.now(UTC))
    payload: dict[str, Any] = orjson.loads(answer.payload)
    return payload


def begin(wallbox: str, **changes: Any) -> ChargePointCall:
    request = {"connectorId": 1, "idTag": "CARD1", "meterStart": 1000, "timestamp": iso(NOW - timedelta(hours=1))}
    return call(wallbox, "StartTransaction", request | changes)


def finish(wallbox: str, transaction_id: int, **changes: Any) -> ChargePointCall:
    request = {"transactionId": transaction_id, "meterStop": 6000, "timestamp": iso(NOW)}
    return call(wallbox, "StopTransaction", request | changes)


@pytest.fixture
async def wallbox(connection: asyncpg.Connection) -> str:
    made = await make_charge_point(connection, rated_power_w=11000)
    await give_card(connection, made)
    await give_price(connection, made)
    return made


async def rows(connection: asyncpg.Connection, table: str = "transactions") -> list[Any]:
    found: list[Any] = await connection.fetch(f"select * from {table} order by id")
    return found


class TestReplayedStart:
    """DESIGN 2.2: a replay gets the same answer."""

    async def test_while_open_and_after_the_stop(self, connection: asyncpg.Connection, wallbox: str) -> None:
        first = await do(connection, begin(wallbox))
        assert await do(connection, begin(wallbox)) == first
        assert await do(connection, begin(wallbox, idTag="card1")) == first, "idTags are case-insensitive"
        await do(connection, finish(wallbox, first["transactionId"]))
        assert await do(connection, begin(wallbox)) == first
        assert len(await rows(connection)) == 1

    async def test_only_the_timestamp_changed_on_an_open_transaction(
        self, connection: asyncpg.Connection, wallbox: str
    ) -> None:
        first = await do(connection, begin(wallbox))
        assert await do(connection, begin(wallbox, timestamp=iso(NOW))) == first
        await do(connection, finish(wallbox, first["transactionId"]))
        later = await do(connection, begin(wallbox, timestamp=iso(NOW + timedelta(minutes=1))))
        assert later["transactionId"] != first["transactionId"], "the first one is over"

    async def test_keeps_its_status_though_the_tag_was_blocked_since(
        self, connection: asyncpg.Connection, wallbox: str
    ) -> None:
        first = await do(connection, begin(wallbox))
        await connection.execute("update id_tags set blocked = true")
        assert await do(connection, begin(wallbox)) == first

    async def test_from_a_reset_clock_is_a_replay_until_the_next_boot(
        self, connection: asyncpg.Connection, wallbox: str
    ) -> None:
        reset = begin(wallbox, timestamp="1970-01-01T00:00:07Z")
        first = await do(connection, reset)
        assert await do(connection, begin(wallbox, timestamp="1970-01-01T00:00:07Z")) == first
        await do(connection, call(wallbox, "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"}))
        second = await do(connection, begin(wallbox, timestamp="1970-01-01T00:00:07Z"))
        assert second["transactionId"] != first["transactionId"]
        assert await do(connection, begin(wallbox, timestamp="1970-01-01T00:00:07Z")) == second
        older, newer = await rows(connection)
        assert (older["occurrence"], newer["occurrence"]) == (0, 1)
        assert "possible_replay" in newer["held_reasons"]
        assert "implausible_time" in newer["held_reasons"]

    async def test_sent_at_the_same_moment_makes_one_transaction(
        self, pool: asyncpg.Pool, connection: asyncpg.Connection, wallbox: str
    ) -> None:
        async def once() -> dict[str, Any]:
            async with pool.acquire() as own:
                return await do(own, begin(wallbox))

        answers = await asyncio.gather(*(once() for _ in range(8)))
        assert all(answer == answers[0] for answer in answers)
        assert len(await rows(connection)) == 1


class TestStart:
    async def test_an_unknown_tag_is_stored_too(self, connection: asyncpg.Connection, wallbox: str) -> None:
        answer = await do(connection, begin(wallbox, idTag="STRANGER"))
        assert answer["idTagInfo"] == {"status": "Invalid"}
        assert answer["transactionId"] > 0
        await do(connection, finish(wallbox, answer["transactionId"]))
        (row,) = await rows(connection)
        assert (row["driver_id"], row["held_reasons"], row["total_minor"]) == (None, ["id_tag_not_accepted"], None)

    async def test_a_tag_that_charges_elsewhere(self, connection: asyncpg.Connection, wallbox: str) -> None:
        await do(connection, begin(wallbox))
        answer = await do(connection, begin(wallbox, connectorId=2))
        assert answer["idTagInfo"]["status"] == "ConcurrentTx"

    async def test_on_a_taken_connector_abandons_the_older_and_flags_both(
        self, connection: asyncpg.Connection, wallbox: str
    ) -> None:
        first = await do(connection, begin(wallbox))
        sample = {"timestamp": iso(NOW), "sampledValue": [{"value": "3500"}]}
        request = {"connectorId": 1, "transactionId": first["transactionId"], "meterValue": [sample]}
        await do(connection, call(wallbox, "MeterValues", request))
        second = await do(connection, begin(wallbox, meterStart=4000, timestamp=iso(NOW)))
        older, newer = await rows(connection)
        assert (older["status"], older["energy_wh"], older["held_reasons"]) == ("abandoned", 2500, ["never_stopped"])
        assert (newer["status"], newer["held_reasons"]) == ("active", ["second_start"])
        await do(connection, finish(wallbox, first["transactionId"], meterStop=4000))
        older, newer = await rows(connection)
        assert (older["status"], older["energy_wh"], older["total_minor"]) == ("stopped", 3000, None)
        assert newer["ocpp_transaction_id"] == second["transactionId"]

    async def test_delivered_late_leaves_the_running_one_running(
        self, connection: asyncpg.Connection, wallbox: str
    ) -> None:
        running = await do(connection, begin(wallbox, timestamp=iso(NOW), meterStart=9000))
        late = await do(connection, begin(wallbox))
        current, old = await rows(connection)
        assert (current["ocpp_transaction_id"], current["status"]) == (running["transactionId"], "active")
        assert (old["ocpp_transaction_id"], old["status"]) == (late["transactionId"], "abandoned")

    async def test_links_the_remote_start_that_caused_it_and_takes_the_price_that_was_shown(
        self, connection: asyncpg.Connection, wallbox: str
    ) -> None:
        payload = orjson.dumps({"connectorId": 1, "idTag": "card1"}).decode()
        shown = await connection.fetchval("select id from tariff_versions")
        await connection.execute(
            "insert into commands (charge_point_id, user_id, action, payload, status, epoch, deadline_at, created_at) "
            "select id, owner_id, 'RemoteStartTransaction', $1::text::jsonb, 'accepted', 1, now(), "
            "now() - interval '10 minutes' from charge_points",
            payload,
        )
        await give_price(connection, wallbox, 99000, since_hours=0.1)
        await do(connection, begin(wallbox, timestamp=iso(datetime.now(UTC))))
        (row,) = await rows(connection)
        assert row["tariff_version_id"] == shown
        assert await connection.fetchval("select transaction_id from commands") == row["id"]

    async def test_takes_the_price_in_force_at_its_start(self, connection: asyncpg.Connection, wallbox: str) -> None:
        for price, hours in ((10000, 5), (20000, 3), (30000, 1)):
            await give_price(connection, wallbox, price, hours)
        for start_hours, expected in ((2, 20000), (0.5, 30000)):
            tag = f"T{expected}"
            await do(connection, begin(wallbox, timestamp=iso(NOW - timedelta(hours=start_hours)), idTag=tag))
            frozen = await connection.fetchval("select tariff from transactions where id_tag = $1", tag)
            assert frozen["elements"][0]["price_components"][0]["price_e4"] == expected
        await do(connection, begin(wallbox, timestamp=iso(NOW - timedelta(days=2)), idTag="EARLY", connectorId=2))
        assert await connection.fetchval("select tariff from transactions where id_tag = 'EARLY'") is None


class TestStop:
    async def test_an_identical_one_changes_nothing_and_a_differing_one_holds(
        self, connection: asyncpg.Connection, wallbox: str
    ) -> None:
        started = await do(connection, begin(wallbox))
        number = started["transactionId"]
        first = await do(connection, finish(wallbox, number, idTag="CARD1"))
        (before,) = await rows(connection)
        assert before["total_minor"] == 2750, "5 kWh at 5.50"
        assert await do(connection, finish(wallbox, number, idTag="CARD1")) == first
        assert await rows(connection) == [before]
        await do(connection, finish(wallbox, number, idTag="CARD1", meterStop=6001))
        (after,) = await rows(connection)
        assert (after["energy_wh"], after["held_reasons"]) == (5000, ["differing_stop"])
        stops = await rows(connection, "transaction_stops")
        assert [stop["applied"] for stop in stops] == [True, False]

    @pytest.mark.parametrize("number", [0, -1, 123456, 2**40])
    async def test_an_orphan_is_kept_and_answered_as_valid(
        self, connection: asyncpg.Connection, wallbox: str, number: int
    ) -> None:
        assert await do(connection, finish(wallbox, number)) == {}
        assert await do(connection, finish(wallbox, number, idTag="CARD1")) == {"idTagInfo": {"status": "Accepted"}}
        assert await do(connection, finish(wallbox, number)) == {}
        kept = await rows(connection, "transaction_stops")
        assert [(stop["ocpp_transaction_id"], stop["transaction_id"], stop["applied"]) for stop in kept] == [
            (number, None, False)
        ] * 2

    async def test_another_charge_points_transaction_is_out_of_reach(
        self, connection: asyncpg.Connection, wallbox: str
    ) -> None:
        started = await do(connection, begin(wallbox))
        other = await make_charge_point(connection, "OTHER")
        await do(connection, finish(other, started["transactionId"]))
        (row,) = await rows(connection)
        assert row["status"] == "active"

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"meterStop": 900}, "register_backwards"),
            ({"meterStop": 10**12}, "energy_above_rated_power"),
            ({"timestamp": iso(NOW - timedelta(hours=2))}, "stop_before_start"),
            ({"timestamp": "1970-01-01T00:00:00Z"}, "implausible_time"),
            ({"timestamp": "no time at all"}, "implausible_time"),
            ({"timestamp": "0001-01-01T00:00:00+02:00"}, "implausible_time"),
        ],
    )
    async def test_what_cannot_be_right_is_stored_and_held(
        self, connection: asyncpg.Connection, wallbox: str, changes: dict[str, Any], reason: str
    ) -> None:
        started = await do(connection, begin(wallbox))
        assert await do(connection, finish(wallbox, started["transactionId"], **changes)) == {}
        (row,) = await rows(connection)
        assert (row["status"], row["held_reasons"], row["total_minor"]) == ("stopped", [reason], None)

    async def test_transaction_data_becomes_meter_values(self, connection: asyncpg.Connection, wallbox: str) -> None:
        started = await do(connection, begin(wallbox))
        data = [
            {"timestamp": iso(NOW), "sampledValue": [{"value": "6000", "context": "Transaction.End"}]},
            {"timestamp": iso(NOW), "sampledValue": [{"value": "AAAA", "format": "SignedData"}]},
        ]
        for _ in range(2):
            changes = {"transactionData": data, "reason": "EVDisconnected"}
            await do(connection, finish(wallbox, started["transactionId"], **changes))
        values = await connection.fetch("select * from meter_values order by energy_wh")
        assert [(value["energy_wh"], value["connector_id"]) for value in values] == [(6000, 1), (None, 1)]
        assert values[1]["samples"] == data[1]["sampledValue"]
        (row,) = await rows(connection)
        assert {value["transaction_id"] for value in values} == {row["id"]}
        assert (row["stop_reason"], row["held_reasons"]) == ("EVDisconnected", [])

    async def test_and_start_meet_twice_at_once(
        self, pool: asyncpg.Pool, connection: asyncpg.Connection, wallbox: str
    ) -> None:
        started = await do(connection, begin(wallbox))

        async def once(message: ChargePointCall) -> dict[str, Any]:
            async with pool.acquire() as own:
                return await do(own, message)

        again = [finish(wallbox, started["transactionId"]) for _ in range(4)] + [begin(wallbox) for _ in range(4)]
        answers = await asyncio.gather(*(once(message) for message in again))
        assert answers == [{}] * 4 + [started] * 4
        (row,) = await rows(connection)
        assert (row["total_minor"], row["held_reasons"]) == (2750, [])
        assert len(await rows(connection, "transaction_stops")) == 1


class TestMeterValues:
    @pytest.mark.parametrize("number", [None, 0, 77, 2**63 - 1])
    async def test_are_stored_whatever_transaction_they_name(
        self, connection: asyncpg.Connection, wallbox: str, number: int | None
    ) -> None:
        sample = {"timestamp": iso(NOW), "sampledValue": [{"value": "1", "unit": "kWh"}]}
        request = {"connectorId": 1, "meterValue": [sample]} | ({"transactionId": number} if number is not None else {})
        for _ in range(2):
            await do(connection, call(wallbox, "MeterValues", request))
        (value,) = await connection.fetch("select * from meter_values")
        assert (value["ocpp_transaction_id"], value["transaction_id"], value["energy_wh"]) == (number, None, 1000)

    async def test_of_odd_times_and_shapes(self, connection: asyncpg.Connection, wallbox: str) -> None:
        request = (
            b'{"connectorId": "1", "meterValue": [{"timestamp": "0001-01-01T00:00:00Z", "sampledValue": '
            b'[{"value": 12.5, "unit": "kWh"}]}, {"timestamp": "2024-06-01T10:00:00+02", "sampledValue": '
            b'[{"value": "20", "measurand": "Temperature", "unit": "Celcius"}]}]}'
        )
        await do(connection, call(wallbox, "MeterValues", request))
        first, second = await connection.fetch("select * from meter_values order by sampled_at")
        assert (first["sampled_at"].year, first["energy_wh"]) == (1970, 12500)
        assert second["sampled_at"] == datetime(2024, 6, 1, 8, tzinfo=UTC)
