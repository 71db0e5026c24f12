"""What commands mean on the whole system: each by the public API, obeyed by a charge point over a real socket."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.exceptions import InvalidStatus

from tests.harness.fixtures import Running
from tests.harness.person import Person
from tests.harness.scripted import ScriptedChargePoint
from tests.harness.stack import Stack, eventually
from tests.harness.wallbox import now_text

SOON = "2099-01-01T00:00:00Z"


class Box:
    """A booted charge point of the owner's, and the owner's routes to it."""

    def __init__(self, owner: Person, created: dict[str, Any], wire: ScriptedChargePoint) -> None:
        self.owner, self.created, self.wire = owner, created, wire
        self.path = f"/charge-points/{created['id']}"

    async def get(self, path: str) -> Any:
        return await self.owner.get(self.path + path)

    async def post(self, path: str, body: Any = None) -> Any:
        return await self.owner.post(self.path + path, body or {})

    async def refused(self, method: str, path: str, body: Any) -> int:
        answer = await self.owner.http.request(method, self.path + path, json=body)
        return answer.status_code


@pytest.fixture
async def box(running: Running) -> AsyncIterator[Box]:
    created = await running.owner.wallbox()
    async with ScriptedChargePoint(running.url, created["identity"], created["key"]) as wire:
        await wire.boot()
        yield Box(running.owner, created, wire)


async def test_configuration_is_read_changed_and_waits_for_a_reboot(box: Box) -> None:
    keys = [{"key": "HeartbeatInterval", "readonly": False, "value": "300"}]
    box.wire.answers["GetConfiguration"] = {"configurationKey": keys, "unknownKey": ["Nothing"]}
    await box.post("/configuration/read", {"keys": ["HeartbeatInterval", "Nothing"]})
    assert await box.wire.next_command("GetConfiguration") == {"key": ["HeartbeatInterval", "Nothing"]}
    known = await box.get("/configuration")
    assert [(key["key"], key["value"], key["is_known"]) for key in known["items"]] == [
        ("HeartbeatInterval", "300", True),
        ("Nothing", None, False),
    ]
    box.wire.answers["ChangeConfiguration"] = {"status": "RebootRequired"}
    answer = await box.owner.http.patch(box.path + "/configuration", json={"values": {"HeartbeatInterval": "60"}})
    assert answer.json()["needs_reboot"] is True
    [key] = [each for each in (await box.get("/configuration"))["items"] if each["needs_reboot"]]
    assert (key["value"], key["set_value"]) == ("300", "60")
    await box.wire.boot()
    assert (await box.get("/configuration"))["needs_reboot"] is False
    await box.post("/configuration/read")
    [key] = [each for each in (await box.get("/configuration"))["items"] if each["differs"]]
    assert (key["value"], key["set_value"]) == ("300", "60"), "the charge point did not keep its word"


async def upload_image(owner: Person, image: bytes) -> dict[str, Any]:
    answer = await owner.http.post("/firmware", params={"name": "wall 1.4.bin"}, content=image)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_firmware_comes_from_us_and_its_progress_is_kept(box: Box) -> None:
    image = bytes(range(256)) * 8192
    firmware = await upload_image(box.owner, image)
    assert firmware["sha256"] == hashlib.sha256(image).hexdigest()
    box.wire.answers["UpdateFirmware"] = {}
    command = await box.post("/firmware-updates", {"firmware_id": firmware["id"]})
    assert command["status"] == "accepted"
    location = (await box.wire.next_command("UpdateFirmware"))["location"]
    async with httpx.AsyncClient() as http:
        assert (await http.get(location)).content == image
        part = await http.get(location, headers={"Range": "bytes=256-511"})
        assert (part.status_code, part.content) == (206, image[256:512])
        for status in ("Downloading", "Downloaded", "Installing", "Installing", "Installed"):
            await box.wire.call("FirmwareStatusNotification", {"status": status})
        assert (await http.get(location)).status_code == 404, "the job is over, and so is its link"
        assert (await http.get(location.replace("/download/", "/download/A"))).status_code == 404
    [job] = (await box.get("/jobs"))["items"]
    assert [entry["status"] for entry in job["history"]] == [
        *("Requested", "Accepted", "Downloading", "Downloaded", "Installing", "Installed"),
    ]
    assert job["finished_at"]


@pytest.mark.parametrize("as_form", [False, True])
async def test_diagnostics_are_uploaded_once_and_read_by_the_owner(box: Box, as_form: bool) -> None:
    box.wire.answers["GetDiagnostics"] = {"fileName": "diagnostics.zip"}
    await box.post("/diagnostics")
    location = (await box.wire.next_command("GetDiagnostics"))["location"]
    content = bytes(range(256)) * 8192
    async with httpx.AsyncClient() as http:
        await box.wire.call("DiagnosticsStatusNotification", {"status": "Uploading"})
        sent: dict[str, Any] = {"files": {"file": ("x.zip", content)}} if as_form else {"content": content}
        method = "POST" if as_form else "PUT"
        first = await http.request(method, f"{location}diagnostics.zip", **sent)
        again = await http.request(method, f"{location}diagnostics.zip", **sent)
        assert (first.status_code, again.status_code) == (201, 409)
    await box.wire.call("DiagnosticsStatusNotification", {"status": "Uploaded"})
    [job] = (await box.get("/jobs"))["items"]
    assert (job["status"], job["file_name"], job["size_bytes"]) == ("Uploaded", "diagnostics.zip", len(content))
    fetched = await box.owner.http.get(f"/files/{job['file_id']}")
    assert fetched.content == content
    stranger = await Person.register(box.owner.http.base_url.port or 0, "stranger")
    assert (await stranger.http.get(f"/files/{job['file_id']}")).status_code == 404
    await stranger.close()


async def test_a_security_log_and_signed_firmware_know_their_request(box: Box) -> None:
    await box.post("/diagnostics", {"log": "security_log"})
    asked = await box.wire.next_command("GetLog")
    assert asked["logType"] == "SecurityLog"
    await box.wire.call("LogStatusNotification", {"status": "Uploaded", "requestId": asked["requestId"] + 1})
    await box.wire.call("LogStatusNotification", {"status": "Uploading", "requestId": asked["requestId"]})
    firmware = await upload_image(box.owner, b"image")
    signed = {"signing_certificate": "-----BEGIN CERTIFICATE-----", "signature": "c2ln"}
    await box.post("/firmware-updates", {"firmware_id": firmware["id"], "signed": signed})
    asked = await box.wire.next_command("SignedUpdateFirmware")
    report = {"status": "InvalidSignature", "requestId": asked["requestId"]}
    await box.wire.call("SignedFirmwareStatusNotification", report)
    event = {"type": "InvalidFirmwareSignature", "timestamp": now_text()}
    await box.wire.call("SecurityEventNotification", event)
    states = {job["action"]: job["status"] for job in (await box.get("/jobs"))["items"]}
    assert states == {"GetLog": "Uploading", "SignedUpdateFirmware": "InvalidSignature"}
    [seen] = (await box.get("/security-events"))["items"]
    assert seen["type"] == "InvalidFirmwareSignature"


async def test_the_local_list_follows_who_may_charge(box: Box) -> None:
    card = await box.owner.card(tag="CARD1", parent_tag="FAMILY")
    assert (await box.get("/local-list"))["drift"] == "entries"
    await box.post("/local-list")
    sent = await box.wire.next_command("SendLocalList")
    assert (sent["listVersion"], sent["updateType"]) == (1, "Full")
    by_tag = {entry["idTag"]: entry["idTagInfo"] for entry in sent["localAuthorizationList"]}
    assert by_tag[card] == {"parentIdTag": "FAMILY", "status": "Accepted"}
    assert (await box.get("/local-list"))["drift"] == "none"
    [tag] = [each for each in (await box.owner.get("/id-tags"))["items"] if each["tag"] == card]
    await box.owner.http.patch(f"/id-tags/{tag['id']}", json={"blocked": True})
    await box.owner.card(tag="CARD2")
    await box.post("/local-list", {"update_type": "differential"})
    sent = await box.wire.next_command("SendLocalList")
    assert (sent["listVersion"], sent["updateType"]) == (2, "Differential")
    assert sent["localAuthorizationList"] == [{"idTag": "CARD2", "idTagInfo": {"status": "Accepted"}}, {"idTag": card}]
    box.wire.answers["GetLocalListVersion"] = {"listVersion": 7}
    await box.post("/local-list/check")
    assert (await box.get("/local-list"))["drift"] == "version"
    await box.wire.next_command("GetLocalListVersion")
    await box.post("/local-list")
    assert (await box.wire.next_command("SendLocalList"))["listVersion"] == 8


async def test_a_reservation_is_used_by_the_parent_id(box: Box) -> None:
    await box.owner.card(tag="CARD1", parent_tag="FAMILY")
    other = await box.owner.card(tag="CARD2", parent_tag="FAMILY")
    await box.post("/reservations", {"connector_id": 1, "id_tag": "card1", "expires_at": SOON})
    asked = await box.wire.next_command("ReserveNow")
    assert (asked["idTag"], asked["parentIdTag"], asked["reservationId"]) == ("CARD1", "FAMILY", 1)
    begun = {
        "connectorId": 1,
        "idTag": other,
        "meterStart": 0,
        "reservationId": asked["reservationId"],
        "timestamp": now_text(),
    }
    started = await box.wire.call("StartTransaction", begun)
    assert started["idTagInfo"]["status"] == "Accepted"
    [reservation] = (await box.get("/reservations"))["items"]
    assert (reservation["status"], bool(reservation["transaction_id"])) == ("used", True)
    assert await box.refused("POST", "/reservations/1/cancel", {}) == 409
    box.wire.answers["ReserveNow"] = {"status": "Occupied"}
    command = await box.post("/reservations", {"connector_id": 1, "id_tag": "CARD1", "expires_at": SOON})
    assert (command["status"], command["payload"]["reservationId"]) == ("rejected", 2)
    assert (await box.get("/reservations"))["items"][0]["status"] == "occupied"


async def test_charging_profiles_are_compared_with_the_composite_schedule(box: Box) -> None:
    profile = {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": {
            "startSchedule": "2020-01-01T00:00:00Z",
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.1}],
        },
    }
    await box.post(
        "/commands",
        {"action": "SetChargingProfile", "payload": {"connectorId": 1, "csChargingProfiles": profile}},
    )
    [held] = (await box.get("/charging-profiles"))["items"]
    assert held["profile"] == profile
    for limit, expected in ((10.1, True), (32.0, False)):
        periods = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
        box.wire.answers["GetCompositeSchedule"] = {
            "status": "Accepted", "connectorId": 1, "scheduleStart": now_text(), "chargingSchedule": periods,
        }  # fmt: skip
        compared = await box.post("/composite-schedule", {"duration_s": 600})
        assert (compared["agrees"], compared["expected"]) == (expected, [{"start_s": 0, "limit": 10.1}])
    await box.post("/commands", {"action": "ClearChargingProfile", "payload": {}})
    assert (await box.get("/charging-profiles"))["items"] == []


async def connects(url: str, identity: str, key: str, **headers: str) -> int:
    """101, or the status of the refusal."""
    try:
        async with ScriptedChargePoint(url, identity, key, headers=headers):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


async def test_a_key_is_rotated_while_the_charge_point_is_connected(running: Running, box: Box) -> None:
    identity, old = box.created["identity"], box.created["key"]
    box.wire.answers["ChangeConfiguration"] = {"status": "Rejected"}
    kept = await box.post("/key", {"mode": "live"})
    assert (kept["key"], kept["command"]["status"]) == (None, "rejected")
    await box.wire.next_command("ChangeConfiguration")
    box.wire.answers["ChangeConfiguration"] = {"status": "Accepted"}
    made = await box.post("/key", {"mode": "live"})
    told = await box.wire.next_command("ChangeConfiguration")
    assert told == {"key": "AuthorizationKey", "value": made["key"].encode().hex()}
    assert len(told["value"]) == 40
    listed = await box.get("/commands")
    logged = await box.get("/messages")
    assert told["value"] not in str(listed) + str(logged)
    assert made["key"] not in str(listed) + str(logged)
    assert await connects(running.url, identity, old) == 401
    assert await connects(running.url, identity, made["key"]) == 101
    assert await connects(running.url, identity, told["value"]) == 101


async def test_an_operator_brings_a_key_along(running: Running, box: Box) -> None:
    identity, brought = box.created["identity"], b"Brought along 16"
    order = {
        "action": "ChangeConfiguration",
        "payload": {"key": "AuthorizationKey", "value": brought.hex()},
    }
    assert await box.refused("POST", "/commands", order) == 422, "owners have /key"
    operator = await Person.register(running.api.port, "operator")
    database = await asyncpg.connect(running.stack.database.application)
    await database.execute("update users set role = 'operator' where email = $1", operator.email)
    await database.close()
    box.wire.answers["ChangeConfiguration"] = {"status": "Accepted"}
    for wrong in ("00" * 15, "00" * 21, "no digits at all", ""):
        answer = await operator.http.post(
            f"{box.path}/commands", json={**order, "payload": {"key": "authorizationkey", "value": wrong}}
        )
        assert answer.status_code == 422
    command = await operator.post(f"{box.path}/commands", order)
    assert (command["status"], command["payload"]["value"]) == ("accepted", "***")
    assert await box.wire.next_command("ChangeConfiguration") == order["payload"]
    assert await connects(running.url, identity, box.created["key"]) == 401
    assert await connects(running.url, identity, brought.hex()) == 101, "some present the digits, not the bytes"
    assert await connects(running.url, identity, brought.decode()) == 101
    await operator.close()


def signing_request(name: str) -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject)
    signed = request.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


async def test_certificates_and_security_profiles(stack: Stack) -> None:
    await stack.listener()
    api = await stack.api()
    gateway = await stack.gateway(GATEWAY_TRUSTED_PROXIES="127.0.0.1")
    owner, url = await Person.register(api.port), f"ws://127.0.0.1:{gateway.port}"
    created = await owner.wallbox()
    identity, key = created["identity"], created["key"]
    async with ScriptedChargePoint(url, identity, key) as wire:
        await wire.boot(chargePointSerialNumber="SN-1")
        box = Box(owner, created, wire)
        assert await wire.call("SignCertificate", {"csr": signing_request("somebody")}) == {"status": "Rejected"}
        assert await box.refused("POST", "/security-profile", {"security_profile": 3}) == 409
        await box.post("/certificates/renew")
        await wire.next_command("ExtendedTriggerMessage")
        csr = signing_request("SN-1")
        for _ in range(2):
            assert await wire.call("SignCertificate", {"csr": csr}) == {"status": "Accepted"}
        chain = (await wire.next_command("CertificateSigned"))["certificateChain"]
        certificate, root = x509.load_pem_x509_certificates(chain.encode())
        certificate.verify_directly_issued_by(root)
        authority = (await owner.get("/certificate-authority"))["certificate"]
        assert x509.load_pem_x509_certificate(authority.encode()) == root

        async def accepted() -> bool:
            issued = (await box.get("/certificates"))["issued"]
            return [each["status"] for each in issued] == ["accepted", "refused"]

        await eventually(accepted, "the certificate to be accepted")
        await box.post("/security-profile", {"security_profile": 2})
        assert await box.refused("POST", "/security-profile", {"security_profile": 1}) == 409
        assert await box.refused("PUT", "/security-profile", {"security_profile": 0}) == 403
        secure = {"X-Forwarded-Proto": "https"}
        assert await connects(url, identity, key) == 101, "it has not come with the new profile yet"
        assert await connects(url, identity, key, **secure) == 101
        assert await connects(url, identity, key) == 403
        assert await connects(url, identity, key, X_Forwarded_Proto="https") == 403, "not that header"
    async with ScriptedChargePoint(url, identity, key, headers=secure):
        await box.post("/security-profile", {"security_profile": 3})
    shown = {**secure, "X-Client-Verify": "SUCCESS", "X-Client-Certificate": chain.replace("\n", " ")}
    assert await connects(url, identity, "no key", **shown) == 101
    assert await connects(url, identity, key, **secure) == 401
    assert await connects(url, identity, key, **{**shown, "X-Client-Verify": "NONE"}) == 401
    await owner.close()


async def test_a_remote_start_without_a_car_says_so(stack: Stack) -> None:
    await stack.listener(CONNECTION_TIME_OUT_S="1")
    api = await stack.api()
    gateway = await stack.gateway()
    owner = await Person.register(api.port)
    created = await owner.wallbox()
    async with ScriptedChargePoint(f"ws://127.0.0.1:{gateway.port}", created["identity"], created["key"]) as wire:
        await wire.boot()
        command = await owner.post(f"/charge-points/{created['id']}/start", {})
        assert (command["status"], command["note"]) == ("accepted", None)

        async def told() -> bool:
            note = (await owner.get(f"/commands/{command['id']}"))["note"]
            return bool(note and "No session began" in note)

        await eventually(told, "the note")
    await owner.close()
