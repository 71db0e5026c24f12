"""Who sees a charge point is one rule, whichever way round it is asked."""

import uuid
from datetime import UTC, datetime, timedelta

from api.sharing.access import viewers_of
from tests.integration.http.site import Person, Site


async def test_viewers_are_those_whose_list_has_the_charge_point(site: Site, owner: Person, stranger: Person) -> None:
    now = datetime.now(UTC)
    wallbox = uuid.UUID((await owner.charge_point())["id"])
    removed = uuid.UUID((await owner.charge_point())["id"])
    grants = {
        "standing": (now, None, None),
        "later": (now + timedelta(days=1), None, None),
        "limited": (now, now + timedelta(days=1), None),
        "over": (now - timedelta(days=2), now - timedelta(days=1), None),
        "revoked": (now, None, now),
    }
    people = {name: await site.person(name) for name in grants}
    for name, (valid_from, valid_until, revoked_at) in grants.items():
        for place in (wallbox, removed):
            await site.execute(
                """insert into grants (charge_point_id, user_id, valid_from, valid_until, revoked_at)
                   values ($1, $2, $3, $4, $5)""",
                place, people[name].user_id, valid_from, valid_until, revoked_at,
            )  # fmt: skip
    people["member"] = await site.person("member")
    group = await owner.post("/groups", {"name": "Neighbours"})
    await owner.post(f"/groups/{group['id']}/members", {"email": people["member"].email})
    await owner.post("/grants", {"charge_point_id": str(wallbox), "group_id": group["id"]})
    await owner.post("/grants", {"charge_point_id": str(wallbox), "public": True})
    await site.execute("update charge_points set deleted_at = now() where id = $1", removed)
    async with site.sql() as connection:
        viewers = await viewers_of(connection, [wallbox, removed, uuid.uuid4()], datetime.now(UTC))
    assert set(viewers) == {wallbox}
    seen = {viewers[wallbox].owner_id, *viewers[wallbox].guest_ids}
    for person in (owner, stranger, *people.values()):
        listed = [each["id"] for each in (await person.get("/charge-points"))["items"]]
        assert (person.user_id in seen) == (str(wallbox) in listed), person.email
    assert len(seen) == 5
