"""Quirks over HTTP: what is set and suggested, what gateways are told, and replaying what was refused."""

import hashlib
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest

from api.charge_points.profiles import profiles, suggested_by_profile
from tests.integration.http.gateway import Gateway
from tests.integration.http.site import Person, Site
from wire.messages import ChargePointChanged
from wire.quirks import QUIRKS

START = {"connectorId": 1, "idTag": "CARD1", "meterStart": 1000, "timestamp": "2026-05-04T09:00:00Z"}
STOP = {"transactionId": 1001, "meterStop": 6000, "timestamp": "2026-05-04T10:01:00Z"}


async def set_aside(site: Site, charge_point: str, action: str, payload: bytes, **columns: Any) -> int:
    """A message as the listener keeps it."""
    values = {
        "charge_point_id": UUID(charge_point),
        "epoch": 1,
        "message_id": "m",
        "action": action,
        "payload": payload,
        "digest": hashlib.sha256(payload).digest(),
        "received_at": datetime.now(UTC),
        "error_code": "TypeConstraintViolation",
        "reason": "refused",
        **columns,
    }
    places = ", ".join(f"${index}" for index in range(1, len(values) + 1))
    statement = f"insert into unprocessed ({', '.join(values)}) values ({places}) returning id"
    return int(await site.value(statement, *values.values()))


async def test_every_quirk_is_described_and_none_is_set(owner: Person) -> None:
    created = await owner.charge_point()
    quirks = await owner.get(f"/charge-points/{created['id']}/quirks")
    assert (quirks["active"], quirks["suggested"]) == ([], [])
    assert [each["name"] for each in quirks["all"]] == list(QUIRKS)
    assert all(each["seen"] and each["tolerated"] for each in quirks["all"])


async def test_setting_quirks_reaches_gateways(owner: Person, gateway: Gateway) -> None:
    created = await owner.charge_point()
    path = f"/charge-points/{created['id']}/quirks"
    body = {"quirks": ["zombie_link", "long_strings", "zombie_link"]}
    answer = await owner.send("PUT", path, json=body)
    assert answer["active"] == ["long_strings", "zombie_link"]
    assert await gateway.next_change() == ChargePointChanged(created["id"], quirks=["long_strings", "zombie_link"])
    assert (await owner.get(path))["active"] == ["long_strings", "zombie_link"]
    await owner.send("PUT", path, 422, json={"quirks": ["everything"]})
    assert (await owner.send("PUT", path, json={"quirks": []}))["active"] == []


async def test_suggested_by_what_was_seen_and_by_profile(site: Site, owner: Person) -> None:
    created = await owner.charge_point()
    await site.execute(
        "insert into quirk_sightings values ($1, 'decimal_integers', 7, now(), now())", UUID(created["id"])
    )
    boot = {"chargePointVendor": "growatt", "chargePointModel": "THOR 11AS-S"}
    await site.execute("update charge_points set boot = $1::text::jsonb", orjson.dumps(boot).decode())
    path = f"/charge-points/{created['id']}/quirks"
    quirks = await owner.get(path)
    assert set(quirks["suggested"]) == {"decimal_integers", "timestamp_without_zone"}
    by_name = {each["name"]: each for each in quirks["all"]}
    assert (by_name["decimal_integers"]["count"], by_name["decimal_integers"]["profile"]) == (7, None)
    assert by_name["timestamp_without_zone"]["profile"]
    quirks = await owner.send("PUT", path, json={"quirks": ["decimal_integers"]})
    assert quirks["suggested"] == ["timestamp_without_zone"]


async def test_strangers_and_guests(site: Site, owner: Person, stranger: Person) -> None:
    created = await owner.charge_point()
    path = f"/charge-points/{created['id']}/quirks"
    await stranger.get(path, 404)
    await stranger.send("PUT", path, 404, json={"quirks": []})
    await owner.post(f"/charge-points/{created['id']}/grants", {"email": stranger.email})
    await stranger.get(path, 403)
    await stranger.send("PUT", path, 403, json={"quirks": []})


def test_profiles_match_without_case_and_by_pattern() -> None:
    assert profiles()
    assert set(suggested_by_profile("schneider electric", "EVLINK Smart Wallbox 2")) == {"long_strings"}
    assert suggested_by_profile("Acme", "Wall 11") == {}
    assert suggested_by_profile(None, "THOR") == {}


class TestReplay:
    """A message set aside is processed at last, once."""

    async def test_a_refused_start_once_its_quirk_is_set(self, site: Site, owner: Person) -> None:
        created = await owner.charge_point()
        raw, repaired = (orjson.dumps(START | {"connectorId": number}) for number in ("1", 1))
        number = await set_aside(
            *(site, created["id"], "StartTransaction", raw),
            suggested_quirks=["strings_for_numbers"],
            repaired=repaired,
        )
        path = f"/charge-points/{created['id']}/unprocessed"
        (listed,) = (await owner.get(path))["items"]
        assert listed["suggested_quirks"] == ["strings_for_numbers"]
        problem = await owner.post(f"{path}/{number}/replay", status=409)
        assert "strings_for_numbers" in problem["detail"]
        await owner.send("PUT", f"/charge-points/{created['id']}/quirks", json={"quirks": ["strings_for_numbers"]})
        replayed = await owner.post(f"{path}/{number}/replay", status=200)
        (session,) = (await owner.get("/transactions"))["items"]
        assert replayed["transaction_id"] == session["id"]
        assert replayed["resolved_at"]
        await owner.post(f"{path}/{number}/replay", status=409)
        assert len((await owner.get("/transactions"))["items"]) == 1

    async def test_a_stop_releases_the_session_that_was_held_for_it(self, site: Site, owner: Person) -> None:
        created = await owner.charge_point()
        public_id = await site.transaction(created["id"], held_reasons=["refused"])
        internal = await site.value("select id from transactions where public_id = $1", UUID(public_id))
        payload = orjson.dumps(STOP)
        number = await set_aside(
            *(site, created["id"], "StopTransaction", payload),
            repaired=payload,
            transaction_id=internal,
            error_code="SecurityError",
        )
        await owner.post(f"/charge-points/{created['id']}/unprocessed/{number}/replay", status=200)
        session = await owner.get(f"/transactions/{public_id}")
        assert (session["status"], session["energy_wh"], session["held_reasons"]) == ("stopped", 5000, [])

    async def test_another_message_of_it_still_waits(self, site: Site, owner: Person) -> None:
        created = await owner.charge_point()
        public_id = await site.transaction(created["id"], held_reasons=["refused"])
        internal = await site.value("select id from transactions where public_id = $1", UUID(public_id))
        payload = orjson.dumps(STOP)
        held = {"transaction_id": internal, "repaired": payload}
        await set_aside(site, created["id"], "MeterValues", b"{}", **held)
        number = await set_aside(site, created["id"], "StopTransaction", payload, **held)
        await owner.post(f"/charge-points/{created['id']}/unprocessed/{number}/replay", status=200)
        assert (await owner.get(f"/transactions/{public_id}"))["held_reasons"] == ["refused"]

    @pytest.mark.parametrize(
        ("action", "payload", "columns"),
        [
            ("StopTransaction", b"{}", {}),
            ("Authorize", b'{"idTag":"A"}', {"error_code": None}),
            ("StartTransaction", b'{"connectorId":1}', {"error_code": None}),
            ("MeterValues", b'{"connectorId":1e400000,"meterValue":[]}', {"error_code": None}),
            (
                "StopTransaction",
                b'{"transactionId":1,"timestamp":"2026-05-04T10:01:00Z","meterStop":%d}' % 10**30,
                {"error_code": None},
            ),
        ],
    )
    async def test_what_cannot_be_replayed_stays(
        self, site: Site, owner: Person, action: str, payload: bytes, columns: dict[str, Any]
    ) -> None:
        created = await owner.charge_point()
        number = await set_aside(site, created["id"], action, payload, **columns)
        await owner.post(f"/charge-points/{created['id']}/unprocessed/{number}/replay", status=409)
        (listed,) = (await owner.get(f"/charge-points/{created['id']}/unprocessed"))["items"]
        assert listed["resolved_at"] is None

    async def test_only_the_owners(self, site: Site, owner: Person, stranger: Person) -> None:
        created, other = await owner.charge_point(), await stranger.charge_point()
        number = await set_aside(site, created["id"], "StopTransaction", orjson.dumps(STOP), error_code=None)
        await stranger.post(f"/charge-points/{created['id']}/unprocessed/{number}/replay", status=404)
        await stranger.post(f"/charge-points/{other['id']}/unprocessed/{number}/replay", status=404)
        await owner.post(f"/charge-points/{created['id']}/unprocessed/{2**63 - 1}/replay", status=404)
