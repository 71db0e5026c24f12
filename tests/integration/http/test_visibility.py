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
    "post /api/v1/charge-points/{charge_point_id}/security-profile": {"security_profile": 2},
    "put /api/v1/charge-points/{charge_point_id}/security-profile": {"security_profile": 2},
}
KNOCK = """insert into knocks (identity, remote_address, count, first_at, last_at)
    values ('NOBODY', '203.0.113.9', 1, now(), now()) returning id"""
NUMBERED = {"unprocessed_id", "knock_id", "reservation_id"}
"""Path parameters that are integers."""


async def everything_of(site: Site, owner: Person) -> dict[str, str]:
    """One of each resource, by the name of its path parameter."""
    created = await owner.charge_point()
    await site.accept(created["id"])
    transaction = await site.transaction(created["id"])
    await site.message(created["id"], b'[2,"a","Heartbeat",{}]')
    await site.unprocessed(created["id"], b"{}", "why")
    command = await owner.post(f"/charge-points/{created['id']}/start", {})
    friend = await site.person("friend")
    grant = await owner.post(f"/charge-points/{created['id']}/grants", {"email": friend.email})
    tag = await owner.post("/id-tags", {"tag": "CARD1"})
    batch = await owner.post(
        "/commands/batch", {"action": "ClearCache", "payload": {}, "charge_point_ids": [created["id"]]}
    )
    reservation = {"id_tag": "CARD1", "expires_at": "2999-01-01T00:00:00Z"}
    await owner.post(f"/charge-points/{created['id']}/reservations", reservation)
    await owner.post(f"/charge-points/{created['id']}/diagnostics", {})
    [job] = (await owner.get(f"/charge-points/{created['id']}/jobs"))["items"]
    firmware = await owner.send("POST", "/firmware?name=image", 201, content=b"image")
    uploaded = await site.value(
        """insert into files (owner_id, charge_point_id, kind, name, size_bytes, sha256)
           select owner_id, id, 'diagnostics', 'log', 1, '' from charge_points where id = $1 returning id""",
        created["id"],
    )
    account = await site.value(
        "insert into ledger_accounts (user_id, kind) values ($1, 'owner') returning id", owner.user_id
    )
    return {
        "batch_id": batch["id"],
        "reservation_id": "1",
        "job_id": job["id"],
        "firmware_id": firmware["id"],
        "file_id": str(uploaded),
        "charge_point_id": created["id"],
        "transaction_id": transaction,
        "command_id": command["id"],
        "grant_id": grant["id"],
        "id_tag_id": tag["id"],
        "unprocessed_id": str(await site.value("select id from unprocessed")),
        "knock_id": str(await site.value(KNOCK)),
        "account_id": str(account),
        "window_id": (await owner.post(f"/charge-points/{created['id']}/learning-windows", {}))["id"],
        "user_id": str(owner.user_id),
        "registration_id": str(uuid4()),
        "session_id": str(owner.session.session_id),
    }


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
                    json=BODIES.get(f"{method} {path}", {"email": "friend@example.org"} if "grants" in path else {}),
                    headers={"Authorization": stranger.http.headers["Authorization"]},
                )
                assert answer.status_code == 404, f"{method} {path}: {answer.status_code} {answer.text}"
                assert answer.json()["type"] == "/problems/not-found"
                assert not [value for value in ids.values() if len(value) > 4 and value in answer.json()["detail"]]
            asked.add(f"{method} {path}")
    assert len(asked) >= 19
    assert set(BODIES) <= asked
    for parameter in ("charge-points", "transactions", "id-tags"):
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
