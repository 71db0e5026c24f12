"""What a caller may not see is 404, on every route that names a resource."""

import re
from typing import Any
from uuid import uuid4

from tests.integration.http.site import Person, Site

BODIES: dict[str, dict[str, Any]] = {
    "patch /api/v1/charge-points/{charge_point_id}": {"name": "Mine now"},
    "post /api/v1/charge-points/{charge_point_id}/commands": {
        "action": "RemoteStopTransaction",
        "payload": {"transactionId": 1},
    },
    "post /api/v1/transactions/{transaction_id}/decisions": {"decision": "bill", "note": "It is mine."},
    "post /api/v1/transactions/{transaction_id}/corrections": {"meter_stop_wh": 1, "note": "It is mine."},
    "post /api/v1/c/{code}/start": {"tariff_version_id": None},
    "patch /api/v1/tariffs/{tariff_id}": {"name": "Mine now"},
    "post /api/v1/tariffs/{tariff_id}/versions": {
        "currency": "CZK",
        "elements": [{"price_components": [{"type": "ENERGY", "price": "0", "step_size": 1}]}],
    },
    "put /api/v1/charge-points/{charge_point_id}/tariff": {"tariff_id": None},
    "put /api/v1/grants/{grant_id}/tariff": {"tariff_id": None},
    "post /api/v1/operator/bank-movements/{movement_id}/decisions": {"meaning": "ignore", "note": "It is mine."},
    "put /api/v1/operator/users/{user_id}/credit-limit": {"currency": "CZK", "limit_minor": 1, "note": "It is mine."},
    "patch /api/v1/id-tags/{id_tag_id}": {"label": "Mine now"},
    "put /api/v1/charge-points/{charge_point_id}/quirks": {"quirks": []},
    "post /api/v1/operator/knocks/{knock_id}/adopt": {"owner_email": "friend@example.org", "name": "Mine now"},
    "post /api/v1/charge-points/{charge_point_id}/availability": {"operative": False},
    "patch /api/v1/charge-points/{charge_point_id}/configuration": {"values": {"HeartbeatInterval": "1"}},
    "post /api/v1/charge-points/{charge_point_id}/firmware-updates": {"firmware_id": str(uuid4())},
    "post /api/v1/charge-points/{charge_point_id}/reservations": {
        "id_tag": "CARD1",
        "expires_at": "2999-01-01T00:00:00Z",
    },
    "post /api/v1/charge-points/{charge_point_id}/bookings": {"connector_id": 1, "ends_at": "2999-01-01T00:00:00Z"},
    "post /api/v1/charge-points/{charge_point_id}/security-profile": {"security_profile": 2},
    "put /api/v1/charge-points/{charge_point_id}/security-profile": {"security_profile": 2},
    "put /api/v1/charge-points/{charge_point_id}/location": {"location_id": None},
    "put /api/v1/charge-points/{charge_point_id}/connectors/{connector_id}/spec": {
        "standard": "IEC_62196_T2",
        "format": "CABLE",
        "power_type": "AC_3_PHASE",
    },
    "post /api/v1/charge-points/{charge_point_id}/handover": {"email": "friend@example.org"},
    "post /api/v1/groups/{group_id}/members": {"email": "friend@example.org"},
    "patch /api/v1/groups/{group_id}": {"name": "Mine now"},
    "patch /api/v1/grants/{grant_id}": {"priority": 1},
    "patch /api/v1/locations/{location_id}": {"name": "Mine now"},
}
KNOCK = """insert into knocks (identity, remote_address, count, first_at, last_at)
    values ('NOBODY', '203.0.113.9', 1, now(), now()) returning id"""
QUERIES: dict[str, dict[str, Any]] = {
    "get /api/v1/charge-points/{charge_point_id}/price-preview": {"energy_wh": 18_000, "connected_s": 10_800},
}
NUMBERED = {"unprocessed_id", "knock_id", "reservation_id", "connector_id"}
"""Path parameters that are integers."""


async def everything_of(site: Site, owner: Person, guest: Person | None = None) -> dict[str, str]:
    """One of each resource, by the name of its path parameter; the charge point is shared with the guest."""
    point = (await owner.charge_point())["id"]
    friend = guest or await site.person("friend")
    return {
        "charge_point_id": point,
        "connector_id": "1",
        "user_id": str(owner.user_id),
        "registration_id": str(uuid4()),
        "session_id": str(owner.session.session_id),
        **await _what_it_sent(site, point),
        **await _what_it_was_told(site, owner, point),
        **await _what_is_shared(site, owner, friend, point),
        **await _what_is_owed(site, owner),
        **await _what_is_posted(owner),
    }


async def _what_it_sent(site: Site, point: str) -> dict[str, str]:
    await site.accept(point)
    await site.message(point, b'[2,"a","Heartbeat",{}]')
    await site.unprocessed(point, b"{}", "why")
    return {
        "transaction_id": await site.transaction(point),
        "unprocessed_id": str(await site.value("select id from unprocessed")),
        "knock_id": str(await site.value(KNOCK)),
    }


async def _what_it_was_told(site: Site, owner: Person, point: str) -> dict[str, str]:
    command = await owner.post(f"/charge-points/{point}/start", {})
    tag = await owner.post("/id-tags", {"tag": "CARD1"})
    batch = await owner.post("/commands/batch", {"action": "ClearCache", "payload": {}, "charge_point_ids": [point]})
    reservation = {"id_tag": "CARD1", "expires_at": "2999-01-01T00:00:00Z"}
    await owner.post(f"/charge-points/{point}/reservations", reservation)
    await owner.post(f"/charge-points/{point}/diagnostics", {})
    [job] = (await owner.get(f"/charge-points/{point}/jobs"))["items"]
    firmware = await owner.send("POST", "/firmware?name=image", 201, content=b"image")
    uploaded = await site.value(
        """insert into files (owner_id, charge_point_id, kind, name, size_bytes, sha256)
           select owner_id, id, 'diagnostics', 'log', 1, '' from charge_points where id = $1 returning id""",
        point,
    )
    return {
        "command_id": command["id"],
        "id_tag_id": tag["id"],
        "batch_id": batch["id"],
        "reservation_id": "1",
        "job_id": job["id"],
        "firmware_id": firmware["id"],
        "file_id": str(uploaded),
    }


async def _what_is_shared(site: Site, owner: Person, friend: Person, point: str) -> dict[str, str]:
    grant = await owner.post(f"/charge-points/{point}/grants", {"email": friend.email})
    group = await owner.post("/groups", {"name": "Family"})
    await owner.post(f"/groups/{group['id']}/members", {"email": friend.email})
    home = {"name": "Home", "address": "Nerudova 12", "city": "Praha", "country": "CZE"}
    booking = await site.value(
        """insert into bookings (charge_point_id, connector_id, owner_id, user_id, id_tag, starts_at, ends_at)
           values ($1, 1, $2, $2, 'CARD1', now() + interval '1 day', now() + interval '25 hours') returning id""",
        point,
        owner.user_id,
    )
    heir = await site.person("heir")
    codes = (await owner.get(f"/charge-points/{point}/connector-codes"))["items"]
    await owner.post(f"/charge-points/{point}/connectors/1/code")
    return {
        "grant_id": grant["id"],
        "group_id": group["id"],
        "location_id": (await owner.post("/locations", home))["id"],
        "booking_id": str(booking),
        "handover_id": (await owner.post(f"/charge-points/{point}/handover", {"email": heir.email}))["id"],
        "code": codes[0]["code"],
        "window_id": (await owner.post(f"/charge-points/{point}/learning-windows", {}))["id"],
    }


async def _what_is_owed(site: Site, owner: Person) -> dict[str, str]:
    tariff = await owner.post("/tariffs", {"name": "Free"} | BODIES["post /api/v1/tariffs/{tariff_id}/versions"])
    account = await site.value(
        "insert into ledger_accounts (user_id, kind) values ($1, 'owner') returning id", owner.user_id
    )
    payout = await site.value(
        """insert into payouts (account_id, iban, holder_name, amount_minor, currency, created_by)
           values ($1, 'CZ6508000000192000145399', 'Jana', 1, 'CZK', $2) returning id""",
        account,
        owner.user_id,
    )
    movement = await site.value(
        """insert into bank_movements (bank_account, reference, booked_on, amount_minor, currency)
           values ('CZ6508000000192000145399', '1', '2026-05-04', 1, 'CZK') returning id"""
    )
    ids = {"account_id": account, "payout_id": payout, "movement_id": movement}
    return {"tariff_id": tariff["id"], **{name: str(value) for name, value in ids.items()}}


async def _what_is_posted(owner: Person) -> dict[str, str]:
    webhook = await owner.post("/webhooks", {"url": "https://home.example.org/"})
    delivery = await owner.post(f"/webhooks/{webhook['id']}/ping")
    return {"webhook_id": webhook["id"], "delivery_id": delivery["id"]}


async def test_every_route_that_names_a_resource_hides_it_from_others(
    site: Site, owner: Person, stranger: Person
) -> None:
    ids = await everything_of(site, owner)
    client = site.client(base="http://voltuj.test")
    asked = set()
    for path, methods in site.app.openapi()["paths"].items():
        names = re.findall(r"{(\w+)}", path)
        if not names:
            continue
        for method in methods:
            nothing = {name: "424242" if name in NUMBERED else str(uuid4()) for name in names}
            for values in (ids, nothing):
                answer = await client.request(
                    method,
                    path.format(**values),
                    params=QUERIES.get(f"{method} {path}"),
                    json=BODIES.get(f"{method} {path}", {"email": "friend@example.org"} if "grants" in path else {}),
                    headers={"Authorization": stranger.http.headers["Authorization"]},
                )
                assert answer.status_code == 404, f"{method} {path}: {answer.status_code} {answer.text}"
                assert answer.json()["type"] == "/problems/not-found"
                assert not [value for value in ids.values() if len(value) > 4 and value in answer.json()["detail"]]
            asked.add(f"{method} {path}")
    assert len(asked) >= 19
    assert set(BODIES) <= asked
    for parameter in (
        "charge-points",
        "transactions",
        "id-tags",
        "grants",
        "grants/received",
        "groups",
        "locations",
        "handovers",
        "tariffs",
        "bookings",
    ):
        items = (await stranger.get(f"/{parameter}"))["items"]
        assert [item for item in items if item["id"] in ids.values()] == []


async def test_the_lists_of_a_stranger_hold_nothing_of_the_owner(site: Site, owner: Person, stranger: Person) -> None:
    ids = await everything_of(site, owner)
    assert (await stranger.get("/transactions", charge_point_id=ids["charge_point_id"]))["items"] == []


async def test_nothing_was_changed_by_a_stranger(site: Site, owner: Person, stranger: Person) -> None:
    ids = await everything_of(site, owner)
    for path in (f"/charge-points/{ids['charge_point_id']}", f"/id-tags/{ids['id_tag_id']}"):
        await stranger.send("DELETE", path, 404)
    other = await stranger.charge_point()
    await stranger.send("DELETE", f"/charge-points/{other['id']}/grants/{ids['grant_id']}", 404)
    await owner.get(f"/charge-points/{ids['charge_point_id']}")
    assert await site.value("select revoked_at from grants") is None
    assert await site.value("select count(*) from id_tags where tag = 'CARD1'") == 1


async def test_a_path_that_is_no_id_is_named(owner: Person) -> None:
    answer = await owner.get("/charge-points/1", 422)
    assert answer["errors"][0]["field"] == "path.charge_point_id"
