"""Bookings over HTTP: who may make one, that no two overlap, and how they are cancelled."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.integration.http.site import Person, Site

TYPE_2 = {"standard": "IEC_62196_T2", "format": "CABLE", "power_type": "AC_3_PHASE", "max_power_w": 22000}
HOUR = timedelta(hours=1)
NO_SHOW = {
    "currency": "CZK",
    "no_show_fee": "50.00",
    "elements": [{"price_components": [{"type": "ENERGY", "price": "5.50", "step_size": 1}]}],
}


def in_hours(hours: float) -> str:
    """A time to come."""
    return (datetime.now(UTC) + hours * HOUR).isoformat()


def wanted(starts: float | None, ends: float, **fields: Any) -> dict[str, Any]:
    """A body, times in hours from now."""
    begin = {} if starts is None else {"starts_at": in_hours(starts)}
    return {"connector_id": 1, **begin, "ends_at": in_hours(ends), **fields}


async def shared_box(owner: Person, *guests: Person) -> str:
    """The path of a wallbox with one connector, shared with these."""
    box = await owner.charge_point()
    path = f"/charge-points/{box['id']}"
    await owner.send("PUT", f"{path}/connectors/1/spec", json=TYPE_2)
    for guest in guests:
        await owner.post(f"{path}/grants", {"email": guest.email})
    return path


async def test_a_guest_keeps_a_connector_and_a_replay_finds_it(site: Site, owner: Person, stranger: Person) -> None:
    path = await shared_box(owner, stranger)
    body = wanted(1, 2)
    made = await stranger.post(f"{path}/bookings", body, Idempotency_Key="k1")
    assert await stranger.post(f"{path}/bookings", body, Idempotency_Key="k1") == made
    assert (made["status"], made["is_mine"], made["no_show_fee_minor"]) == ("standing", True, 0)
    assert await stranger.get(f"/bookings/{made['id']}") == made
    assert (await stranger.get("/bookings"))["items"] == [made]
    assert (await owner.get(f"{path}/bookings"))["items"] == [made | {"is_mine": False}]
    assert (await owner.get("/bookings"))["items"] == []
    await stranger.get(f"{path}/bookings", 403)
    again = await stranger.post(f"{path}/bookings", body, 409, Idempotency_Key="k2")
    assert again["type"] == "/problems/connector-reserved"
    told = await site.value(
        "select array_agg(type || ' ' || (data ->> 'status')) from events where type like 'booking%'"
    )
    assert told == ["booking.changed standing"]


async def test_of_many_at_once_one_has_it(site: Site, owner: Person) -> None:
    guests = [await site.person(f"guest{number}") for number in range(5)]
    path = await shared_box(owner, *guests)
    body = wanted(1, 2)
    answers = await asyncio.gather(*(guest.http.post(f"{path}/bookings", json=body) for guest in [*guests, owner]))
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 5]
    assert {each.json().get("type") for each in answers} == {None, "/problems/connector-reserved"}
    assert await site.value("select count(*) from bookings") == 1


async def test_the_database_itself_refuses_an_overlap(site: Site, owner: Person) -> None:
    box = (await owner.charge_point())["id"]
    insert = """insert into bookings (charge_point_id, connector_id, owner_id, user_id, id_tag, starts_at, ends_at,
        status, ended_at) values ($1, $2, $3, $3, 'T', $4, $5, $6, case when $6 <> 'standing' then now() end)"""
    at = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 02:30 for the first time

    async def add(starts: float, ends: float, connector: int = 1, status: str = "standing") -> None:
        values = (UUID(box), connector, owner.user_id, at + starts * HOUR, at + ends * HOUR, status)
        await site.execute(insert, *values)

    await add(0, 1)
    for number, edges in enumerate(((0, 1), (0.9, 2), (-1, 0.1), (0.2, 0.3), (-1, 2)), 2):
        with pytest.raises(asyncpg.ExclusionViolationError):
            await add(*edges)
        await add(*edges, status="cancelled")
        await add(*edges, connector=number)
    await add(1, 2)
    await add(-1, 0)


async def test_edges_touch_and_do_not_overlap(owner: Person, stranger: Person) -> None:
    path = await shared_box(owner, stranger)
    now = datetime.now(UTC).replace(microsecond=0)
    one, two, three = ((now + hours * HOUR).isoformat() for hours in (1, 2, 3))
    await stranger.post(f"{path}/bookings", {"connector_id": 1, "starts_at": one, "ends_at": two})
    await owner.post(f"{path}/bookings", {"connector_id": 1, "starts_at": two, "ends_at": three})
    just_before = (now + 2 * HOUR - timedelta(seconds=1)).isoformat()
    await owner.post(f"{path}/bookings", {"connector_id": 1, "starts_at": just_before, "ends_at": three}, 409)


async def test_times_and_connectors_that_cannot_be(owner: Person, stranger: Person) -> None:
    path = await shared_box(owner, stranger)
    for body, field in (
        (wanted(-1, 1), "body.starts_at"),
        (wanted(15 * 24, 15 * 24 + 1), "body.starts_at"),
        (wanted(1, 5.1), "body.ends_at"),
        (wanted(1, 1.05), "body.ends_at"),
        (wanted(2, 1), "body.ends_at"),
        (wanted(1, 2, connector_id=2), "body.connector_id"),
        (wanted(1, 2, id_tag="NOTMINE"), "body.id_tag"),
    ):
        problem = await stranger.post(f"{path}/bookings", body, 422)
        assert [error["field"] for error in problem["errors"]] == [field], body


async def test_only_who_may_charge_through_all_of_it(owner: Person, stranger: Person) -> None:
    path = await shared_box(owner)
    await stranger.post(f"{path}/bookings", wanted(1, 2), 404)
    terms = {"charge_point_id": path.rpartition("/")[2], "email": stranger.email, "valid_until": in_hours(2)}
    await owner.post("/grants", terms)
    refused = await stranger.post(f"{path}/bookings", wanted(1, 3), 403)
    assert (refused["type"], refused["code"]) == ("/problems/charging-refused", "not_throughout")
    assert (await stranger.post(f"{path}/bookings", wanted(3, 4), 403))["code"] == "grant_ended"
    await stranger.post(f"{path}/bookings", wanted(1, 1.9))


async def test_while_somebody_charges_it_is_kept_for_later_only(site: Site, owner: Person, stranger: Person) -> None:
    path = await shared_box(owner, stranger)
    session = await site.transaction(path.rpartition("/")[2], driver_id=owner.user_id)
    assert "not free now" in (await stranger.post(f"{path}/bookings", wanted(None, 1), 409))["detail"]
    await stranger.post(f"{path}/bookings", wanted(2, 3))
    await owner.post(f"{path}/bookings", wanted(None, 1))
    await site.execute("update transactions set status = 'stopped' where public_id = $1", UUID(session))
    await site.execute("update bookings set status = 'cancelled', ended_at = now()")
    await stranger.post(f"{path}/bookings", wanted(None, 1))


async def test_holder_and_owner_cancel_and_nobody_else(site: Site, owner: Person, stranger: Person) -> None:
    path = await shared_box(owner, stranger)
    other = await site.person("other")
    await owner.post(f"{path}/grants", {"email": other.email})
    for canceller in (stranger, owner):
        made = await stranger.post(f"{path}/bookings", wanted(1, 2))
        await other.post(f"/bookings/{made['id']}/cancel", None, 404)
        ended = await canceller.post(f"/bookings/{made['id']}/cancel", None, 200)
        assert (ended["status"], ended["is_no_show"]) == ("cancelled", False)
        await canceller.post(f"/bookings/{made['id']}/cancel", None, 409)


async def test_a_no_show_fee_is_frozen_and_must_be_covered(site: Site, owner: Person, stranger: Person) -> None:
    path = await shared_box(owner, stranger)
    tariff = await owner.post("/tariffs", {"name": "Fees", **NO_SHOW})
    await owner.send("PUT", f"{path}/tariff", json={"tariff_id": tariff["id"]})
    assert (await stranger.post(f"{path}/bookings", wanted(1, 2), 402))["missing_minor"] == 5000
    operator = await site.person("operator", operator=True)
    limit = {"currency": "CZK", "limit_minor": 6000, "note": "a friend"}
    await operator.send("PUT", f"/operator/users/{stranger.user_id}/credit-limit", json=limit)
    made = await stranger.post(f"{path}/bookings", wanted(1, 2))
    assert (made["no_show_fee_minor"], made["no_show_fee"], made["currency"]) == (5000, "50.00", "CZK")
    await owner.send("PUT", f"{path}/tariff", json={"tariff_id": None})
    assert (await stranger.get(f"/bookings/{made['id']}"))["no_show_fee_minor"] == 5000
    own = await owner.post(f"{path}/bookings", wanted(3, 4))
    assert own["no_show_fee_minor"] == 0


@pytest.mark.parametrize(("canceller", "is_connected", "owes"), [(1, True, True), (0, True, False), (1, False, False)])
async def test_who_cancels_too_late_owes_the_fee(
    site: Site, owner: Person, stranger: Person, canceller: int, *, is_connected: bool, owes: bool
) -> None:
    path = await shared_box(owner, stranger)
    made = await stranger.post(f"{path}/bookings", wanted(1, 2))
    await site.execute(
        """update bookings set no_show_fee_minor = 100, currency = 'CZK',
           starts_at = now() - interval '11 minutes', ends_at = now() + interval '1 hour'"""
    )
    if is_connected:
        await site.execute("update charge_points set connected_at = now()")
    ended = await (owner, stranger)[canceller].post(f"/bookings/{made['id']}/cancel", None, 200)
    assert ended["is_no_show"] is owes


async def test_a_hand_over_ends_what_was_reserved(site: Site, owner: Person, stranger: Person) -> None:
    guest = await site.person("guest")
    path = await shared_box(owner, guest)
    made = await guest.post(f"{path}/bookings", wanted(1, 2))
    offer = await owner.post(f"{path}/handover", {"email": stranger.email})
    await stranger.post(f"/handovers/{offer['id']}/accept")
    assert (await guest.get(f"/bookings/{made['id']}"))["status"] == "withdrawn"
    assert (await stranger.get(f"{path}/bookings"))["items"] == [], "what was under the old owner is the old owner's"


async def test_nobody_keeps_everything(site: Site, owner: Person, stranger: Person) -> None:
    path = await shared_box(owner, stranger)
    for number in range(10):
        await stranger.post(f"{path}/bookings", wanted(number + 1, number + 1.5))
    assert "Cancel one first" in (await stranger.post(f"{path}/bookings", wanted(20, 21), 409))["detail"]
