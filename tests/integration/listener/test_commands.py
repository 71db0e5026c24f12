"""The life of a command's row: compare-and-set, notes, the sweeper, and who hears of the outcome."""

import time
import uuid
from datetime import UTC, datetime
from typing import Any

import asyncpg
import orjson
import pytest

from api.charge_points.command_state import apply_outcome, end_overdue, read_outcome
from tests.harness.stack import eventually
from tests.integration.listener.gateway import Gateway, StartListener, gateway_on, make_charge_point
from wire.messages import Command, CommandOutcome


async def make_command(connection: asyncpg.Connection, *, deadline_s: float = 30, **columns: Any) -> str:
    payload = orjson.dumps({"idTag": "CARD1", "connectorId": 1}).decode()
    made = await connection.fetchval(
        "insert into commands (charge_point_id, user_id, action, payload, epoch, deadline_at) "
        "select id, owner_id, 'RemoteStartTransaction', $1::text::jsonb, 7, now() + $2 * interval '1 second' "
        "from charge_points returning id", payload, deadline_s,
    )  # fmt: skip
    for name, value in columns.items():
        await connection.execute(f"update commands set {name} = $2 where id = $1", made, value)
    return str(made)


def outcome(command: str, status: Any, payload: bytes = b"", **changes: Any) -> CommandOutcome:
    return CommandOutcome(command, "", status, time.time(), payload, **changes)


async def state(connection: asyncpg.Connection, command: str) -> Any:
    return await connection.fetchrow("select * from commands where id = $1", command)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (outcome("1", "result", b'{"status":"Accepted"}'), "accepted"),
        (outcome("1", "result", b'{"status":"Scheduled"}'), "rejected"),
        (outcome("1", "result", b'{"configurationKey":[]}'), "rejected"),
        (outcome("1", "result", b'{"status":"Rejected"}'), "rejected"),
        (outcome("1", "result", b"[]"), "rejected"),
        (outcome("1", "result", b'{"status":'), "unknown"),
        (outcome("1", "result", b'{"status":"\\ud800"}'), "unknown"),
        (outcome("1", "call_error", error_code="InternalError"), "call_error"),
        (outcome("1", "offline"), "offline"),
        (outcome("1", "timeout"), "timeout"),
        (outcome("1", "unknown"), "unknown"),
    ],
)
def test_what_an_outcome_means(given: CommandOutcome, expected: str) -> None:
    assert read_outcome("Reset", given)[0] == expected


def test_a_charge_points_key_is_not_kept() -> None:
    keys = [{"key": "AuthorizationKey", "value": "secret"}, {"key": "HeartbeatInterval", "value": "300"}]
    _, response, _ = read_outcome("GetConfiguration", outcome("1", "result", orjson.dumps({"configurationKey": keys})))
    assert response is not None
    assert "secret" not in response
    assert "300" in response


async def test_a_terminal_status_never_changes(connection: asyncpg.Connection) -> None:
    await make_charge_point(connection)
    command = await make_command(connection)
    await apply_outcome(connection, outcome(command, "sent"))
    assert (await state(connection, command))["status"] == "sent"
    await apply_outcome(connection, outcome(command, "result", b'{"status":"Rejected"}'))
    row = await state(connection, command)
    assert (row["status"], row["response"]) == ("rejected", {"status": "Rejected"})
    for late in (outcome(command, "sent"), outcome(command, "result", b'{"status":"Rejected"}')):
        await apply_outcome(connection, late)
        assert await state(connection, command) == row
    for _ in range(2):
        await apply_outcome(connection, outcome(command, "timeout"))
    row = await state(connection, command)
    assert (row["status"], row["note"]) == ("rejected", "late: timeout (timeout)")


async def test_the_sweeper_ends_what_is_overdue_and_nothing_else(connection: asyncpg.Connection) -> None:
    await make_charge_point(connection)
    never_sent = await make_command(connection, deadline_s=-1)
    silent = await make_command(connection, deadline_s=-6, status="sent")
    in_grace = await make_command(connection, deadline_s=-1, status="sent")
    in_time = await make_command(connection)
    assert len(await end_overdue(connection, datetime.now(UTC))) == 2
    states = [(await state(connection, command))["status"] for command in (never_sent, silent, in_grace, in_time)]
    assert states == ["timeout", "unknown", "sent", "queued"]


async def test_outcomes_move_the_row_before_the_http_process_hears(
    connection: asyncpg.Connection, gateway: Gateway, listen: StartListener, redis_url: str, redis_prefix: str
) -> None:
    await make_charge_point(connection)
    command = await make_command(connection, published_at=datetime.now(UTC))
    listen()
    await gateway.wait_for_listeners(1)
    async with gateway_on(redis_url, redis_prefix, "http") as http:
        await gateway.send(
            [outcome(command, "sent"), outcome(command, "result", b'{"status":"Accepted"}', notify=http.inbox)]
        )
        heard = await http.outcome(command)
        assert (heard.status, heard.payload) == ("result", b'{"status":"Accepted"}')
    row = await state(connection, command)
    assert row["status"] == "accepted"
    assert row["sent_at"] is not None


async def test_a_poisoned_or_unknown_outcome_does_not_stop_the_others(
    connection: asyncpg.Connection, gateway: Gateway, listen: StartListener
) -> None:
    await make_charge_point(connection)
    commands = [await make_command(connection, published_at=datetime.now(UTC)) for _ in range(3)]
    listen()
    await gateway.wait_for_listeners(1)
    await gateway.send([
        outcome("no uuid", "sent"),
        outcome(str(uuid.uuid4()), "timeout"),
        outcome(commands[0], "result", b'{"status":"Accepted","note":"\\u0000"}'),
        outcome(commands[1], "call_error", error_code="InternalError", error_description="a\0b"),
        outcome(commands[2], "result", b'{"status":"Accepted"}'),
    ])  # fmt: skip

    async def ended() -> bool:
        return [(await state(connection, command))["status"] for command in commands] == [
            "accepted",
            "call_error",
            "accepted",
        ]

    await eventually(ended, "all three")


async def test_forgotten_commands_are_published_to_the_right_gateway_or_end_offline(
    connection: asyncpg.Connection, gateway: Gateway, listen: StartListener
) -> None:
    wallbox = await make_charge_point(connection)
    hours_ago = datetime(2026, 1, 1, tzinfo=UTC)
    right = await make_command(connection, created_at=hours_ago)
    older_connection = await make_command(connection, created_at=hours_ago, epoch=6)
    published = await make_command(connection, created_at=hours_ago, published_at=hours_ago)
    key = gateway.channels.connection(wallbox)
    await gateway.redis.hset(key, mapping={"gateway": gateway.gateway_id, "epoch": 7, "since": 0})
    listen()
    command = await gateway.outcome(right)
    assert isinstance(command, Command)
    assert (command.epoch, command.payload) == (7, b'{"connectorId":1,"idTag":"CARD1"}'), "keys as the schema has them"

    async def swept() -> bool:
        return bool((await state(connection, older_connection))["status"] == "offline")

    await eventually(swept, "the command for an older connection")
    assert (await state(connection, right))["published_at"] is not None
    assert (await state(connection, published))["status"] == "queued"
    assert published not in gateway.outcomes
