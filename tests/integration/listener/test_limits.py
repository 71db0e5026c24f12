"""Sessions that reach what they may take are noted, told and stopped once, whoever started them and however."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from api.charge_points.command_state import unpublished
from api.credit.holds import place_hold
from api.transactions import limit_stops
from api.transactions.meter_values import meter_values
from api.transactions.stop import stop
from tests.integration.listener.gateway import call, give_price, give_tariff, iso, make_charge_point
from tests.integration.listener.test_grants import NOW, begin, code, grant, insert, person

LATER = NOW + timedelta(seconds=30)


@pytest.fixture
async def wallbox(connection: asyncpg.Connection) -> str:
    """Connected, at 5.50 a kWh."""
    made = await make_charge_point(connection, registration="Accepted", connected_at=NOW, connection_epoch=7)
    await give_price(connection, made)
    return made


@pytest.fixture
async def guest(connection: asyncpg.Connection) -> UUID:
    return await person(connection, "GUEST")


async def meter(
    connection: asyncpg.Connection, wallbox: str, session: dict[str, Any], energy_wh: int, *, after_s: float = 30
) -> None:
    """A sample of register and power, so long after the start."""
    at = NOW + timedelta(seconds=after_s)
    samples = [
        {"value": str(energy_wh), "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
        {"value": "7000", "measurand": "Power.Active.Import", "unit": "W"},
    ]
    values = [{"timestamp": iso(at), "sampledValue": samples}]
    request = {"connectorId": 1, "transactionId": session["transactionId"], "meterValue": values}
    await meter_values(connection, call(wallbox, "MeterValues", request, received_at=at.timestamp()), at)


async def turn(connection: asyncpg.Connection, seconds: float = 60) -> list[Any]:
    """One turn of the chore; the commands that exist after it."""
    now = NOW + timedelta(seconds=seconds)
    async with connection.transaction():
        await limit_stops.note_reached(connection, now)
    async with connection.transaction():
        await limit_stops.ask_to_stop(connection, now)
    found: list[Any] = await connection.fetch(
        "select * from commands where action = 'RemoteStopTransaction' order by created_at, id"
    )
    return found


async def codes(connection: asyncpg.Connection) -> list[str | None]:
    return [
        row["limit_reached"] for row in await connection.fetch("select limit_reached from transactions order by id")
    ]


async def end(connection: asyncpg.Connection, status: str) -> None:
    await connection.execute(
        "update commands set status = $1, finished_at = created_at where status = 'queued'", status
    )


async def test_a_card_at_its_cap_of_energy_is_stopped_and_everybody_told_why(
    connection: asyncpg.Connection, wallbox: str, guest: UUID
) -> None:
    await grant(connection, wallbox, user_id=guest, max_energy_wh=5000)
    session = await begin(connection, wallbox, "GUEST")
    assert await turn(connection, 30) == []
    await meter(connection, wallbox, session, 4999, after_s=31)
    assert await turn(connection, 32) == []
    await meter(connection, wallbox, session, 5000, after_s=33)
    [asked] = await turn(connection, 34)
    assert asked["payload"] == {"transactionId": session["transactionId"]}
    assert (asked["user_id"], asked["epoch"], asked["note"]) == (None, 7, "asked by Voltuj: energy_cap_reached")
    assert [each.id for each in await unpublished(connection, asked["created_at"])] == [str(asked["id"])], "at once"
    row = await connection.fetchrow("select * from transactions")
    assert (row["limit_energy_wh"], row["limit_reached"], row["status"]) == (5000, "energy_cap_reached", "active")
    assert asked["transaction_id"] == row["id"]
    for seconds in (61, 120, 3600):
        assert len(await turn(connection, seconds)) == 1
    [event] = await connection.fetch("select * from events where type = 'transaction.limit_reached'")
    assert (event["person_id"], event["audience"]) == (guest, "person")
    assert event["data"]["limit_reached"] == "energy_cap_reached"


async def test_a_cap_of_money_is_compared_with_the_cost_so_far(
    connection: asyncpg.Connection, wallbox: str, guest: UUID
) -> None:
    await grant(connection, wallbox, user_id=guest, max_amount_minor=1100, currency="CZK")
    session = await begin(connection, wallbox, "GUEST")
    await meter(connection, wallbox, session, 1990)  # 10.945, half to even: 10.94
    assert await turn(connection) == []
    await meter(connection, wallbox, session, 2000, after_s=61)
    assert len(await turn(connection, 62)) == 1
    assert await codes(connection) == ["amount_cap_reached"]


async def test_what_was_taken_before_and_what_runs_beside_counts(
    connection: asyncpg.Connection, wallbox: str, guest: UUID
) -> None:
    await grant(connection, wallbox, user_id=guest, max_energy_wh=5000)
    await insert(connection, "id_tags", user_id=guest, tag="SECOND", kind="card")
    before = await begin(connection, wallbox, "GUEST", at=NOW - timedelta(minutes=1))
    request = {"transactionId": before["transactionId"], "meterStop": 1000, "timestamp": iso(NOW)}
    await stop(connection, call(wallbox, "StopTransaction", request), NOW)
    first, second = [await begin(connection, wallbox, tag, n) for n, tag in enumerate(("GUEST", "SECOND"), 1)]
    await meter(connection, wallbox, first, 2500)
    assert await turn(connection) == []
    await meter(connection, wallbox, second, 1500)
    assert len(await turn(connection, 75.5)) == 2
    assert await codes(connection) == [None, "energy_cap_reached", "energy_cap_reached"]
    left = await connection.fetch("select limit_energy_wh from transactions order by id")
    assert [row["limit_energy_wh"] for row in left] == [5000, 4000, 4000]
    assert await code(connection, wallbox, starting_on=3) == "energy_cap_reached", "and nobody starts another"


async def test_the_sessions_of_others_under_the_same_grant_do_not_count(
    connection: asyncpg.Connection, wallbox: str, guest: UUID
) -> None:
    await connection.execute("update charge_points set visibility = 'public'")
    await grant(connection, wallbox, audience="public", max_energy_wh=5000)
    await person(connection, "OTHER")
    sessions = [await begin(connection, wallbox, tag, n) for n, tag in enumerate(("GUEST", "OTHER"), 1)]
    for session in sessions:
        await meter(connection, wallbox, session, 4000)
    assert await turn(connection) == []


async def test_owners_and_those_who_were_refused_have_no_limits(
    connection: asyncpg.Connection, wallbox: str, guest: UUID
) -> None:
    owner = await connection.fetchval("select owner_id from charge_points")
    await insert(connection, "id_tags", user_id=owner, tag="OWNER", kind="card")
    for number, tag in enumerate(("OWNER", "GUEST"), 1):
        await meter(connection, wallbox, await begin(connection, wallbox, tag, number), 10**9)
    assert await turn(connection) == []
    assert (
        await connection.fetchval("select max(num_nonnulls(limit_energy_wh, limit_credit_minor)) from transactions")
        == 0
    )


async def remote_start(connection: asyncpg.Connection, wallbox: str, guest: UUID, balance_minor: int, n: int) -> None:
    """What a start by the app leaves behind: its command, and what it keeps of the money."""
    command = await insert(
        connection, "commands", charge_point_id=wallbox, user_id=guest, action="RemoteStartTransaction",
        payload={"idTag": "GUEST" if n == 1 else "SECOND", "connectorId": n}, status="accepted", epoch=7,
        deadline_at=NOW, created_at=NOW - timedelta(seconds=5),
    )  # fmt: skip
    await place_hold(connection, guest, command, (300, "CZK"), default_limit_minor=balance_minor, now=NOW)


async def test_who_has_used_up_the_money_is_stopped_with_all_that_it_pays(
    connection: asyncpg.Connection, wallbox: str, guest: UUID
) -> None:
    await grant(connection, wallbox, user_id=guest)
    await insert(connection, "id_tags", user_id=guest, tag="SECOND", kind="card")
    for number in (1, 2):
        await remote_start(connection, wallbox, guest, 1100, number)
    first, second = [await begin(connection, wallbox, tag, n) for n, tag in enumerate(("GUEST", "SECOND"), 1)]
    left = await connection.fetch("select limit_credit_minor from transactions order by id")
    assert [row["limit_credit_minor"] for row in left] == [1100, 1100], "what the other keeps counts once it is spent"
    await meter(connection, wallbox, first, 1200)
    assert await turn(connection) == []
    await meter(connection, wallbox, second, 800)
    assert len(await turn(connection, 75.5)) == 2
    assert await codes(connection) == ["credit_used_up", "credit_used_up"]


@pytest.mark.parametrize(("status", "times"), [("offline", 2), ("timeout", 2), ("unknown", 2), ("accepted", 1),
                                               ("rejected", 1), ("call_error", 1)])  # fmt: skip
async def test_it_is_asked_again_only_where_it_may_not_have_arrived(
    connection: asyncpg.Connection, wallbox: str, guest: UUID, status: str, times: int
) -> None:
    await grant(connection, wallbox, user_id=guest, max_energy_wh=1)
    await meter(connection, wallbox, await begin(connection, wallbox, "GUEST"), 9)
    assert len(await turn(connection)) == 1
    await end(connection, status)
    assert len(await turn(connection, 65)) == 1, "not at once"
    assert len(await turn(connection, 75)) == times


async def test_a_charge_point_that_is_away_is_told_when_it_is_back_unless_the_session_is_over(
    connection: asyncpg.Connection, wallbox: str, guest: UUID
) -> None:
    await grant(connection, wallbox, user_id=guest, max_energy_wh=1)
    sessions = [await begin(connection, wallbox, "GUEST", 1)]
    await meter(connection, wallbox, sessions[0], 9)
    await connection.execute("update charge_points set disconnected_at = $1", LATER)
    assert await turn(connection) == []
    assert await codes(connection) == ["energy_cap_reached"]
    await connection.execute("update charge_points set connected_at = $1, connection_epoch = 8", LATER + timedelta(1))
    [asked] = await turn(connection, 90_000)
    assert asked["epoch"] == 8
    await end(connection, "offline")
    request = {"transactionId": sessions[0]["transactionId"], "meterStop": 9, "timestamp": iso(LATER)}
    await stop(connection, call(wallbox, "StopTransaction", request), LATER)
    assert len(await turn(connection, 95_000)) == 1


async def test_of_two_listeners_one_asks(
    pool: asyncpg.Pool, connection: asyncpg.Connection, wallbox: str, guest: UUID
) -> None:
    await grant(connection, wallbox, user_id=guest, max_energy_wh=1)
    await meter(connection, wallbox, await begin(connection, wallbox, "GUEST"), 9)

    async def one() -> None:
        async with pool.acquire() as mine:
            await turn(mine)

    await asyncio.gather(*(one() for _ in range(4)))
    assert len(await turn(connection)) == 1
    assert await connection.fetchval("select count(*) from events where type = 'transaction.limit_reached'") == 1


async def test_a_session_that_costs_time_is_looked_at_without_samples(
    connection: asyncpg.Connection, wallbox: str, guest: UUID
) -> None:
    elements = [{"price_components": [{"type": "TIME", "price_e4": 600_000, "step_size": 1}]}]
    await give_tariff(connection, wallbox, elements, {}, NOW - timedelta(hours=1))
    await grant(connection, wallbox, user_id=guest, max_amount_minor=100, currency="CZK")
    session = await begin(connection, wallbox, "GUEST")
    await meter(connection, wallbox, session, 5)
    assert await turn(connection, 40) == []
    assert await turn(connection, 54) == [], "looked at 14 s ago"
    assert len(await turn(connection, 61)) == 1
