"""What bookings come to: starts of others refused, used by their holder, told to the charge point, ended, billed."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from api.administration.books import check_ledger
from api.charge_points.command_effects import apply_effect
from api.charge_points.ended import Ended
from api.settlement.no_shows import settle_next_no_show
from api.sharing import booking_keeping
from api.sharing.authorization import authorize
from api.sharing.ocpp import authorize_call
from api.transactions.start import start
from tests.harness.stack import eventually
from tests.integration.listener.gateway import StartListener, call, give_card, iso, make_charge_point

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
BEGUN = NOW - timedelta(days=1)


async def add(connection: asyncpg.Connection, table: str, **columns: Any) -> Any:
    places = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    statement = f"insert into {table} ({', '.join(columns)}) values ({places}) returning *"
    return (await connection.fetchrow(statement, *columns.values()))[0]


async def guest(connection: asyncpg.Connection, wallbox: str, tag: str) -> UUID:
    """Somebody with a card and a grant."""
    made: UUID = await add(connection, "users", email=f"{uuid.uuid4().hex}@example.org", password_hash="")
    await add(connection, "id_tags", user_id=made, tag=tag, kind="card")
    await add(connection, "grants", charge_point_id=wallbox, user_id=made, valid_from=BEGUN)
    return made


@pytest.fixture
async def wallbox(connection: asyncpg.Connection) -> str:
    """A wallbox with one connector, connected."""
    made = await make_charge_point(connection, registration="Accepted", connected_at=NOW - HOUR, connection_epoch=5)
    await give_card(connection, made, "OWNER")
    return made


@pytest.fixture
async def holder(connection: asyncpg.Connection, wallbox: str) -> UUID:
    """Who reserves."""
    return await guest(connection, wallbox, "HOLDER")


async def book(connection: asyncpg.Connection, wallbox: str, holder: UUID, **columns: Any) -> UUID:
    """A booking of connector 1 that began a minute ago, with a fee."""
    values = {
        "charge_point_id": UUID(wallbox), "connector_id": 1, "user_id": holder, "id_tag": "HOLDER",
        "owner_id": await connection.fetchval("select owner_id from charge_points where id = $1", UUID(wallbox)),
        "grant_id": await connection.fetchval("select id from grants where user_id = $1", holder),
        "starts_at": NOW - timedelta(minutes=1), "ends_at": NOW + HOUR, "currency": "CZK", "no_show_fee_minor": 5000,
    }  # fmt: skip
    made: UUID = await add(connection, "bookings", **(values | columns))
    return made


async def report(connection: asyncpg.Connection, wallbox: str, number: int, status: str) -> None:
    """What a StatusNotification would have stored."""
    await add(connection, "connectors", charge_point_id=UUID(wallbox), connector_id=number, status=status,
              error_code="NoError", status_at=NOW, received_at=NOW, epoch=1, sequence=1)  # fmt: skip


async def status(connection: asyncpg.Connection, booking_id: UUID) -> str:
    return str(await connection.fetchval("select status from bookings where id = $1", booking_id))


async def keep(connection: asyncpg.Connection, now: datetime = NOW) -> None:
    """One turn of the listener's chore."""
    for step in booking_keeping.STEPS:
        async with connection.transaction():
            await step(connection, now=now)


async def begin(connection: asyncpg.Connection, wallbox: str, tag: str, at: datetime = NOW, connector: int = 1) -> str:
    """What StartTransaction is told."""
    request = {"connectorId": connector, "idTag": tag, "meterStart": 0, "timestamp": iso(at)}
    async with connection.transaction():
        answer = await start(connection, call(wallbox, "StartTransaction", request), NOW)
    return str(orjson.loads(answer.payload)["idTagInfo"]["status"])


async def code(
    connection: asyncpg.Connection, wallbox: str, tag: str, connector: int | None, at: datetime = NOW
) -> str:
    return (await authorize(connection, UUID(wallbox), tag, at, starting_on=connector)).code


async def test_nobody_else_starts_there_while_it_holds(
    connection: asyncpg.Connection, wallbox: str, holder: UUID
) -> None:
    await guest(connection, wallbox, "OTHER")
    await add(connection, "id_tags", user_id=holder, tag="SECOND", kind="card")
    booking = await book(connection, wallbox, holder)
    for tag in ("OTHER", "OWNER"):
        assert [await code(connection, wallbox, tag, each) for each in (1, 2, 0, None)] == [
            "reserved", "accepted", "reserved", "reserved"]  # fmt: skip
    assert await code(connection, wallbox, "OTHER", 1, NOW + HOUR) == "accepted", "the end is exclusive"
    assert await code(connection, wallbox, "OTHER", 1, NOW - 2 * HOUR) == "accepted", "it has not begun"
    answer = await authorize_call(connection, call(wallbox, "Authorize", {"idTag": "OTHER"}), NOW)
    assert orjson.loads(answer.payload)["idTagInfo"]["status"] == "Invalid"
    assert await begin(connection, wallbox, "OTHER") == "Invalid"
    assert await status(connection, booking) == "standing"
    assert await code(connection, wallbox, "SECOND", 1) == "accepted", "any card of who reserved"


async def test_authorize_is_refused_where_no_connector_is_left(
    connection: asyncpg.Connection, wallbox: str, holder: UUID
) -> None:
    other = await guest(connection, wallbox, "OTHER")
    for number in (0, 1, 2):
        await report(connection, wallbox, number, "Available")
    await book(connection, wallbox, holder)
    assert await code(connection, wallbox, "OTHER", None) == "accepted"
    await book(connection, wallbox, holder, connector_id=2, id_tag="HOLDER")
    assert await code(connection, wallbox, "OTHER", None) == "reserved"
    await connection.execute("update bookings set user_id = $1 where connector_id = 2", other)
    assert await code(connection, wallbox, "OTHER", None) == "accepted", "one is their own"


@pytest.mark.parametrize("tag", ["HOLDER", "CHILD"])
async def test_a_start_by_the_holder_uses_it(
    connection: asyncpg.Connection, wallbox: str, holder: UUID, tag: str
) -> None:
    """The same tag, or another one of the same parent (5.13)."""
    await add(connection, "id_tags", user_id=holder, tag="CHILD", kind="card", parent_tag="FAMILY")
    booking = await book(connection, wallbox, holder, parent_tag="FAMILY")
    later = await book(connection, wallbox, holder, starts_at=NOW + HOUR, ends_at=NOW + 2 * HOUR)
    assert await begin(connection, wallbox, tag) == "Accepted"
    assert await status(connection, booking) == "used"
    assert await status(connection, later) == "standing"
    assert await connection.fetchval("select transaction_id from bookings where id = $1", booking) is not None
    await keep(connection, NOW + 2 * HOUR)
    assert await connection.fetchval("select bool_or(is_no_show) from bookings where id = $1", booking) is False
    assert await connection.fetchval("select count(*) from events where type = 'booking.changed'") == 4


async def test_who_came_early_has_used_it_once_it_begins(
    connection: asyncpg.Connection, wallbox: str, holder: UUID
) -> None:
    starts_at = NOW + timedelta(minutes=20)
    booking = await book(connection, wallbox, holder, starts_at=starts_at)
    assert await begin(connection, wallbox, "HOLDER") == "Accepted"
    await keep(connection)
    assert await status(connection, booking) == "standing"
    await keep(connection, starts_at)
    assert await status(connection, booking) == "used"


async def test_the_charge_point_is_told_when_the_time_has_come(
    connection: asyncpg.Connection, wallbox: str, holder: UUID
) -> None:
    booking = await book(connection, wallbox, holder, starts_at=NOW, parent_tag="FAMILY")
    await keep(connection, NOW - timedelta(seconds=1))
    assert await connection.fetchval("select count(*) from commands") == 0
    await asyncio.gather(keep(connection))
    await keep(connection)
    [command] = await connection.fetch("select * from commands")
    assert (command["action"], command["status"], command["epoch"]) == ("ReserveNow", "queued", 5)
    assert command["payload"] == {
        "connectorId": 1, "expiryDate": iso(NOW + HOUR).replace("Z", ".000Z"), "idTag": "HOLDER",
        "parentIdTag": "FAMILY", "reservationId": 1,
    }  # fmt: skip
    [kept] = await connection.fetch("select * from reservations")
    assert (kept["command_id"], kept["user_id"], kept["status"]) == (command["id"], holder, "requested")
    await connection.execute("update bookings set status = 'cancelled', ended_at = $1 where id = $2", NOW, booking)
    await keep(connection)
    await keep(connection)
    [release] = await connection.fetch("select * from commands where action <> 'ReserveNow'")
    assert (release["action"], release["payload"]) == ("CancelReservation", {"reservationId": 1})


@pytest.mark.parametrize("reason", ["offline", "profiles", "refused"])
async def test_what_the_charge_point_cannot_keep_is_kept_by_us(
    connection: asyncpg.Connection, wallbox: str, holder: UUID, reason: str
) -> None:
    box = UUID(wallbox)
    if reason == "offline":
        await connection.execute("update charge_points set disconnected_at = $1", NOW)
    elif reason == "profiles":
        key = "SupportedFeatureProfiles"
        value = "Core,SmartCharging"
        await add(connection, "configuration_keys", charge_point_id=box, name=key.lower(), key=key, value=value)
    else:
        await add(connection, "commands", charge_point_id=box, action="ReserveNow", payload={}, status="call_error",
                  error_code="NotSupported", epoch=5, deadline_at=NOW)  # fmt: skip
    await guest(connection, wallbox, "OTHER")
    booking = await book(connection, wallbox, holder)
    before = await connection.fetchval("select count(*) from commands")
    await keep(connection)
    assert await connection.fetchval("select count(*) from commands") == before
    assert await status(connection, booking) == "standing"
    assert await begin(connection, wallbox, "OTHER") == "Invalid"
    if reason == "offline":
        await connection.execute("update charge_points set connected_at = $1", NOW + timedelta(minutes=1))
        await keep(connection)
        assert await connection.fetchval("select action from commands") == "ReserveNow"
        await connection.execute("update commands set status = 'offline'")
        await keep(connection)
        assert await connection.fetchval("select count(*) from commands") == 1
        await connection.execute("update charge_points set connection_epoch = 6")
        await keep(connection)
        assert await connection.fetchval("select count(*) from commands") == 2


async def test_a_fault_ends_it_and_owes_nothing(connection: asyncpg.Connection, wallbox: str, holder: UUID) -> None:
    now, later = (
        await book(connection, wallbox, holder),
        await book(connection, wallbox, holder, starts_at=NOW + HOUR, ends_at=NOW + 2 * HOUR),
    )
    await report(connection, wallbox, 0, "Faulted")
    await keep(connection)
    assert (await status(connection, now), await status(connection, later)) == ("faulted", "standing")
    told = await connection.fetch("select * from events where type = 'booking.changed' order by id desc limit 1")
    assert (orjson.loads(told[0]["data"]) if isinstance(told[0]["data"], str) else told[0]["data"])[
        "status"
    ] == "faulted"
    assert (told[0]["person_id"], told[0]["audience"]) == (holder, "person")
    await keep(connection, NOW + 3 * HOUR)
    assert await connection.fetchval("select bool_or(is_no_show) from bookings") is False


async def test_a_charge_point_that_answers_faulted_ends_it(
    connection: asyncpg.Connection, wallbox: str, holder: UUID
) -> None:
    booking = await book(connection, wallbox, holder)
    await keep(connection)
    command = await connection.fetchval("select id from commands")
    for answer, became in (("Occupied", "standing"), ("Faulted", "faulted")):
        await connection.execute("update reservations set status = 'requested', ended_at = null")
        ended = Ended(command, UUID(wallbox), "ReserveNow", {}, "rejected", {"status": answer}, NOW)
        await apply_effect(connection, ended)
        await keep(connection)
        assert await status(connection, booking) == became


async def test_a_grant_that_is_revoked_takes_it_away_and_its_next_version_keeps_it(
    connection: asyncpg.Connection, wallbox: str, holder: UUID
) -> None:
    booking = await book(connection, wallbox, holder)
    await connection.execute("update grants set revoked_at = $1", NOW)
    next_one = await add(connection, "grants", charge_point_id=wallbox, user_id=holder, valid_from=NOW)
    await keep(connection)
    assert await status(connection, booking) == "standing"
    assert await connection.fetchval("select grant_id from bookings") == next_one
    await connection.execute("update grants set revoked_at = $1 where revoked_at is null", NOW)
    await keep(connection)
    assert await status(connection, booking) == "withdrawn"
    await keep(connection, NOW + 3 * HOUR)
    assert await connection.fetchval("select is_no_show from bookings") is False


@pytest.mark.parametrize("change", [
    "update charge_points set visibility = 'private'", "update id_tags set blocked = true where tag = 'HOLDER'",
    "delete from id_tags where tag = 'HOLDER'",
    "update charge_points set owner_id = (select user_id from bookings)",
])  # fmt: skip
async def test_what_a_booking_rests_on_ends(
    connection: asyncpg.Connection, wallbox: str, holder: UUID, change: str
) -> None:
    booking = await book(connection, wallbox, holder, starts_at=NOW + HOUR, ends_at=NOW + 2 * HOUR)
    await connection.execute(change)
    await keep(connection)
    assert await status(connection, booking) == "withdrawn"


BALANCE = """
select coalesce(sum(case when a.id = t.credit_account_id then t.amount_minor else -t.amount_minor end), 0)
from transfers t join ledger_accounts a on a.id in (t.debit_account_id, t.credit_account_id) where a.user_id = $1
"""
ADD_TO_SEALED = """
insert into transfers (no_show_posting_id, debit_account_id, credit_account_id, amount_minor, currency, kind,
    is_reversal, booked_on)
select no_show_posting_id, debit_account_id, credit_account_id, 1, 'CZK', kind, false, booked_on from transfers
"""


async def balance(connection: asyncpg.Connection, user_id: UUID) -> int:
    return int(await connection.fetchval(BALANCE, user_id))


async def settle_all(pool: asyncpg.Pool, now: datetime) -> int:
    """How many bookings two listeners settle that are at it at once."""

    async def one() -> int:
        count = 0
        async with pool.acquire() as connection:
            while True:
                async with connection.transaction():
                    if await settle_next_no_show(connection, now) is None:
                        return count
                count += 1

    return sum(await asyncio.gather(one(), one()))


async def test_who_does_not_come_pays_the_fee_exactly_once(
    pool: asyncpg.Pool, connection: asyncpg.Connection, wallbox: str, holder: UUID
) -> None:
    booking = await book(connection, wallbox, holder)
    owner = await connection.fetchval("select owner_id from charge_points")
    ended = NOW + HOUR
    await keep(connection, ended)
    assert await status(connection, booking) == "expired"
    assert await settle_all(pool, ended + timedelta(minutes=15)) == 0, "a late Start may be on its way"
    after = ended + timedelta(minutes=16)
    assert await settle_all(pool, after) == 1
    assert await settle_all(pool, after) == 0
    assert (await balance(connection, holder), await balance(connection, owner)) == (-5000, 5000)
    assert await check_ledger(connection) == []
    [transfer] = await connection.fetch("select * from transfers")
    assert (transfer["kind"], transfer["settlement_id"], transfer["bank_posting_id"]) == ("no_show_fee", None, None)
    with pytest.raises(asyncpg.RestrictViolationError, match=r"no-show posting .* is sealed"):
        await connection.execute(ADD_TO_SEALED)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("update no_show_postings set amount_minor = 1")


async def test_a_listener_does_it_by_the_clock(
    connection: asyncpg.Connection, wallbox: str, holder: UUID, listen: StartListener
) -> None:
    standing = await book(connection, wallbox, holder)
    missed = await book(connection, wallbox, holder, starts_at=NOW - 2 * HOUR, ends_at=NOW - HOUR)
    listen()

    async def done() -> bool:
        told = await connection.fetchval("select command_id from bookings where id = $1", standing)
        return told is not None and await balance(connection, holder) == -5000

    await eventually(done, "ReserveNow for the one, the fee for the other")
    assert await status(connection, missed) == "expired"


async def test_a_start_that_arrives_after_all_takes_the_fee_back(
    pool: asyncpg.Pool, connection: asyncpg.Connection, wallbox: str, holder: UUID
) -> None:
    """The charge point was there by what we knew, and kept the Start in its queue all the same."""
    booking = await book(connection, wallbox, holder, starts_at=NOW - 3 * HOUR, ends_at=NOW - HOUR)
    await keep(connection)
    assert await settle_all(pool, NOW) == 1
    assert await balance(connection, holder) == -5000
    assert await begin(connection, wallbox, "HOLDER", NOW - 2 * HOUR) == "Accepted"
    assert await status(connection, booking) == "used"
    assert await settle_all(pool, NOW + HOUR) == 1
    assert await balance(connection, holder) == 0
    assert await settle_all(pool, NOW + HOUR) == 0
    reversals = [row["is_reversal"] for row in await connection.fetch("select is_reversal from transfers order by id")]
    assert reversals == [False, True]
    assert await check_ledger(connection) == []


@pytest.mark.parametrize("why", ["offline", "occupied", "free"])
async def test_who_could_not_have_charged_owes_nothing(
    pool: asyncpg.Pool, connection: asyncpg.Connection, wallbox: str, holder: UUID, why: str
) -> None:
    await book(connection, wallbox, holder, **({"no_show_fee_minor": 0} if why == "free" else {}))
    if why == "offline":
        await connection.execute("update charge_points set disconnected_at = $1", NOW)
    elif why == "occupied":
        assert await begin(connection, wallbox, "STRANGER") == "Invalid", "and charges all the same"
    await keep(connection, NOW + HOUR)
    assert await connection.fetchval("select status || is_no_show::text from bookings") == "expiredfalse"
    assert await settle_all(pool, NOW + 9 * HOUR) == 0
