"""BootNotification, StatusNotification, DataTransfer and handshakes on a real database: the newest wins."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from api.charge_points.answers import Answer
from api.charge_points.connecting import connect_all
from api.charge_points.data_transfer import data_transfer
from api.charge_points.registration import boot
from api.charge_points.status import status
from tests.integration.listener.gateway import KEY, KEY_DIGEST, call, iso, make_charge_point
from wire.messages import Connect

NOW = datetime.now(UTC)
BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}


def handshake(
    identity: str = "WALLBOX", digests: tuple[bytes, ...] = (KEY_DIGEST,), *, subprotocol: bool = True
) -> Connect:
    return Connect("1", "gw", identity, list(digests), subprotocol, "127.0.0.1", True, 0, 0, "r")


class TestConnect:
    @pytest.mark.parametrize(
        ("connect", "expected"),
        [
            (handshake(), "accepted"),
            (handshake(digests=(bytes(32), KEY_DIGEST)), "accepted"),
            (handshake(digests=(bytes(32),)), "wrong_key"),
            (handshake(digests=(KEY,)), "wrong_key"),
            (handshake(digests=()), "wrong_key"),
            (handshake("NOBODY"), "unknown_identity"),
            (handshake("wallbox"), "unknown_identity"),
            (handshake("GONE"), "unknown_identity"),
            (handshake("NOBODY", (bytes(32),)), "unknown_identity"),
            (handshake(subprotocol=False), "no_subprotocol"),
            (handshake("OLD", subprotocol=False), "accepted"),
        ],
    )
    async def test_verdicts(self, connection: asyncpg.Connection, connect: Connect, expected: str) -> None:
        await make_charge_point(connection)
        await make_charge_point(connection, "OLD", quirks=["no_subprotocol"], registration="Accepted")
        await make_charge_point(connection, "GONE", deleted_at=NOW)
        (outcome,) = await connect_all(connection, [connect], NOW)
        assert outcome.status == expected
        assert (outcome.epoch > 0) == (expected == "accepted")
        if connect.identity == "OLD":
            assert (outcome.registration, outcome.quirks) == ("Accepted", ["no_subprotocol"])

    async def test_epochs_only_rise_in_one_batch_and_over_batches(self, connection: asyncpg.Connection) -> None:
        await make_charge_point(connection)
        outcomes = await connect_all(connection, [handshake(), handshake("NOBODY"), handshake()], NOW)
        outcomes += await connect_all(connection, [handshake()], NOW)
        epochs = [outcome.epoch for outcome in outcomes if outcome.status == "accepted"]
        assert epochs == sorted(set(epochs))
        assert await connection.fetchval("select connection_epoch from charge_points") == epochs[-1]


class TestBoot:
    @pytest.mark.parametrize("admission", ["Accepted", "Pending", "Rejected"])
    async def test_is_answered_as_admitted(self, connection: asyncpg.Connection, admission: str) -> None:
        wallbox = await make_charge_point(connection, admission=admission, heartbeat_interval_s=60)
        answer = await boot(connection, call(wallbox, "BootNotification", BOOT), NOW)
        payload = orjson.loads(answer.payload)
        assert list(payload) == ["status", "currentTime", "interval"]
        assert (payload["status"], payload["interval"]) == (admission, 60)
        assert (answer.registration, answer.heartbeat_interval_s) == (admission, 60)
        row = await connection.fetchrow("select registration, boot, boot_count from charge_points")
        assert tuple(row) == (admission, BOOT, 1)

    async def test_a_replay_or_an_older_connection_counts_no_boot(self, connection: asyncpg.Connection) -> None:
        wallbox = await make_charge_point(connection)
        await boot(connection, call(wallbox, "BootNotification", BOOT, epoch=7, sequence=3), NOW)
        for epoch, sequence in ((7, 3), (7, 2), (6, 99)):
            late = BOOT | {"chargePointModel": "older"}
            answer = await boot(
                connection, call(wallbox, "BootNotification", late, epoch=epoch, sequence=sequence), NOW
            )
            assert orjson.loads(answer.payload)["status"] == "Accepted"
        row = await connection.fetchrow("select boot_count, boot from charge_points")
        assert tuple(row) == (1, BOOT)


class TestStatus:
    async def notify(self, connection: asyncpg.Connection, wallbox: str, name: str, **changes: Any) -> Answer:
        request = {"connectorId": changes.pop("connector", 1), "errorCode": "NoError", "status": name}
        if "at" in changes:
            request["timestamp"] = iso(changes.pop("at"))
        return await status(connection, call(wallbox, "StatusNotification", request, **changes), NOW)

    async def known(self, connection: asyncpg.Connection) -> str:
        return str(await connection.fetchval("select status from connectors where connector_id = 1"))

    async def test_a_late_one_does_not_overwrite_a_newer(self, connection: asyncpg.Connection) -> None:
        wallbox = await make_charge_point(connection)
        await self.notify(connection, wallbox, "Charging", at=NOW)
        assert not (await self.notify(connection, wallbox, "Available", at=NOW - timedelta(hours=1))).live
        assert await self.known(connection) == "Charging"
        assert (await self.notify(connection, wallbox, "Finishing", at=NOW)).live, "within the same second"
        assert await self.known(connection) == "Finishing"

    async def test_a_stale_epoch_never_counts(self, connection: asyncpg.Connection) -> None:
        wallbox = await make_charge_point(connection)
        await self.notify(connection, wallbox, "Charging", epoch=5)
        assert not (await self.notify(connection, wallbox, "Available", epoch=4)).live
        assert await self.known(connection) == "Charging"

    @pytest.mark.parametrize(
        "at", [datetime(1970, 1, 1, tzinfo=UTC), NOW + timedelta(days=2), NOW + timedelta(hours=3)]
    )
    async def test_a_wrong_clock_does_not_win_for_ever(self, connection: asyncpg.Connection, at: datetime) -> None:
        wallbox = await make_charge_point(connection)
        await self.notify(connection, wallbox, "Charging", at=at)
        await self.notify(connection, wallbox, "Available", at=datetime.now(UTC))
        assert await self.known(connection) == "Available"

    async def test_any_connector_is_taken(self, connection: asyncpg.Connection) -> None:
        wallbox = await make_charge_point(connection)
        for connector in (0, 1, 42):
            await self.notify(connection, wallbox, "Available", connector=connector)
        assert await connection.fetchval("select count(*) from connectors") == 3


async def test_data_transfer_is_never_accepted_blindly(connection: asyncpg.Connection) -> None:
    wallbox = await make_charge_point(connection)
    answer = await data_transfer(connection, call(wallbox, "DataTransfer", {"vendorId": "com.example"}), NOW)
    assert orjson.loads(answer.payload) == {"status": "UnknownVendorId"}
