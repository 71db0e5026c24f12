"""Starts, Stops and Authorizes of a group share queries; each gets the answer that it would get alone."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from api.charge_points.answers import Answer
from api.sharing.ocpp import authorize_calls
from api.transactions.start import starts
from api.transactions.stop import READ_TOGETHER, stops
from tests.integration.listener.gateway import call, give_card, iso, make_charge_point
from tests.integration.listener.test_grants import grant, insert, person

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
async def wallboxes(connection: asyncpg.Connection) -> list[str]:
    """Three, at one location of one owner."""
    made = [await make_charge_point(connection, f"WALLBOX-{number}") for number in range(3)]
    owner = await connection.fetchval("select owner_id from charge_points where id = $1", made[0])
    location = await insert(connection, "locations", owner_id=owner, name="Home", address="1", city="A", country="CZE")
    await connection.execute("update charge_points set owner_id = $1, location_id = $2", owner, location)
    return made


def start_call(wallbox: str, tag: str) -> Any:
    request = {"connectorId": 1, "idTag": tag, "meterStart": 0, "timestamp": iso(NOW)}
    return call(wallbox, "StartTransaction", request, received_at=NOW.timestamp())


def status_of(answer: Answer) -> str:
    return str(orjson.loads(answer.payload)["idTagInfo"]["status"])


async def begin(connection: asyncpg.Connection, wallboxes: list[str], *tags: str) -> list[Answer]:
    calls = [start_call(wallbox, tag) for wallbox, tag in zip(wallboxes, tags, strict=True)]
    async with connection.transaction():
        return await starts(connection, calls, NOW)


async def test_one_card_starts_in_one_place_only(connection: asyncpg.Connection, wallboxes: list[str]) -> None:
    await give_card(connection, wallboxes[0])
    answers = await begin(connection, wallboxes, "CARD1", "card1", "OTHER")
    assert [status_of(answer) for answer in answers] == ["Accepted", "ConcurrentTx", "Invalid"]


@pytest.mark.parametrize(("most", "accepted"), [(1, 1), (2, 2), (None, 3)])
async def test_what_a_grant_leaves_is_counted_over_all(
    connection: asyncpg.Connection, wallboxes: list[str], most: int | None, accepted: int
) -> None:
    guest = await person(connection, "A")
    for tag in ("B", "C"):
        await insert(connection, "id_tags", user_id=guest, tag=tag, kind="card")
    location = await connection.fetchval("select id from locations")
    await grant(connection, "", location_id=location, user_id=guest, max_sessions=most)
    answers = await begin(connection, wallboxes, "A", "B", "C")
    assert Counter(status_of(answer) for answer in answers)["Accepted"] == accepted


async def test_a_replay_among_new_ones_gets_its_first_answer(
    connection: asyncpg.Connection, wallboxes: list[str]
) -> None:
    for number in range(3):
        await give_card(connection, wallboxes[0], f"CARD{number}")
    [first] = await begin(connection, wallboxes[:1], "CARD0")
    answers = await begin(connection, wallboxes, "CARD0", "CARD1", "CARD2")
    assert answers[0].payload == first.payload
    numbers = [orjson.loads(answer.payload)["transactionId"] for answer in answers]
    assert len(set(numbers)) == await connection.fetchval("select count(*) from transactions") == 3


LATER = NOW + timedelta(minutes=10)


async def begin_everywhere(connection: asyncpg.Connection, wallboxes: list[str]) -> list[int]:
    """A session at each; their OCPP ids."""
    for number in range(3):
        await give_card(connection, wallboxes[0], f"CARD{number}")
    answers = await begin(connection, wallboxes, "CARD0", "CARD1", "CARD2")
    return [orjson.loads(answer.payload)["transactionId"] for answer in answers]


def stop_call(wallbox: str, transaction_id: int, meter_stop: int, **further: str) -> Any:
    request = {"transactionId": transaction_id, "meterStop": meter_stop, "timestamp": iso(LATER)}
    return call(wallbox, "StopTransaction", request | further, received_at=LATER.timestamp())


async def end(connection: asyncpg.Connection, *calls: Any) -> list[Answer]:
    async with connection.transaction():
        return await stops(connection, calls, LATER)


async def test_each_stop_ends_its_own_session(connection: asyncpg.Connection, wallboxes: list[str]) -> None:
    begun = await begin_everywhere(connection, wallboxes)
    tags: list[dict[str, str]] = [{"idTag": "CARD0"}, {}, {"idTag": "NOBODY"}]
    answers = await end(
        connection, *(stop_call(wallboxes[n], begun[n], 100 * n, **further) for n, further in enumerate(tags))
    )
    assert [orjson.loads(answer.payload) for answer in answers] == [
        {"idTagInfo": {"status": "Accepted"}}, {}, {"idTagInfo": {"status": "Invalid"}},
    ]  # fmt: skip
    rows = await connection.fetch("select status, energy_wh from transactions order by energy_wh")
    assert [tuple(row) for row in rows] == [("stopped", 0), ("stopped", 100), ("stopped", 200)]


async def test_stops_that_end_nothing_leave_the_others_alone(
    connection: asyncpg.Connection, wallboxes: list[str]
) -> None:
    begun = await begin_everywhere(connection, wallboxes)
    first = await end(connection, stop_call(wallboxes[0], begun[0], 10), stop_call(wallboxes[1], begun[1], 20))
    assert [answer.about["is_replay"] for answer in first] == [False, False]
    replayed, differing = stop_call(wallboxes[0], begun[0], 10), stop_call(wallboxes[1], begun[1], 25)
    later = await end(connection, replayed, differing, stop_call(wallboxes[2], 4711, 30))
    assert [answer.payload for answer in later] == [b"{}"] * 3
    assert [answer.about["is_replay"] for answer in later] == [True, False, False]
    assert [answer.live for answer in later] == [{}] * 3
    rows = await connection.fetch("select status, energy_wh, held_reasons from transactions order by id")
    assert [tuple(row) for row in rows] == [
        ("stopped", 10, []), ("stopped", 20, ["differing_stop"]), ("active", None, []),
    ]  # fmt: skip
    kept = await connection.fetch("select transaction_id is null, applied from transaction_stops order by id")
    assert [tuple(row) for row in kept] == [(False, True), (False, True), (False, False), (True, False)]


async def test_the_readings_of_a_long_session_are_read_to_the_end(
    connection: asyncpg.Connection, wallboxes: list[str]
) -> None:
    await connection.execute("update charge_points set quirks = '{restarting_register}'")
    begun = await begin_everywhere(connection, wallboxes)
    await connection.execute(
        """
        insert into meter_values (charge_point_id, sampled_at, connector_id, digest, transaction_id, received_at,
            energy_wh, samples)
        select t.charge_point_id, $1::timestamptz + n * interval '100 milliseconds', 1, n, t.id, $1,
            case when n < $2 then n when n = $2 then 0 else 5 end, '[]'
        from transactions t, generate_series(0, $2 + 10) n
        """,
        NOW,
        READ_TOGETHER + 1,
    )
    await end(connection, *(stop_call(wallboxes[n], begun[n], 6) for n in range(3)))
    energies = await connection.fetch("select energy_wh from transactions")
    assert [row["energy_wh"] for row in energies] == [READ_TOGETHER + 6] * 3, "the register restarts near the end"


async def test_starts_that_cannot_be_one_more_do_not_stop_the_others(
    connection: asyncpg.Connection, wallboxes: list[str]
) -> None:
    """Of three, one has a connector on which a session is open, one waited in a queue, one is plain."""
    begun = await begin_everywhere(connection, wallboxes)
    await give_card(connection, wallboxes[0], "CARD9")
    hour_ago = NOW - timedelta(hours=1)
    requests = [
        {"connectorId": 1, "idTag": "CARD9", "meterStart": 50, "timestamp": iso(NOW + timedelta(minutes=1))},
        {"connectorId": 2, "idTag": "NOBODY", "meterStart": 0, "timestamp": iso(hour_ago)},
        {"connectorId": 2, "idTag": "CARD9", "meterStart": 0, "timestamp": iso(NOW)},
    ]
    calls = [
        call(wallbox, "StartTransaction", request, received_at=(NOW + timedelta(minutes=2)).timestamp())
        for wallbox, request in zip(wallboxes, requests, strict=True)
    ]
    async with connection.transaction():
        answers = await starts(connection, calls, NOW)
    assert [status_of(answer) for answer in answers] == ["Accepted", "Invalid", "ConcurrentTx"]
    numbers = [orjson.loads(answer.payload)["transactionId"] for answer in answers]
    assert len({*begun, *numbers}) == 6
    rows = await connection.fetch("select connector_id, status, held_reasons from transactions order by id")
    assert [tuple(row) for row in rows] == [
        (1, "abandoned", ["never_stopped"]), (1, "active", []), (1, "active", []),
        (1, "active", ["second_start"]), (2, "active", []), (2, "active", []),
    ]  # fmt: skip


async def test_each_authorize_gets_its_own_answer(connection: asyncpg.Connection, wallboxes: list[str]) -> None:
    await give_card(connection, wallboxes[0])
    tags = ("NOBODY", "CARD1", "")
    calls = [call(wallbox, "Authorize", {"idTag": tag}) for wallbox, tag in zip(wallboxes, tags, strict=True)]
    async with connection.transaction():
        answers = await authorize_calls(connection, calls, NOW)
    assert [status_of(answer) for answer in answers] == ["Invalid", "Accepted", "Invalid"]
