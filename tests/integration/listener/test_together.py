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
from api.transactions.stop import stops
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


async def test_each_stop_ends_its_own_session(connection: asyncpg.Connection, wallboxes: list[str]) -> None:
    for number in range(3):
        await give_card(connection, wallboxes[0], f"CARD{number}")
    begun = [orjson.loads(answer.payload) for answer in await begin(connection, wallboxes, "CARD0", "CARD1", "CARD2")]
    later = NOW + timedelta(minutes=10)

    def stop_call(number: int, **further: str) -> Any:
        request = {"transactionId": begun[number]["transactionId"], "meterStop": 100 * number, "timestamp": iso(later)}
        return call(wallboxes[number], "StopTransaction", request | further, received_at=later.timestamp())

    calls = [stop_call(0, idTag="CARD0"), stop_call(1), stop_call(2, idTag="NOBODY")]
    async with connection.transaction():
        answers = await stops(connection, calls, later)
    assert [orjson.loads(answer.payload) for answer in answers] == [
        {"idTagInfo": {"status": "Accepted"}}, {}, {"idTagInfo": {"status": "Invalid"}},
    ]  # fmt: skip
    rows = await connection.fetch("select status, energy_wh from transactions order by energy_wh")
    assert [tuple(row) for row in rows] == [("stopped", 0), ("stopped", 100), ("stopped", 200)]


async def test_each_authorize_gets_its_own_answer(connection: asyncpg.Connection, wallboxes: list[str]) -> None:
    await give_card(connection, wallboxes[0])
    tags = ("NOBODY", "CARD1", "")
    calls = [call(wallbox, "Authorize", {"idTag": tag}) for wallbox, tag in zip(wallboxes, tags, strict=True)]
    async with connection.transaction():
        answers = await authorize_calls(connection, calls, NOW)
    assert [status_of(answer) for answer in answers] == ["Invalid", "Accepted", "Invalid"]
