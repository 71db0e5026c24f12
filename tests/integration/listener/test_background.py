"""What Voltuj asks of a charge point by itself: missing statuses, and the automatic configuration once a firmware."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from api.charge_points import background
from tests.harness.stack import eventually
from tests.integration.listener.gateway import Gateway, StartListener, make_charge_point
from wire.messages import Command

BOOTED = datetime(2026, 5, 4, 9, tzinfo=UTC)
SETTLED = BOOTED + background.SETTLE + timedelta(seconds=1)


async def accepted(connection: asyncpg.Connection, **columns: Any) -> str:
    values = {
        "registration": "Accepted",
        "boot": {"firmwareVersion": "1.0"},
        "boot_count": 1,
        "booted_at": BOOTED,
        "connected_at": BOOTED,
        "connection_epoch": 7,
        **columns,
    }
    return await make_charge_point(connection, **values)


async def commands(connection: asyncpg.Connection) -> list[Any]:
    found: list[Any] = await connection.fetch("select * from commands order by created_at, id")
    return found


async def end(connection: asyncpg.Connection, status: str, answer: str | None = None) -> None:
    """How the open command ended."""
    response = {"status": answer} if answer else None
    await connection.execute(
        "update commands set status = $1, response = $2, published_at = now() where status = 'queued'", status, response
    )


class TestMissingStatuses:
    """4.2: after Accepted come the statuses of connector 0 and each other."""

    async def test_triggered_once_a_boot(self, connection: asyncpg.Connection) -> None:
        wallbox = await accepted(connection)
        await background.request_missing_statuses(connection, BOOTED + timedelta(seconds=59))
        assert await commands(connection) == []
        for _ in range(2):
            await background.request_missing_statuses(connection, BOOTED + timedelta(seconds=61))
        (command,) = await commands(connection)
        assert (command["action"], command["payload"]) == ("TriggerMessage", {"requestedMessage": "StatusNotification"})
        assert (str(command["charge_point_id"]), command["epoch"], command["status"]) == (wallbox, 7, "queued")
        await connection.execute("update charge_points set boot_count = 2, booted_at = $1", SETTLED)
        await background.request_missing_statuses(connection, SETTLED + timedelta(seconds=61))
        assert len(await commands(connection)) == 2

    @pytest.mark.parametrize(
        "columns",
        [
            {"registration": "Pending"},
            {"disconnected_at": BOOTED + timedelta(seconds=30)},
            {"deleted_at": BOOTED},
            {"booted_at": BOOTED - timedelta(hours=2)},
        ],
    )
    async def test_not_where_it_makes_no_sense(self, connection: asyncpg.Connection, columns: dict[str, Any]) -> None:
        await accepted(connection, **columns)
        await background.request_missing_statuses(connection, BOOTED + timedelta(seconds=61))
        assert await commands(connection) == []

    async def test_not_where_one_came(self, connection: asyncpg.Connection) -> None:
        wallbox = await accepted(connection)
        await connection.execute(
            "insert into connectors (charge_point_id, connector_id, status, error_code, status_at, received_at, epoch, "
            "sequence) values ($1, 1, 'Available', 'NoError', $2, $2, 7, 2)", UUID(wallbox), BOOTED,
        )  # fmt: skip
        await background.request_missing_statuses(connection, BOOTED + timedelta(seconds=61))
        assert await commands(connection) == []


class TestAutomaticConfiguration:
    """Switchable, in the background, once a firmware, one command at a time."""

    async def run(self, connection: asyncpg.Connection) -> Any:
        return await connection.fetchrow("select * from auto_configurations order by started_at desc")

    async def test_off_by_default_and_not_right_after_the_boot(self, connection: asyncpg.Connection) -> None:
        wallbox = await accepted(connection)
        await background.configure(connection, SETTLED)
        assert await self.run(connection) is None
        await connection.execute("update charge_points set auto_configuration = true where id = $1", UUID(wallbox))
        await background.configure(connection, BOOTED + timedelta(seconds=1))
        assert await self.run(connection) is None

    async def test_a_whole_run(self, connection: asyncpg.Connection) -> None:
        await accepted(connection, auto_configuration=True)
        answers = {
            "MeterValueSampleInterval": ["Accepted"],
            "MeterValuesSampledData": ["Rejected", "Accepted"],
            "WebSocketPingInterval": ["NotSupported"],
            "AuthorizeRemoteTxRequests": ["RebootRequired"],
        }
        for _ in range(2 * sum(map(len, answers.values())) + 2):
            await background.configure(connection, SETTLED)
            queued = [each for each in await commands(connection) if each["status"] == "queued"]
            assert len(queued) <= 1
            for command in queued:
                answer = answers[command["payload"]["key"]].pop(0)
                await end(connection, "rejected" if answer == "Rejected" else "accepted", answer)
        row = await self.run(connection)
        assert (row["status"], row["finished_at"], row["firmware_version"]) == ("done", SETTLED, "1.0")
        assert {item["key"]: (item["value"], item["status"]) for item in row["items"]} == {
            "MeterValueSampleInterval": ("60", "Accepted"),
            "MeterValuesSampledData": ("Energy.Active.Import.Register", "Accepted"),
            "WebSocketPingInterval": ("60", "NotSupported"),
            "AuthorizeRemoteTxRequests": ("false", "RebootRequired"),
        }
        await background.configure(connection, SETTLED)
        assert len(await commands(connection)) == 5
        await connection.execute("update charge_points set boot = $1", {"firmwareVersion": "2.0"})
        await background.configure(connection, SETTLED)
        assert len(await commands(connection)) == 6, "a new firmware is configured anew"

    async def test_no_answer_is_asked_again_and_given_up_at_last(self, connection: asyncpg.Connection) -> None:
        await accepted(connection, auto_configuration=True)
        for _ in range(background.MOST_ATTEMPTS):
            await background.configure(connection, SETTLED)
            await end(connection, "timeout")
        await background.configure(connection, SETTLED)
        row = await self.run(connection)
        assert row["items"][0] == {
            "key": "MeterValueSampleInterval", "value": "60", "status": "timeout", "attempts": 3,
        }  # fmt: skip
        assert row["status"] == "running"

    async def test_waits_for_a_charge_point_that_left(self, connection: asyncpg.Connection) -> None:
        await accepted(connection, auto_configuration=True)
        await background.configure(connection, SETTLED)
        await end(connection, "offline")
        await connection.execute("update charge_points set disconnected_at = $1", SETTLED)
        await background.configure(connection, SETTLED)
        assert len(await commands(connection)) == 1
        await connection.execute("update charge_points set connected_at = $1", SETTLED + timedelta(seconds=1))
        await background.configure(connection, SETTLED)
        assert len(await commands(connection)) == 2

    async def test_by_the_listener(
        self, connection: asyncpg.Connection, gateway: Gateway, listen: StartListener
    ) -> None:
        """The process does it by itself, and the command arrives at the gateway that holds the charge point."""
        wallbox = await accepted(connection, auto_configuration=True)
        for name, value in {"gateway": gateway.gateway_id, "epoch": "7", "since": "0"}.items():
            await gateway.redis.hset(gateway.channels.connection(wallbox), name, value)
        listen()

        async def arrived() -> Any:
            return [each for each in gateway.outcomes.values() if isinstance(each, Command)]

        (command,) = await eventually(arrived, "the command")
        assert (command.action, command.charge_point_id) == ("ChangeConfiguration", wallbox)
        assert command.payload == b'{"key":"MeterValueSampleInterval","value":"60"}'
