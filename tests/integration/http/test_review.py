"""The review list over HTTP: who decides sees what waits, why in words, and what usually helps."""

from datetime import timedelta

import pytest

from tests.integration.http.site import START, Person, Site


@pytest.fixture
async def box(owner: Person) -> str:
    return str((await owner.charge_point(name="Garáž"))["id"])


async def test_the_owner_reads_why_each_session_waits_in_words(site: Site, owner: Person, box: str) -> None:
    await site.transaction(box, number=1)
    first = await site.transaction(box, number=2, held_reasons=["energy_above_rated_power"], status="stopped",
                                   stopped_at=START + timedelta(hours=1), meter_stop_wh=9000, energy_wh=7000,
                                   currency="CZK", total_minor=4950)  # fmt: skip
    second = await site.transaction(box, number=3, held_reasons=["never_stopped", "refused"])
    third = await site.transaction(box, number=4, held_reasons=["never_stopped", "of_the_future"])
    items = (await owner.get("/held-sessions", lang="cs"))["items"]
    assert [item["transaction_id"] for item in items] == [third, second, first]
    assert [item["suggestion"] for item in items] == [None, "replay", "bill"]
    assert (items[2]["total"], items[2]["energy_wh"], items[2]["charge_point_name"]) == ("49.50", 7000, "Garáž")
    assert (items[2]["started_at"], items[2]["stopped_at"]) == ("2026-05-04T09:02:00Z", "2026-05-04T10:00:00Z")
    assert [each["text"] for each in items[0]["reasons"]] == [
        "Nikdy neskončilo: na jeho konektoru začalo další nabíjení.", "of_the_future",
    ]  # fmt: skip
    english = await owner.get("/held-sessions", limit=1)
    assert english["items"][0]["reasons"][0]["text"].startswith("It never ended")
    assert len((await owner.get("/held-sessions", cursor=english["next_cursor"]))["items"]) == 2


async def test_only_who_decides_sees_it(site: Site, owner: Person, stranger: Person, box: str) -> None:
    held = await site.transaction(box, held_reasons=["second_start"], driver_id=stranger.user_id)
    assert (await stranger.get("/held-sessions"))["items"] == [], "a driver does not decide"
    operator = await site.person("operator", operator=True)
    for person in (owner, operator):
        assert [item["transaction_id"] for item in (await person.get("/held-sessions"))["items"]] == [held]
