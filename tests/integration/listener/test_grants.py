"""Grants as PostgreSQL has them: what Authorize and StartTransaction make of them, and what counts as used up."""

import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from api.sharing.authorization import OF_ONE, authorize, authorize_all
from api.sharing.ocpp import authorize_call
from api.tariffs.in_force import grant_of
from api.transactions.start import start
from api.transactions.stop import stop
from tests.integration.listener.gateway import call, iso, make_charge_point

NOW = datetime.now(UTC).replace(microsecond=0)
BEGUN = NOW - timedelta(days=60)


async def insert(connection: asyncpg.Connection, table: str, **columns: Any) -> Any:
    places = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    statement = f"insert into {table} ({', '.join(columns)}) values ({places}) returning *"
    return (await connection.fetchrow(statement, *columns.values()))[0]


async def person(connection: asyncpg.Connection, tag: str) -> UUID:
    made: UUID = await insert(connection, "users", email=f"{uuid.uuid4().hex}@example.org", password_hash="")
    await insert(connection, "id_tags", user_id=made, tag=tag, kind="card")
    return made


async def grant(connection: asyncpg.Connection, wallbox: str, **columns: Any) -> UUID:
    place = {} if "location_id" in columns else {"charge_point_id": wallbox}
    made: UUID = await insert(connection, "grants", valid_from=BEGUN, **place, **columns)
    return made


async def used(connection: asyncpg.Connection, wallbox: str, driver: UUID, grant_id: UUID, **columns: Any) -> None:
    """A session under a grant."""
    number = int(uuid.uuid4().int % 2**31) or 1
    values: dict[str, Any] = {
        "charge_point_id": wallbox, "connector_id": 3, "ocpp_transaction_id": number, "id_tag": f"T{number}",
        "id_tag_status": "Accepted", "driver_id": driver, "grant_id": grant_id, "started_at": NOW,
        "start_received_at": NOW, "start_boot_count": 0, "meter_start_wh": 0, "status": "stopped",
    }  # fmt: skip
    await insert(connection, "transactions", **(values | columns))


@pytest.fixture
async def wallbox(connection: asyncpg.Connection) -> str:
    return await make_charge_point(connection)


@pytest.fixture
async def guest(connection: asyncpg.Connection) -> UUID:
    return await person(connection, "GUEST")


async def code(connection: asyncpg.Connection, wallbox: str, tag: str = "GUEST", starting_on: int | None = 1) -> str:
    return (await authorize(connection, UUID(wallbox), tag, NOW, starting_on=starting_on)).code


async def begin(
    connection: asyncpg.Connection, wallbox: str, tag: str, connector_id: int = 1, *, at: datetime = NOW
) -> dict[str, Any]:
    request = {"connectorId": connector_id, "idTag": tag, "meterStart": 0, "timestamp": iso(at)}
    async with connection.transaction():
        arrived = call(wallbox, "StartTransaction", request, received_at=NOW.timestamp())
        answer = await start(connection, arrived, NOW)
    payload: dict[str, Any] = orjson.loads(answer.payload)
    return payload


async def test_a_start_keeps_the_grant_by_which_it_was_accepted(
    connection: asyncpg.Connection, wallbox: str, guest: UUID
) -> None:
    given = await grant(connection, wallbox, user_id=guest)
    owner = await connection.fetchval("select owner_id from charge_points")
    await insert(connection, "id_tags", user_id=owner, tag="OWNER", kind="card")
    await person(connection, "STRANGER")
    for number, tag in enumerate(("GUEST", "OWNER", "STRANGER"), 1):
        await begin(connection, wallbox, tag, number)
    kept = {row["id_tag"]: row for row in await connection.fetch("select * from transactions")}
    assert {tag: row["grant_id"] for tag, row in kept.items()} == {"GUEST": given, "OWNER": None, "STRANGER": None}
    assert kept["STRANGER"]["id_tag_status"] == "Invalid"
    assert {row["owner_id"] for row in kept.values()} == {owner}


async def test_the_owner_of_a_session_is_who_owned_the_charge_point_at_its_start(
    connection: asyncpg.Connection, wallbox: str, guest: UUID
) -> None:
    await begin(connection, wallbox, "GUEST")
    owner = await connection.fetchval("select owner_id from charge_points")
    await connection.execute("update charge_points set owner_id = $1", guest)
    assert await connection.fetchval("select owner_id from transactions") == owner


async def test_a_start_that_was_queued_is_judged_as_of_its_own_time(
    connection: asyncpg.Connection, wallbox: str, guest: UUID
) -> None:
    """The local list let the guest charge while the wallbox was offline, and rightly so."""
    ended = NOW - timedelta(hours=2)
    given = await grant(connection, wallbox, user_id=guest, valid_until=ended)
    for number, (at, status) in enumerate(
        ((ended - timedelta(hours=1), "Accepted"), (ended + timedelta(hours=1), "Invalid"), (NOW, "Invalid")), 1
    ):
        answer = await begin(connection, wallbox, "GUEST", number, at=at)
        assert answer["idTagInfo"]["status"] == status
    kept = await connection.fetch("select grant_id from transactions order by id")
    assert [row["grant_id"] for row in kept] == [given, None, None]
    await connection.execute("update transactions set status = 'stopped'")
    await connection.execute("update grants set valid_until = null, revoked_at = $1", NOW - timedelta(minutes=5))
    behind = NOW - timedelta(minutes=6)
    assert (await begin(connection, wallbox, "GUEST", 4, at=behind))["idTagInfo"]["status"] == "Invalid", "revoked"


async def test_a_session_of_before_a_hand_over_is_the_old_owners_however_late_it_arrives(
    connection: asyncpg.Connection, wallbox: str, guest: UUID
) -> None:
    owner = await connection.fetchval("select owner_id from charge_points")
    await connection.execute("update charge_points set created_at = $1, owner_id = $2", BEGUN, guest)
    await insert(
        connection, "handovers", charge_point_id=wallbox, offered_by=owner, email="", expires_at=NOW,
        status="accepted", accepted_by=guest, ended_at=NOW - timedelta(hours=1),
    )  # fmt: skip
    reset_clock = datetime(2000, 1, 1, tzinfo=UTC)
    for number, at in enumerate((NOW - timedelta(hours=2), NOW, reset_clock), 1):
        await begin(connection, wallbox, "GUEST", number, at=at)
    owners = [row["owner_id"] for row in await connection.fetch("select owner_id from transactions order by id")]
    assert owners == [owner, guest, guest]


async def test_a_decision_is_one_query(connection: asyncpg.Connection, wallbox: str, guest: UUID) -> None:
    for _ in range(3):
        await grant(connection, wallbox, user_id=guest, max_energy_wh=5, max_sessions=1)
    asked: list[str] = []
    await code(connection, wallbox)  # the driver asks for the types of a new connection once
    with connection.query_logger(lambda record: asked.append(record.query)):
        assert await code(connection, wallbox) == "accepted"
        await connection.execute("select 1")  # a query is reported a turn of the loop after it has ended
    assert [query for query in asked if query != "select 1"] == [OF_ONE]


async def test_groups_locations_connectors_and_anybody(
    connection: asyncpg.Connection, wallbox: str, guest: UUID
) -> None:
    owner = await connection.fetchval("select owner_id from charge_points")
    location = await insert(connection, "locations", owner_id=owner, name="Home", address="1", city="A", country="CZE")
    group = await insert(connection, "groups", owner_id=owner, name="Family")
    given = await grant(connection, wallbox, location_id=location, audience="group", group_id=group)
    assert await code(connection, wallbox) == "not_shared"
    await insert(connection, "group_members", group_id=group, user_id=guest)
    assert await code(connection, wallbox) == "not_shared", "the charge point does not stand there yet"
    await connection.execute("update charge_points set location_id = $1", location)
    decision = await authorize(connection, UUID(wallbox), "guest", NOW)
    assert (decision.code, decision.grant_id) == ("accepted", given)
    await connection.execute("delete from group_members")
    await grant(connection, wallbox, user_id=guest, connector_id=2)
    assert await code(connection, wallbox, starting_on=1) == "other_connector"
    for anywhere in (2, 0, None):
        assert await code(connection, wallbox, starting_on=anywhere) == "accepted", anywhere
    await person(connection, "STRANGER")
    await grant(connection, wallbox, audience="public")
    assert await code(connection, wallbox, "STRANGER") == "not_shared"
    await connection.execute("update charge_points set visibility = 'public'")
    assert await code(connection, wallbox, "STRANGER") == "accepted"
    await connection.execute("update charge_points set visibility = 'private'")
    assert await code(connection, wallbox, starting_on=2) == "charge_point_private"


async def test_the_grant_whose_price_is_shown_is_the_one_by_which_a_start_is_decided(
    connection: asyncpg.Connection, wallbox: str, guest: UUID
) -> None:
    """Of every kind at once: the first is asked for, revoked, and then the next one is, until none is left."""
    owner = await connection.fetchval("select owner_id from charge_points")
    location = await insert(connection, "locations", owner_id=owner, name="Home", address="1", city="A", country="CZE")
    await connection.execute("update charge_points set location_id = $1, visibility = 'public'", location)
    group = await insert(connection, "groups", owner_id=owner, name="Family")
    await insert(connection, "group_members", group_id=group, user_id=guest)
    grantees: list[dict[str, Any]] = [
        {"user_id": guest},
        {"audience": "group", "group_id": group},
        {"audience": "public"},
    ]
    places: list[dict[str, Any]] = [{"connector_id": 1}, {}, {"location_id": location}]
    kinds = [{**who, **where, "priority": rank} for who in grantees for where in places for rank in (0, 5, 5)]
    for columns in random.Random(4).sample(kinds, len(kinds)):
        await grant(connection, wallbox, **columns)
    chosen = []
    for _ in kinds:
        shown = await grant_of(connection, UUID(wallbox), guest, NOW)
        decision = await authorize(connection, UUID(wallbox), "GUEST", NOW, starting_on=1)
        assert decision.grant_id == shown is not None
        chosen.append(shown)
        await connection.execute("update grants set revoked_at = $2 where id = $1", shown, NOW)
    assert len(set(chosen)) == len(kinds)
    assert await code(connection, wallbox) == "grant_revoked"
    assert await grant_of(connection, UUID(wallbox), guest, NOW) is None


async def test_nobodys_charge_point_stands_at_a_strangers_location(
    connection: asyncpg.Connection, wallbox: str, guest: UUID
) -> None:
    location = await insert(connection, "locations", owner_id=guest, name="Trap", address="1", city="A", country="CZE")
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await connection.execute("update charge_points set location_id = $1", location)


async def test_energy_is_counted_over_the_series_for_each_grantee(
    connection: asyncpg.Connection, wallbox: str, guest: UUID
) -> None:
    await connection.execute("update charge_points set visibility = 'public'")
    first = await grant(connection, wallbox, audience="public", max_energy_wh=10_000)
    await used(connection, wallbox, guest, first, energy_wh=9_999)
    assert await code(connection, wallbox) == "accepted"
    series = await connection.fetchval("update grants set revoked_at = now() returning series_id")
    second = await grant(connection, wallbox, audience="public", max_energy_wh=10_000, series_id=series)
    await used(connection, wallbox, guest, second, energy_wh=1)
    decision = await authorize(connection, UUID(wallbox), "GUEST", NOW)
    assert (decision.code, decision.status) == ("energy_cap_reached", "Blocked")
    await person(connection, "OTHER")
    assert await code(connection, wallbox, "OTHER") == "accepted"


async def test_a_month_begins_at_its_first_midnight_where_the_charge_point_stands(
    connection: asyncpg.Connection, wallbox: str, guest: UUID
) -> None:
    given = await grant(connection, wallbox, user_id=guest, max_energy_wh=10, cap_period="month")
    at = datetime(2026, 10, 31, 23, 30, tzinfo=UTC)  # 00:30 on 1 November in Prague
    await used(connection, wallbox, guest, given, energy_wh=10, started_at=at - timedelta(minutes=31))
    await connection.execute("update grants set valid_from = $1", at - timedelta(days=90))
    decision = await authorize(connection, UUID(wallbox), "GUEST", at)
    assert (decision.code, decision.used.energy_wh) == ("accepted", 0)
    decision = await authorize(connection, UUID(wallbox), "GUEST", at - timedelta(minutes=31))
    assert decision.code == "energy_cap_reached"


async def test_money_is_counted_in_its_currency(connection: asyncpg.Connection, wallbox: str, guest: UUID) -> None:
    given = await grant(connection, wallbox, user_id=guest, max_amount_minor=1000, currency="CZK")
    await used(connection, wallbox, guest, given, total_minor=1000, currency="EUR")
    await used(connection, wallbox, guest, given, total_minor=999, currency="CZK")
    assert await code(connection, wallbox) == "accepted"
    await used(connection, wallbox, guest, given, total_minor=1, currency="CZK")
    assert await code(connection, wallbox) == "amount_cap_reached"


async def test_sessions_at_once_are_asked_at_a_start_and_never_of_its_own_replay(
    connection: asyncpg.Connection, wallbox: str, guest: UUID
) -> None:
    await grant(connection, wallbox, user_id=guest, max_sessions=1)
    await insert(connection, "id_tags", user_id=guest, tag="SECOND", kind="card")
    first = await begin(connection, wallbox, "GUEST")
    assert await begin(connection, wallbox, "GUEST") == first
    assert await code(connection, wallbox, "SECOND", starting_on=None) == "accepted", "Authorize"
    assert await code(connection, wallbox, "SECOND", starting_on=2) == "sessions_cap_reached"
    refused = await begin(connection, wallbox, "SECOND", 2)
    assert refused["idTagInfo"] == {"status": "ConcurrentTx"}
    request = {"transactionId": first["transactionId"], "meterStop": 1, "timestamp": iso(NOW)}
    async with connection.transaction():
        await stop(connection, call(wallbox, "StopTransaction", request), NOW)
    await connection.execute("update transactions set status = 'stopped' where id_tag = 'SECOND'")
    assert await code(connection, wallbox, "SECOND", starting_on=2) == "accepted"


async def test_authorize_says_when_the_window_ends(connection: asyncpg.Connection, wallbox: str, guest: UUID) -> None:
    await connection.execute("update charge_points set time_zone = 'Asia/Kolkata'")
    windows = [{"start_time": "22:00", "end_time": "06:00", "day_of_week": ["FRIDAY"]}]
    await grant(connection, wallbox, user_id=guest, windows=windows)
    for clock, info in (
        ("2026-11-20T23:00:00+05:30", {"expiryDate": "2026-11-21T00:30:00.000Z", "status": "Accepted"}),
        ("2026-11-21T06:00:00+05:30", {"status": "Invalid"}),
    ):
        await connection.execute("update grants set valid_from = '2026-01-01', revoked_at = null")
        at = datetime.fromisoformat(clock)
        asked = call(wallbox, "Authorize", {"idTag": "GUEST"}, received_at=at.timestamp())
        answer = await authorize_call(connection, asked, at)
        assert orjson.loads(answer.payload) == {"idTagInfo": info}


async def test_the_list_holds_who_was_named_and_not_everybody(
    connection: asyncpg.Connection, wallbox: str, guest: UUID
) -> None:
    owner = await connection.fetchval("select owner_id from charge_points")
    await insert(connection, "id_tags", user_id=owner, tag="OWNER", kind="card")
    member = await person(connection, "MEMBER")
    group = await insert(connection, "groups", owner_id=owner, name="Family")
    await insert(connection, "group_members", group_id=group, user_id=member)
    await person(connection, "STRANGER")
    await connection.execute("update charge_points set visibility = 'public'")
    await grant(connection, wallbox, audience="public")
    await grant(connection, wallbox, audience="group", group_id=group, max_energy_wh=5)
    ends = NOW + timedelta(days=3)
    await grant(connection, wallbox, user_id=guest, valid_until=ends)
    await connection.execute("update grants set revoked_at = $1 where audience = 'public'", NOW)
    decided = await authorize_all(connection, UUID(wallbox), NOW)
    shown = {tag: (decision.accepted, decision.expires_at) for tag, decision in decided}
    assert shown == {"GUEST": (True, ends), "MEMBER": (True, None), "OWNER": (True, None)}
