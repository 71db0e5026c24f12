"""Retention by data class: whole months go, what is still needed stays, and the services' role can only ask."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from standalone.databases import DatabaseUrls
from tests.harness.stack import Stack, eventually
from tests.integration.listener.gateway import make_charge_point

NOW = datetime.now(UTC)
LONG_AGO = datetime(2024, 1, 15, tzinfo=UTC)
OLD = "message_log_p202401", "meter_values_p202401"


async def partitions(connection: asyncpg.Connection) -> set[str]:
    rows = await connection.fetch("select inhrelid::regclass::text as name from pg_inherits where inhparent in ("
                                  "'message_log'::regclass, 'meter_values'::regclass)")  # fmt: skip
    return {row["name"] for row in rows}


async def drop(connection: asyncpg.Connection, days: int = 30, months: int = 0) -> list[str]:
    return [row["name"] for row in await connection.fetch("select drop_expired($1, $2) as name", days, months)]


async def old_months(database: DatabaseUrls) -> None:
    """January 2024 as it would have been made then."""
    owner = await asyncpg.connect(database.owner)
    for name in OLD:
        await owner.execute(
            f"create table {name} partition of {name.rpartition('_')[0]}"
            " for values from ('2024-01-01Z') to ('2024-02-01Z')"
        )
    await owner.close()


@pytest.fixture
async def connection(database: DatabaseUrls) -> AsyncIterator[asyncpg.Connection]:
    """The restricted role, with partitions of long ago."""
    await old_months(database)
    connection = await asyncpg.connect(database.application)
    yield connection
    await connection.close()


async def add_meter_value(
    connection: asyncpg.Connection, sampled_at: datetime, received_at: datetime, transaction_id: int | None = None
) -> None:
    await connection.execute(
        "insert into meter_values (charge_point_id, sampled_at, connector_id, digest, transaction_id, received_at,"
        " samples) values ($1, $2, 1, 1, $3, $4, '[]')",
        *(uuid.uuid4(), sampled_at, transaction_id, received_at),
    )


async def add_frame(connection: asyncpg.Connection, at: datetime) -> None:
    await connection.execute(
        "insert into message_log (charge_point_id, at, direction, epoch, frame) values ($1, $2, 'in', 1, '')",
        *(uuid.uuid4(), at),
    )


async def count(connection: asyncpg.Connection, table: str) -> int:
    found: int = await connection.fetchval(f"select count(*) from {table}")
    return found


async def test_old_frames_go_and_meter_values_stay_by_default(connection: asyncpg.Connection) -> None:
    before = await partitions(connection)
    for at in (LONG_AGO, NOW - timedelta(days=2), NOW):
        await add_frame(connection, at)
        await add_meter_value(connection, at, at)
    assert await drop(connection) == [OLD[0]]
    assert await partitions(connection) == before - {OLD[0]}
    assert (await count(connection, "message_log"), await count(connection, "meter_values")) == (2, 3)
    assert await drop(connection) == [], "once is enough"


async def test_meter_values_go_where_that_is_asked_for(connection: asyncpg.Connection) -> None:
    await add_meter_value(connection, LONG_AGO, LONG_AGO)
    await add_meter_value(connection, NOW, NOW)
    assert await drop(connection, months=1200) == [OLD[0]]
    assert await drop(connection, months=12) == [OLD[1]]
    assert await count(connection, "meter_values") == 1


async def test_nothing_younger_is_dropped(connection: asyncpg.Connection) -> None:
    """The month before this one is whole, but it is not wholly older than a month."""
    await drop(connection, 31, 1)
    left = await partitions(connection)
    assert f"message_log_p{NOW:%Y%m}" in left
    last_month = NOW.replace(day=1) - timedelta(days=1)
    assert f"meter_values_p{last_month:%Y%m}" in left


@pytest.mark.parametrize(("status", "held"), [("active", []), ("stopped", ["register_backwards"])])
async def test_an_open_session_keeps_its_meter_values(
    connection: asyncpg.Connection, status: str, held: list[str]
) -> None:
    wallbox = await make_charge_point(connection)
    transaction = await connection.fetchval(
        "insert into transactions (charge_point_id, connector_id, ocpp_transaction_id, id_tag, id_tag_status,"
        " started_at, start_received_at, start_boot_count, meter_start_wh, status, held_reasons)"
        " values ($1, 1, 1, 'X', 'Accepted', $2, $2, 0, 0, $3, $4) returning id",
        *(wallbox, LONG_AGO, status, held),
    )
    await add_meter_value(connection, LONG_AGO, LONG_AGO, transaction)
    await add_meter_value(connection, datetime(1970, 1, 1, tzinfo=UTC), LONG_AGO, transaction)
    assert await drop(connection, months=1) == [OLD[0]]
    assert await count(connection, "meter_values") == 2
    await connection.execute("update transactions set status = 'stopped', held_reasons = '{}'")
    assert await drop(connection, months=1) == [OLD[1]]
    assert await count(connection, "meter_values") == 0


async def test_a_reset_clock_is_no_reason_to_forget(connection: asyncpg.Connection) -> None:
    """What stands in 1970 and came today is today's."""
    await add_meter_value(connection, datetime(1970, 1, 1, tzinfo=UTC), NOW)
    await add_meter_value(connection, datetime(1970, 1, 1, tzinfo=UTC), LONG_AGO)
    await add_frame(connection, datetime(2030, 1, 1, tzinfo=UTC))
    await add_frame(connection, datetime(2020, 1, 1, tzinfo=UTC))
    await drop(connection, months=1)
    assert (await count(connection, "meter_values"), await count(connection, "message_log")) == (1, 1)


@pytest.mark.parametrize(("days", "months"), [(0, 0), (-1, 0), (30, -1), (None, 0), (30, None)])
async def test_the_services_role_cannot_ask_for_less_than_the_least(
    connection: asyncpg.Connection, days: int | None, months: int | None
) -> None:
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await connection.fetch("select drop_expired($1, $2)", days, months)


@pytest.mark.parametrize("statement", [f"drop table {OLD[0]}", f"delete from {OLD[1]}", "select has_open_session('x')"])
async def test_the_services_role_can_only_ask(connection: asyncpg.Connection, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)


async def test_two_at_once_do_no_harm(connection: asyncpg.Connection, database: DatabaseUrls) -> None:
    other = await asyncpg.connect(database.application)
    async with other.transaction():
        assert await drop(other) == [OLD[0]]
    assert await drop(connection) == []
    await other.close()


async def test_the_listener_does_it(stack: Stack, connection: asyncpg.Connection) -> None:
    await stack.listener(METER_VALUES_MONTHS="12")

    async def gone() -> bool:
        return not set(OLD) & await partitions(connection)

    await eventually(gone, "the old partitions to be dropped")
