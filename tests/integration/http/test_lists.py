"""Paging is complete and stable under inserts, and creating POSTs are idempotent by key."""

import asyncio
from datetime import timedelta
from typing import Any

from tests.harness.stack import eventually
from tests.integration.http.gateway import Gateway
from tests.integration.http.site import START, Person, Site


async def read_all(person: Person, path: str, limit: int, between: Any = None) -> list[str]:
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = await person.get(path, limit=limit, **({"cursor": cursor} if cursor else {}))
        assert len(page["items"]) <= limit
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return seen
        if between is not None:
            await between()


async def test_pages_are_complete_and_stable_while_rows_are_added(owner: Person) -> None:
    made = [(await owner.charge_point())["id"] for _ in range(7)]
    made.reverse()
    for limit in (1, 2, 3, 7, 200):
        assert await read_all(owner, "/charge-points", limit) == made
    assert await read_all(owner, "/charge-points", 2, owner.charge_point) == made
    assert len(await read_all(owner, "/charge-points", 3)) == 10


async def test_rows_of_the_same_moment_are_all_seen(site: Site, owner: Person) -> None:
    created = await owner.charge_point()
    ids = {await site.transaction(created["id"], number=n, started_at=START) for n in range(5)}
    seen = await read_all(owner, "/transactions", 2)
    assert len(seen) == 5
    assert set(seen) == ids


async def test_own_sessions_and_those_elsewhere_are_one_list(site: Site, owner: Person, stranger: Person) -> None:
    mine, theirs = await owner.charge_point(), await stranger.charge_point()
    expected: list[str] = []
    for number in range(9):
        place, driver = ((mine, None), (mine, owner), (theirs, owner))[number % 3]
        started = {"driver_id": driver.user_id if driver else None, "started_at": START + timedelta(hours=number)}
        expected.insert(0, await site.transaction(place["id"], number=number, **started))
    await site.transaction(theirs["id"], number=9, driver_id=stranger.user_id, started_at=START)
    for limit in (1, 2, 4, 9, 200):
        assert await read_all(owner, "/transactions", limit) == expected


async def test_every_list_pages(site: Site, owner: Person, stranger: Person) -> None:
    created = await owner.charge_point()
    path = f"/charge-points/{created['id']}"
    for number in range(3):
        await owner.post("/id-tags", {"tag": f"CARD{number}"})
        await owner.post(f"{path}/grants", {"email": stranger.email})
        await owner.post(f"{path}/start", {})
        await site.message(created["id"], b"[]")
        await site.unprocessed(created["id"], b"%d" % number, "why")
    for each in ("/id-tags", f"{path}/grants", f"{path}/commands", f"{path}/messages", f"{path}/unprocessed"):
        first = await owner.get(each, limit=2)
        rest = await owner.get(each, limit=2, cursor=first["next_cursor"])
        assert len(first["items"]) == 2, each
        assert rest["items"], each
        assert not [item for item in rest["items"] if item in first["items"] and "id" in item], each


async def test_wrong_limits_and_cursors_are_named(owner: Person) -> None:
    tags = await owner.get("/id-tags", limit=1)
    wrong: list[dict[str, Any]] = [
        {"limit": 0},
        {"limit": 201},
        {"limit": "x"},
        {"cursor": "x"},
        {"cursor": "W10"},
        {"cursor": "x" * 600},
        {"cursor": "\x00"},
    ]
    for parameters in wrong:
        answer = await owner.get("/charge-points", 422, **parameters)
        assert answer["errors"][0]["field"] == f"query.{next(iter(parameters))}"
    assert tags["next_cursor"] is None


# --- Idempotency-Key ------------------------------------------------------------------------------------------------


async def test_the_same_request_makes_one_charge_point_and_the_key_is_not_kept(site: Site, owner: Person) -> None:
    body = {"name": "Garage", "price_per_kwh": "5.50"}
    first = await owner.post("/charge-points", body, Idempotency_Key="a")
    second = await owner.post("/charge-points", body, Idempotency_Key="a")
    assert second == {**first, "key": None, "note": second["note"]}
    assert "Make a new one" in second["note"]
    assert await site.value("select count(*) from charge_points") == 1
    kept = await site.value("select response_body::text from idempotency_keys")
    assert first["key"] not in kept


async def test_another_request_with_the_same_key_is_refused(owner: Person, stranger: Person) -> None:
    await owner.post("/charge-points", {"name": "Garage"}, Idempotency_Key="a")
    refused = await owner.post("/charge-points", {"name": "Yard"}, 422, Idempotency_Key="a")
    assert refused["type"] == "/problems/idempotency-key-reused"
    await owner.post("/id-tags", {}, 422, Idempotency_Key="a")
    await stranger.post("/charge-points", {"name": "Mine"}, Idempotency_Key="a")


async def test_a_request_that_failed_may_be_sent_again(owner: Person) -> None:
    await owner.charge_point(identity="BOX1")
    body = {"name": "Garage", "identity": "BOX1"}
    await owner.post("/charge-points", body, 409, Idempotency_Key="a")
    [item] = (await owner.get("/charge-points"))["items"]
    await owner.send("DELETE", f"/charge-points/{item['id']}", 204)
    await owner.post("/charge-points", body, Idempotency_Key="a")


async def test_at_once_one_is_made(site: Site, owner: Person) -> None:
    headers = {"Idempotency-Key": "a"}
    answers = await asyncio.gather(
        *(owner.http.post("/charge-points", json={"name": "Garage"}, headers=headers) for _ in range(8))
    )
    assert {answer.status_code for answer in answers} <= {201, 409}
    keys = [answer.json()["key"] for answer in answers if answer.status_code == 201]
    assert len([key for key in keys if key]) == 1
    assert {a.json()["type"] for a in answers if a.status_code == 409} <= {"/problems/in-progress"}
    assert await site.value("select count(*) from charge_points") == 1


async def test_while_the_first_is_being_worked_on_the_second_is_told_so(site: Site, owner: Person) -> None:
    async with site.sql() as connection, connection.transaction():
        await connection.execute("lock table charge_points in exclusive mode")
        first = asyncio.create_task(owner.post("/charge-points", {"name": "Garage"}, Idempotency_Key="a"))

        async def first_waits() -> bool:
            return bool(await connection.fetchval("select count(*) from pg_locks where not granted"))

        await eventually(first_waits, "the first request to stand at the lock")
        answer = await owner.http.post("/charge-points", json={"name": "Garage"}, headers={"Idempotency-Key": "a"})
        assert answer.status_code == 409
        assert answer.headers["retry-after"] == "1"
        assert answer.json()["type"] == "/problems/in-progress"
    assert (await first)["key"]


async def test_a_key_is_forgotten_after_a_day(site: Site, owner: Person) -> None:
    await owner.post("/charge-points", {"name": "Garage"}, Idempotency_Key="a")
    await site.execute("update idempotency_keys set created_at = now() - interval '25 hours'")
    await owner.post("/charge-points", {"name": "Yard"}, Idempotency_Key="a")
    assert await site.value("select count(*) from charge_points") == 2


async def test_every_creating_post_keeps_its_promise(
    site: Site, owner: Person, stranger: Person, gateway: Gateway
) -> None:
    created = await owner.charge_point()
    path = f"/charge-points/{created['id']}"
    requests: list[tuple[str, dict[str, Any]]] = [
        ("/id-tags", {"tag": "CARD1"}),
        (f"{path}/grants", {"email": stranger.email}),
        ("/grants", {"charge_point_id": created["id"], "email": stranger.email}),
        ("/groups", {"name": "Family"}),
        ("/locations", {"name": "Home", "address": "Nerudova 12", "city": "Praha", "country": "CZE"}),
        (f"{path}/handover", {"email": stranger.email}),
        (f"{path}/start", {}),
        (f"{path}/commands", {"action": "RemoteStopTransaction", "payload": {"transactionId": 1}}),
    ]
    for number, (target, body) in enumerate(requests):
        twice = [await owner.post(target, body, Idempotency_Key=f"k{number}") for _ in range(2)]
        assert twice[0] == twice[1], target
    renewed = [await owner.post(f"{path}/key", Idempotency_Key="k") for _ in range(2)]
    assert renewed[0]["key"]
    assert renewed[1] == {**renewed[0], "key": None, "note": renewed[1]["note"]}
    assert (await gateway.next_change()).close
    assert gateway.changes.empty()


async def test_a_wrong_key_is_named(owner: Person) -> None:
    for wrong in ("", "x" * 256, "with space"):
        answer = await owner.post("/charge-points", {"name": "Garage"}, 422, Idempotency_Key=wrong)
        assert answer["errors"][0]["field"] == "header.idempotency-key"
