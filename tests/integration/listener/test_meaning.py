"""What commands and notifications mean: configuration, jobs, lists, reservations, profiles, events, certificates."""

import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from api.charge_points import jobs, reservations
from api.charge_points.command_state import apply_outcome, end_overdue, mark_offline
from api.charge_points.registration import boot
from api.charge_points.remote_start import give_up
from api.charge_points.security_events import security_event
from api.charge_points.status import status
from api.transactions.start import start
from tests.integration.listener.gateway import call, give_card, iso, make_charge_point
from wire.messages import CommandOutcome

NOW = datetime.now(UTC)
LATER = NOW + timedelta(hours=1)
BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}


async def make_command(
    connection: asyncpg.Connection, action: str, payload: dict[str, Any], *, deadline_s: float = 30
) -> str:
    made = await connection.fetchval(
        "insert into commands (charge_point_id, user_id, action, payload, epoch, deadline_at, published_at) "
        "select id, owner_id, $1, $2::text::jsonb, 7, now() + $3 * interval '1 second', now() "
        "from charge_points returning id", action, orjson.dumps(payload).decode(), deadline_s,
    )  # fmt: skip
    return str(made)


async def end(connection: asyncpg.Connection, command: str, response: Any, outcome: Any = "result") -> None:
    await apply_outcome(connection, CommandOutcome(command, "", outcome, time.time(), orjson.dumps(response)))


async def obey(connection: asyncpg.Connection, action: str, payload: dict[str, Any], response: Any) -> str:
    command = await make_command(connection, action, payload)
    await end(connection, command, response)
    return command


class TestConfiguration:
    async def keys(self, connection: asyncpg.Connection) -> dict[str, Any]:
        rows = await connection.fetch("select * from configuration_keys")
        return {row["key"]: row for row in rows}

    async def test_what_is_read_is_kept_and_the_charge_points_key_never(self, connection: asyncpg.Connection) -> None:
        await make_charge_point(connection)
        told = [
            {"key": "HeartbeatInterval", "readonly": False, "value": "300"},
            {"key": "heartbeatinterval", "readonly": False, "value": "60"},
            {"key": "AuthorizationKey", "readonly": False, "value": "secret"},
            {"key": "Vendor", "readonly": True},
        ]
        answer = {"configurationKey": told, "unknownKey": ["Nothing"]}
        await obey(connection, "GetConfiguration", {}, answer)
        keys = await self.keys(connection)
        assert keys["heartbeatinterval"]["value"] == "60"
        assert keys["AuthorizationKey"]["value"] == "***"
        assert (keys["Vendor"]["value"], keys["Vendor"]["is_readonly"]) == (None, True)
        assert keys["Nothing"]["is_known"] is False
        await obey(connection, "GetConfiguration", {"key": ["NOTHING"]},
                   {"configurationKey": [{"key": "NOTHING", "readonly": False, "value": "1"}]})  # fmt: skip
        assert (await self.keys(connection))["NOTHING"]["is_known"] is True

    async def test_a_change_holds_at_once_or_after_the_next_boot(self, connection: asyncpg.Connection) -> None:
        wallbox = await make_charge_point(connection)
        await obey(connection, "ChangeConfiguration", {"key": "A", "value": "1"}, {"status": "Accepted"})
        await obey(connection, "ChangeConfiguration", {"key": "a", "value": "2"}, {"status": "RebootRequired"})
        await obey(connection, "ChangeConfiguration", {"key": "B", "value": "1"}, {"status": "NotSupported"})
        await obey(connection, "ChangeConfiguration", {"key": "C", "value": "1"}, {"status": "Rejected"})
        keys = await self.keys(connection)
        assert (keys["A"]["value"], keys["A"]["set_value"], keys["A"]["needs_reboot"]) == ("1", "2", True)
        assert keys["B"]["is_known"] is False
        assert "C" not in keys
        await boot(connection, call(wallbox, "BootNotification", BOOT), NOW)
        keys = await self.keys(connection)
        assert (keys["A"]["value"], keys["A"]["needs_reboot"]) == ("2", False)

    async def test_an_answer_that_cannot_be_kept_ends_the_command_all_the_same(
        self, connection: asyncpg.Connection
    ) -> None:
        await make_charge_point(connection)
        command = await obey(connection, "GetConfiguration", {}, {"configurationKey": [{"key": "x" * 51}]})
        assert await connection.fetchval("select status from commands where id = $1", command) == "accepted"
        assert await self.keys(connection) == {}


class TestJobs:
    async def job(self, connection: asyncpg.Connection, action: str, **columns: Any) -> str:
        command = await make_command(connection, action, {})
        made = await connection.fetchval(
            "insert into charge_point_jobs (charge_point_id, command_id, kind, action, location, request_id) "
            "select charge_point_id, id, $2, action, 'x', $3 from commands where id = $1 returning id",
            command, jobs.KINDS[action], columns.get("request_id"),
        )  # fmt: skip
        await end(connection, command, columns.get("response", {}))
        return str(made)

    async def state(self, connection: asyncpg.Connection, job: str) -> tuple[str, list[str], bool]:
        row = await connection.fetchrow("select * from charge_point_jobs where id = $1", job)
        return row["status"], [entry["status"] for entry in row["history"]], row["finished_at"] is not None

    async def test_progress_is_kept_in_order_and_once(self, connection: asyncpg.Connection) -> None:
        wallbox = await make_charge_point(connection)
        job = await self.job(connection, "UpdateFirmware")
        steps = ["Downloading", "Downloaded", "Installing", "Installed"]
        calls = [call(wallbox, "FirmwareStatusNotification", {"status": each}) for each in steps]
        for each in (calls[0], calls[1], calls[0], calls[1], *calls[2:], calls[2]):
            await jobs.firmware_status(connection, each, NOW)
        assert await self.state(connection, job) == ("Installed", ["Accepted", *steps], True)

    async def test_idle_and_strangers_change_nothing(self, connection: asyncpg.Connection) -> None:
        wallbox = await make_charge_point(connection)
        job = await self.job(connection, "GetDiagnostics", response={"fileName": "d.zip"})
        strange: list[tuple[Any, dict[str, Any]]] = [
            (jobs.diagnostics_status, {"status": "Idle"}),
            (jobs.firmware_status, {"status": "Downloading"}),
            (jobs.log_status, {"status": "Uploading", "requestId": 5}),
        ]
        for handler, payload in strange:
            await handler(connection, call(wallbox, "X", payload), NOW)
        assert await self.state(connection, job) == ("Accepted", ["Accepted"], False)
        assert await connection.fetchval("select file_name from charge_point_jobs") == "d.zip"
        await jobs.diagnostics_status(connection, call(wallbox, "X", {"status": "UploadFailed"}), NOW)
        assert (await self.state(connection, job))[::2] == ("UploadFailed", True)

    async def test_requests_are_told_apart_and_a_new_one_replaces_the_old(self, connection: asyncpg.Connection) -> None:
        wallbox = await make_charge_point(connection)
        first = await self.job(connection, "GetLog", request_id=1, response={"status": "Accepted"})
        second = await self.job(connection, "GetLog", request_id=2, response={"status": "AcceptedCanceled"})
        third = await self.job(connection, "GetLog", request_id=3, response={"status": "Rejected"})
        await jobs.log_status(connection, call(wallbox, "X", {"status": "Uploading", "requestId": 1}), NOW)
        await jobs.log_status(connection, call(wallbox, "X", {"status": "Uploaded", "requestId": 2}), NOW)
        assert (await self.state(connection, first))[::2] == ("Canceled", True)
        assert (await self.state(connection, second))[::2] == ("Uploaded", True)
        assert (await self.state(connection, third))[::2] == ("Rejected", True)

    async def test_a_job_whose_command_never_left_has_failed(self, connection: asyncpg.Connection) -> None:
        await make_charge_point(connection)
        command = await make_command(connection, "UpdateFirmware", {})
        await connection.execute(
            "insert into charge_point_jobs (charge_point_id, command_id, kind, action, location) "
            "select charge_point_id, id, 'firmware', action, 'x' from commands where id = $1", command,
        )  # fmt: skip
        await mark_offline(connection, [command], "gone", NOW)
        assert await connection.fetchval("select status from charge_point_jobs") == "Failed"


async def test_a_local_list_is_what_was_accepted(connection: asyncpg.Connection) -> None:
    await make_charge_point(connection)
    accepted = {"status": "Accepted"}

    async def send(version: int, kind: str, entries: list[Any], response: Any = accepted) -> tuple[int, list[str]]:
        payload = {"listVersion": version, "updateType": kind, "localAuthorizationList": entries}
        await obey(connection, "SendLocalList", payload, response)
        row = await connection.fetchrow("select * from local_lists")
        return row["version"], [entry["idTag"] for entry in row["entries"]]

    entries = [{"idTag": tag, "idTagInfo": accepted} for tag in ("B", "a")]
    assert await send(3, "Full", entries) == (3, ["a", "B"])
    assert await send(4, "Differential", [{"idTag": "b"}, {"idTag": "C", "idTagInfo": accepted}]) == (4, ["a", "C"])
    assert await send(5, "Full", [], {"status": "Failed"}) == (4, ["a", "C"])
    await obey(connection, "GetLocalListVersion", {}, {"listVersion": 2})
    assert await connection.fetchval("select (version, reported_version) from local_lists") == (4, 2)


class TestReservations:
    async def reserve(
        self, connection: asyncpg.Connection, number: int = 1, answer: str = "Accepted", connector_id: int = 1
    ) -> None:
        payload = {"reservationId": number}
        command = await make_command(connection, "ReserveNow", payload)
        await connection.execute(
            "insert into reservations (charge_point_id, reservation_id, connector_id, id_tag, expires_at, command_id) "
            "select charge_point_id, $2, $4, 'CARD1', $3, id from commands where id = $1",
            command, number, LATER, connector_id,
        )  # fmt: skip
        await end(connection, command, {"status": answer})

    async def states(self, connection: asyncpg.Connection) -> list[str]:
        rows = await connection.fetch("select status from reservations order by reservation_id")
        return [row["status"] for row in rows]

    @pytest.mark.parametrize("answer", ["Accepted", "Faulted", "Occupied", "Rejected", "Unavailable"])
    async def test_the_answer_is_its_state(self, connection: asyncpg.Connection, answer: str) -> None:
        await make_charge_point(connection)
        await self.reserve(connection, answer=answer)
        assert await self.states(connection) == [answer.lower()]

    async def test_a_start_uses_it_and_nothing_ends_it_twice(self, connection: asyncpg.Connection) -> None:
        wallbox = await make_charge_point(connection)
        await give_card(connection, wallbox)
        await self.reserve(connection, 7)
        begun = {"connectorId": 1, "idTag": "CARD1", "meterStart": 1, "reservationId": 7, "timestamp": iso(NOW)}
        await start(connection, call(wallbox, "StartTransaction", begun), NOW)
        await obey(connection, "CancelReservation", {"reservationId": 7}, {"status": "Accepted"})
        await reservations.expire(connection, LATER)
        row = await connection.fetchrow("select * from reservations")
        assert (row["status"], row["transaction_id"] is not None) == ("used", True)

    async def test_it_ends_by_cancel_expiry_and_connectors_that_fail(self, connection: asyncpg.Connection) -> None:
        wallbox = await make_charge_point(connection)
        for number, connector_id in ((1, 1), (2, 2), (3, 3), (4, 0)):
            await self.reserve(connection, number, connector_id=connector_id)
        await obey(connection, "CancelReservation", {"reservationId": 2}, {"status": "Rejected"})
        await obey(connection, "CancelReservation", {"reservationId": 1}, {"status": "Accepted"})
        faulted = {"connectorId": 2, "errorCode": "GroundFailure", "status": "Faulted", "timestamp": iso(NOW)}
        await status(connection, call(wallbox, "StatusNotification", faulted), NOW)
        assert await self.states(connection) == ["cancelled", "faulted", "accepted", "accepted"]
        await reservations.expire(connection, NOW)
        assert await self.states(connection) == ["cancelled", "faulted", "accepted", "accepted"]
        unavailable = {"connectorId": 0, "errorCode": "NoError", "status": "Unavailable", "timestamp": iso(NOW)}
        await self.reserve(connection, 5)
        await connection.execute("update reservations set expires_at = now() where reservation_id = 3")
        await reservations.expire(connection, datetime.now(UTC))
        await status(connection, call(wallbox, "StatusNotification", unavailable), NOW)
        assert await self.states(connection) == ["cancelled", "faulted", "expired", "unavailable", "unavailable"]


async def test_charging_profiles_are_replaced_and_cleared_as_the_charge_point_does(
    connection: asyncpg.Connection,
) -> None:
    await make_charge_point(connection)

    async def put(number: int, level: int = 0, purpose: str = "TxDefaultProfile", connector_id: int = 1) -> None:
        profile = {"chargingProfileId": number, "stackLevel": level, "chargingProfilePurpose": purpose}
        payload = {"connectorId": connector_id, "csChargingProfiles": profile}
        await obey(connection, "SetChargingProfile", payload, {"status": "Accepted"})

    async def known() -> list[int]:
        rows = await connection.fetch("select charging_profile_id from charging_profiles order by 1")
        return [row[0] for row in rows]

    await put(1)
    await put(2)
    assert await known() == [2], "the same connector, purpose and stack level"
    await put(3, level=1)
    await put(4, connector_id=2)
    await put(3, level=2, connector_id=2)
    assert await known() == [2, 3, 4]
    await obey(connection, "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": {}}, {"status": "Rejected"})
    await obey(connection, "ClearChargingProfile", {"connectorId": 2, "stackLevel": 2}, {"status": "Accepted"})
    assert await known() == [2, 4]
    await obey(connection, "ClearChargingProfile", {"id": 4}, {"status": "Unknown"})
    assert await known() == [2]
    await obey(connection, "ClearChargingProfile", {}, {"status": "Accepted"})
    assert await known() == []


async def test_a_security_event_is_stored_once_and_critical_ones_are_marked(connection: asyncpg.Connection) -> None:
    wallbox = await make_charge_point(connection)
    for kind in ("TamperDetectionActivated", "InvalidMessages", "TamperDetectionActivated"):
        event = {"type": kind, "timestamp": iso(NOW)}
        await security_event(connection, call(wallbox, "SecurityEventNotification", event), NOW)
    rows = await connection.fetch("select type, is_critical from security_events order by id")
    assert [tuple(row) for row in rows] == [("TamperDetectionActivated", True), ("InvalidMessages", False)]


class TestRemoteStart:
    async def accepted(self, connection: asyncpg.Connection, seconds_ago: int) -> str:
        command = await obey(connection, "RemoteStartTransaction", {"idTag": "CARD1"}, {"status": "Accepted"})
        at = NOW - timedelta(seconds=seconds_ago)
        await connection.execute("update commands set finished_at = $2, created_at = $2 where id = $1", command, at)
        return command

    async def note(self, connection: asyncpg.Connection, command: str) -> Any:
        return await connection.fetchval("select note from commands where id = $1", command)

    async def test_an_attempt_without_a_session_ends_and_says_so(self, connection: asyncpg.Connection) -> None:
        await make_charge_point(connection)
        young, old = await self.accepted(connection, 100), await self.accepted(connection, 130)
        for _ in range(2):
            await give_up(connection, timedelta(seconds=120), NOW)
        assert await self.note(connection, young) is None
        assert (await self.note(connection, old)).startswith("No session began within 120 s: ")
        assert (await self.note(connection, old)).count("No session") == 1

    async def test_the_charge_points_own_time_out_comes_first(self, connection: asyncpg.Connection) -> None:
        await make_charge_point(connection)
        told = {"configurationKey": [{"key": "ConnectionTimeOut", "readonly": False, "value": "30"}]}
        await obey(connection, "GetConfiguration", {}, told)
        command = await self.accepted(connection, 40)
        await give_up(connection, timedelta(seconds=120), NOW)
        assert "within 30 s" in await self.note(connection, command)

    async def test_a_session_that_begins_late_takes_the_note_back(self, connection: asyncpg.Connection) -> None:
        wallbox = await make_charge_point(connection)
        await give_card(connection, wallbox)
        command = await self.accepted(connection, 130)
        await give_up(connection, timedelta(seconds=120), NOW)
        begun = {"connectorId": 1, "idTag": "CARD1", "meterStart": 1, "timestamp": iso(NOW)}
        await start(connection, call(wallbox, "StartTransaction", begun, received_at=NOW.timestamp()), NOW)
        row = await connection.fetchrow("select note, transaction_id from commands where id = $1", command)
        assert (row["note"], row["transaction_id"] is not None) == (None, True)


class TestKeyRotation:
    async def rotate(self, connection: asyncpg.Connection, outcome: Any, response: Any = None) -> tuple[bytes, Any]:
        await make_charge_point(connection, uuid.uuid4().hex, next_key_digest=b"new", key_digest=b"old")
        command = await make_command(connection, "ChangeConfiguration", {"key": "AuthorizationKey", "value": "***"})
        await end(connection, command, response, outcome)
        row = await connection.fetchrow("select key_digest, next_key_digest from charge_points")
        return row["key_digest"], row["next_key_digest"]

    @pytest.mark.parametrize(
        ("outcome", "response", "expected"),
        [
            ("result", {"status": "Accepted"}, (b"new", None)),
            ("result", {"status": "RebootRequired"}, (b"new", None)),
            ("result", {"status": "Rejected"}, (b"old", None)),
            ("result", {"status": "NotSupported"}, (b"old", None)),
            ("call_error", None, (b"old", None)),
            ("offline", None, (b"old", None)),
            ("unknown", None, (b"old", b"new")),
        ],
    )
    async def test_the_old_key_dies_when_the_new_one_is_accepted(
        self, connection: asyncpg.Connection, outcome: Any, response: Any, expected: Any
    ) -> None:
        assert await self.rotate(connection, outcome, response) == expected

    async def test_a_command_that_never_left_changes_nothing(self, connection: asyncpg.Connection) -> None:
        await make_charge_point(connection, next_key_digest=b"new", key_digest=b"old")
        await make_command(
            connection, "ChangeConfiguration", {"key": "AuthorizationKey", "value": "***"}, deadline_s=-1
        )
        await end_overdue(connection, NOW)
        assert await connection.fetchval("select key_digest from charge_points") == b"old"


async def test_an_accepted_profile_is_expected_and_never_falls(connection: asyncpg.Connection) -> None:
    await make_charge_point(connection)
    for value, answer, expected in [("2", "Accepted", 2), ("3", "Rejected", 2), ("1", "Accepted", 2)]:
        await obey(connection, "ChangeConfiguration", {"key": "SecurityProfile", "value": value}, {"status": answer})
        row = await connection.fetchrow("select security_profile, next_security_profile from charge_points")
        assert tuple(row) == (1, expected), "it holds when the charge point comes with it"
