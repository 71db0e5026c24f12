"""Every action of a central system by the commands route: what may leave, who may send it, and one for many."""

from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from api.charge_points.command_rules import ACTIONS
from tests.integration.http.gateway import Gateway
from tests.integration.http.site import Person, Site

LATER = "2999-01-01T00:00:00Z"
HASH = {"hashAlgorithm": "SHA256", "issuerNameHash": "aa", "issuerKeyHash": "bb", "serialNumber": "01"}
FIRMWARE = {"location": "https://h/f", "retrieveDateTime": LATER, "signingCertificate": "pem", "signature": "c2ln"}


def profile(purpose: str = "TxDefaultProfile", kind: str = "Absolute", limit: float = 16.1) -> dict[str, Any]:
    periods = [{"startPeriod": 0, "limit": limit}, {"startPeriod": 60, "limit": 6, "numberPhases": 1}]
    return {
        "chargingProfileId": 7,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": periods},
    }


CALLS: dict[str, dict[str, Any]] = {
    "CancelReservation": {"reservationId": 1},
    "CertificateSigned": {"certificateChain": "pem"},
    "ChangeAvailability": {"connectorId": 0, "type": "Inoperative"},
    "ChangeConfiguration": {"key": "MeterValueSampleInterval", "value": "60"},
    "ClearCache": {},
    "ClearChargingProfile": {"id": 7},
    "DataTransfer": {"vendorId": "com.example", "data": "x"},
    "DeleteCertificate": {"certificateHashData": HASH},
    "ExtendedTriggerMessage": {"requestedMessage": "SignChargePointCertificate"},
    "GetCompositeSchedule": {"connectorId": 1, "duration": 3600, "chargingRateUnit": "A"},
    "GetConfiguration": {"key": ["HeartbeatInterval"]},
    "GetDiagnostics": {"location": "https://h/d"},
    "GetInstalledCertificateIds": {"certificateType": "CentralSystemRootCertificate"},
    "GetLocalListVersion": {},
    "GetLog": {"log": {"remoteLocation": "https://h/l"}, "logType": "SecurityLog", "requestId": 1},
    "InstallCertificate": {"certificateType": "CentralSystemRootCertificate", "certificate": "pem"},
    "RemoteStopTransaction": {"transactionId": 5},
    "ReserveNow": {"connectorId": 1, "expiryDate": LATER, "idTag": "TAG", "reservationId": 1},
    "Reset": {"type": "Soft"},
    "SendLocalList": {
        "listVersion": 1,
        "localAuthorizationList": [{"idTag": "TAG", "idTagInfo": {"expiryDate": LATER, "status": "Accepted"}}],
        "updateType": "Full",
    },
    "SetChargingProfile": {"connectorId": 1, "csChargingProfiles": profile()},
    "SignedUpdateFirmware": {"requestId": 1, "firmware": FIRMWARE},
    "TriggerMessage": {"requestedMessage": "Heartbeat"},
    "UnlockConnector": {"connectorId": 1},
    "UpdateFirmware": {"location": "https://h/f", "retrieveDate": LATER},
}
"""In the order of the schemas, as they must leave."""


async def command(person: Person, box: dict[str, Any], action: str, payload: Any, status: int = 201) -> Any:
    return await person.post(f"/charge-points/{box['id']}/commands", {"action": action, "payload": payload}, status)


async def test_every_action_leaves_as_the_schema_has_it(site: Site, gateway: Gateway, box: dict[str, Any]) -> None:
    assert set(CALLS) | {"RemoteStartTransaction"} == set(ACTIONS)
    operator = await site.person("operator", operator=True)
    for action, payload in CALLS.items():
        shuffled = dict(reversed(payload.items()))
        sent = await command(operator, box, action, shuffled)
        assert (sent["action"], sent["payload"]) == (action, payload)
        arrived = await gateway.next_command()
        assert (arrived.action, arrived.payload) == (action, orjson.dumps(payload))


async def test_numbers_arrive_exactly(owner: Person, gateway: Gateway, box: dict[str, Any]) -> None:
    for limit in (0.1, 7.3, 10.0, 32.6, 99999.9):
        payload = {"connectorId": 1, "csChargingProfiles": profile(limit=limit)}
        await command(owner, box, "SetChargingProfile", payload)
        assert b'"limit":%s}' % str(limit).encode() in (await gateway.next_command()).payload
    await command(owner, box, "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile(limit=1.05)}, 422)
    large = 2**63 - 1
    await command(owner, box, "RemoteStopTransaction", {"transactionId": large})
    assert (await gateway.next_command()).payload == b'{"transactionId":%d}' % large
    await command(owner, box, "RemoteStopTransaction", {"transactionId": 2**63}, 422)


def relative_with_start() -> dict[str, Any]:
    wrong = profile(kind="Relative")
    wrong["chargingSchedule"]["startSchedule"] = LATER
    return wrong


def starting_late() -> dict[str, Any]:
    wrong = profile()
    wrong["chargingSchedule"]["chargingSchedulePeriod"][0]["startPeriod"] = 10
    return wrong


ENTRY = {"idTag": "TAG", "idTagInfo": {"status": "Accepted"}}


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("BootNotification", {}),
        ("Reset", {"type": "Firm"}),
        ("UnlockConnector", {"connectorId": 0}),
        ("ChangeAvailability", {"connectorId": -1, "type": "Operative"}),
        ("ChangeConfiguration", {"key": "AuthorizationKey", "value": "0" * 40}),
        ("SendLocalList", {"listVersion": 0, "updateType": "Full"}),
        ("SendLocalList", {"listVersion": -1, "updateType": "Full"}),
        ("SendLocalList", {"listVersion": 1, "updateType": "Full", "localAuthorizationList": [{"idTag": "TAG"}]}),
        (
            "SendLocalList",
            {"listVersion": 1, "updateType": "Full", "localAuthorizationList": [ENTRY, {**ENTRY, "idTag": "tag"}]},
        ),
        ("ReserveNow", {**CALLS["ReserveNow"], "expiryDate": "2020-01-01T00:00:00Z"}),
        ("ReserveNow", {**CALLS["ReserveNow"], "expiryDate": "tomorrow"}),
        ("GetCompositeSchedule", {"connectorId": 1, "duration": 0}),
        ("GetDiagnostics", {"location": "not a place"}),
        ("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile("ChargePointMaxProfile")}),
        ("SetChargingProfile", {"connectorId": 0, "csChargingProfiles": profile("TxProfile")}),
        ("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": {**profile(), "transactionId": 1}}),
        ("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile(kind="Recurring")}),
        ("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": relative_with_start()}),
        ("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": starting_late()}),
    ],
)
async def test_what_breaks_a_rule_never_leaves(
    site: Site, owner: Person, gateway: Gateway, box: dict[str, Any], *, action: str, payload: Any
) -> None:
    refused = await command(owner, box, action, payload, 422)
    assert refused["errors"][0]["field"].startswith("body.")
    assert gateway.commands.empty()
    assert await site.value("select count(*) from commands") == 0


async def test_registration_decides_what_may_be_sent(site: Site, owner: Person, box: dict[str, Any]) -> None:
    """OCPP 1.6 4.2."""
    trigger = {"requestedMessage": "BootNotification"}
    await command(owner, box, "TriggerMessage", trigger, 409)
    await command(owner, box, "ExtendedTriggerMessage", trigger, 409)
    await site.execute("update charge_points set registration = 'Pending'")
    await command(owner, box, "TriggerMessage", trigger)
    await command(owner, box, "GetConfiguration", {})
    await command(owner, box, "RemoteStopTransaction", {"transactionId": 1}, 409)
    await site.execute("update charge_points set registration = 'Rejected'")
    await command(owner, box, "GetConfiguration", {}, 409)


async def test_the_table_says_who_may_send_what(
    site: Site, owner: Person, stranger: Person, gateway: Gateway, box: dict[str, Any]
) -> None:
    await command(stranger, box, "Reset", {"type": "Soft"}, 404)
    await owner.post(f"/charge-points/{box['id']}/grants", {"email": stranger.email})
    for action in sorted(set(CALLS) - {"UnlockConnector"}):
        await command(stranger, box, action, CALLS[action], 403)
    await stranger.post(f"/charge-points/{box['id']}/unlock", {}, 403)
    await stranger.post(f"/charge-points/{box['id']}/restart", {}, 403)
    await site.transaction(box["id"], driver_id=stranger.user_id)
    assert gateway.commands.empty()
    gateway.answer = {"status": "Unlocked"}
    await stranger.post(f"/charge-points/{box['id']}/unlock", {"connector_id": 2}, 403)
    await stranger.post(f"/charge-points/{box['id']}/unlock", {})
    assert (await gateway.next_command()).payload == b'{"connectorId":1}'


async def test_what_owners_do_daily(owner: Person, gateway: Gateway, box: dict[str, Any]) -> None:
    path = f"/charge-points/{box['id']}"
    for body, action, payload in [
        ("/restart", "Reset", b'{"type":"Soft"}'),
        ("/unlock", "UnlockConnector", b'{"connectorId":1}'),
    ]:
        await owner.send("POST", path + body, 201)
        sent = await gateway.next_command()
        assert (sent.action, sent.payload) == (action, payload)
    await owner.post(f"{path}/availability", {"connector_id": 2, "operative": False})
    assert (await gateway.next_command()).payload == b'{"connectorId":2,"type":"Inoperative"}'


async def test_one_command_for_many_and_its_progress(
    site: Site, owner: Person, stranger: Person, gateway: Gateway, box: dict[str, Any]
) -> None:
    gateway.answer = None
    others = [await owner.charge_point() for _ in range(3)]
    strangers = await stranger.charge_point()
    for other in others[:2]:
        await site.accept(other["id"])
        await gateway.connect(other["id"])
    await site.execute("update charge_points set registration = 'Rejected' where id = $1", UUID(others[1]["id"]))
    ids = [box["id"], *(other["id"] for other in others), strangers["id"], str(uuid4()), box["id"]]
    asked = {"action": "Reset", "payload": {"type": "Soft"}, "charge_point_ids": ids}
    batch = await owner.post("/commands/batch", asked, Idempotency_Key="b1")
    assert await owner.post("/commands/batch", asked, Idempotency_Key="b1") == batch
    assert batch["by_status"] == {"queued": 2, "offline": 1}
    assert (batch["total"], batch["finished"]) == (6, 4)
    assert {each["charge_point_id"] for each in batch["refused"]} == {others[1]["id"], *ids[4:6]}
    commands = [await gateway.next_command() for _ in range(2)]
    assert {each.charge_point_id for each in commands} == {box["id"], others[0]["id"]}
    assert gateway.commands.empty()
    for each in commands:
        await gateway.finish(each, {"status": "Accepted"})
    after = await owner.get(f"/commands/batches/{batch['id']}")
    assert (after["finished"], after["by_status"]) == (6, {"accepted": 2, "offline": 1})
    listed = (await owner.get(f"/commands/batches/{batch['id']}/commands"))["items"]
    assert len(listed) == 3
    await stranger.get(f"/commands/batches/{batch['id']}", 404)
    for action in ("RemoteStopTransaction", "GetLog", "BootNotification"):
        await owner.post("/commands/batch", {**asked, "action": action, "payload": CALLS.get(action, {})}, 422)
