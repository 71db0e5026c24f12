"""Cards that are learned by holding them to the wallbox, and how many sessions a tag may run at a time."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from api.database import make_pool
from api.sharing.ocpp import authorize_call
from api.transactions.start import start
from tests.integration.http.site import Person, Site
from tests.integration.listener.gateway import call, iso


class Wallbox:
    """The listener's handlers, as the wallbox reaches them."""

    def __init__(self, pool: asyncpg.Pool, charge_point_id: str) -> None:
        self.pool = pool
        self.id = charge_point_id

    async def authorize(self, id_tag: str) -> str:
        async with self.pool.acquire() as connection, connection.transaction():
            message = call(self.id, "Authorize", {"idTag": id_tag})
            answer = await authorize_call(connection, message, datetime.now(UTC))
        return str(orjson.loads(answer.payload)["idTagInfo"]["status"])

    async def start(self, id_tag: str, connector: int = 1, age_s: int = 0) -> str:
        at = datetime.now(UTC) + timedelta(seconds=1 - age_s)
        request = {"connectorId": connector, "idTag": id_tag, "meterStart": age_s, "timestamp": iso(at)}
        async with self.pool.acquire() as connection, connection.transaction():
            answer = await start(connection, call(self.id, "StartTransaction", request), datetime.now(UTC))
        return str(orjson.loads(answer.payload)["idTagInfo"]["status"])


@pytest.fixture
async def wallbox(site: Site, owner: Person) -> AsyncIterator[Wallbox]:
    """The owner's, accepted."""
    made = await owner.charge_point()
    await site.accept(made["id"])
    pool = await make_pool(site.settings)
    yield Wallbox(pool, made["id"])
    await pool.close()


def windows(wallbox: Wallbox) -> str:
    return f"/charge-points/{wallbox.id}/learning-windows"


async def open_window(person: Person, wallbox: Wallbox, **body: Any) -> str:
    opened = await person.post(windows(wallbox), body)
    assert (opened["status"], opened["tag"]) == ("open", None)
    return f"{windows(wallbox)}/{opened['id']}"


async def cards(person: Person) -> list[str]:
    return [each["tag"] for each in (await person.get("/id-tags"))["items"] if each["kind"] == "card"]


class TestLearning:
    async def test_the_next_unknown_card_is_the_owners_and_charges_at_once(
        self, owner: Person, wallbox: Wallbox
    ) -> None:
        assert await wallbox.authorize("04a2b3") == "Invalid"
        window = await open_window(owner, wallbox, label="Key ring")
        assert await wallbox.authorize("04a2b3") == "Accepted"
        read = await owner.get(window)
        assert (read["status"], read["tag"]) == ("learned", "04A2B3")
        [tag] = [each for each in (await owner.get("/id-tags"))["items"] if each["id"] == read["id_tag_id"]]
        assert (tag["kind"], tag["label"], tag["concurrency_limit"]) == ("card", "Key ring", 1)
        assert await wallbox.authorize("0000FF") == "Invalid", "one card a window"
        assert await wallbox.start("04A2B3") == "Accepted"
        await owner.send("DELETE", f"/id-tags/{read['id_tag_id']}", 204)
        assert (await owner.get(window))["tag"] is None

    async def test_a_start_without_authorize_learns_too(self, owner: Person, wallbox: Wallbox) -> None:
        await open_window(owner, wallbox)
        assert await wallbox.start("CARD7") == "Accepted"
        assert await cards(owner) == ["CARD7"]

    async def test_a_start_that_was_queued_from_before_the_window_is_nobodys(
        self, owner: Person, wallbox: Wallbox
    ) -> None:
        await open_window(owner, wallbox)
        assert await wallbox.start("STRANGER", age_s=600) == "Invalid"
        assert await cards(owner) == []

    async def test_a_card_of_somebody_else_is_never_learned_nor_one_above_theirs(
        self, owner: Person, stranger: Person, wallbox: Wallbox
    ) -> None:
        await stranger.post("/id-tags", {"tag": "THEIRS", "parent_tag": "THEIRPARENT"})
        window = await open_window(owner, wallbox)
        assert await wallbox.authorize("theirs") == "Invalid"
        assert await wallbox.authorize("THEIRPARENT") == "Invalid"
        assert (await owner.get(window))["status"] == "open"
        assert await wallbox.authorize("MINE") == "Accepted"
        assert await cards(stranger) == ["THEIRS"]

    async def test_an_expired_or_closed_window_learns_nothing(
        self, site: Site, owner: Person, wallbox: Wallbox
    ) -> None:
        window = await open_window(owner, wallbox)
        await site.execute("update learning_windows set expires_at = now()")
        assert await wallbox.authorize("CARD1") == "Invalid"
        assert (await owner.get(window))["status"] == "closed"
        window = await open_window(owner, wallbox)
        await owner.send("DELETE", window, 204)
        assert await wallbox.authorize("CARD1") == "Invalid"

    async def test_of_two_cards_at_once_one_is_learned(self, owner: Person, wallbox: Wallbox) -> None:
        await open_window(owner, wallbox)
        answers = await asyncio.gather(*(wallbox.authorize(f"CARD{number}") for number in range(4)))
        assert sorted(answers) == ["Accepted", "Invalid", "Invalid", "Invalid"]
        assert len(await cards(owner)) == 1

    async def test_a_guest_learns_a_card_too_and_windows_do_not_overlap(
        self, site: Site, owner: Person, stranger: Person, wallbox: Wallbox
    ) -> None:
        await stranger.post(windows(wallbox), {}, 404)
        await owner.post(f"/charge-points/{wallbox.id}/grants", {"email": stranger.email})
        first = await open_window(stranger, wallbox)
        second = await open_window(stranger, wallbox)
        assert (await stranger.get(first))["status"] == "closed"
        await owner.post(windows(wallbox), {}, 409)
        await owner.get(second, 404)
        answers = await asyncio.gather(*(stranger.http.post(windows(wallbox), json={}) for _ in range(4)))
        assert {answer.status_code for answer in answers} == {201}
        assert await wallbox.authorize("GUESTCARD") == "Accepted"
        assert await cards(stranger) == ["GUESTCARD"]
        operator = await site.person("operator", operator=True)
        await operator.post(windows(wallbox), {}, 403)

    @pytest.mark.parametrize("tag", ["", "with space", "ÄÖÜ", "x" * 21])
    async def test_what_is_no_id_tag_is_not_learned(self, owner: Person, wallbox: Wallbox, tag: str) -> None:
        await open_window(owner, wallbox)
        assert await wallbox.authorize(tag) == "Invalid"
        assert await cards(owner) == []


class TestConcurrencyLimit:
    async def test_a_tag_runs_as_many_sessions_as_it_may(self, owner: Person, wallbox: Wallbox) -> None:
        made = await owner.post("/id-tags", {"tag": "FLEET", "concurrency_limit": 2})
        assert [await wallbox.start("FLEET", n) for n in (1, 2, 3)] == ["Accepted", "Accepted", "ConcurrentTx"]
        await owner.send("PATCH", f"/id-tags/{made['id']}", json={"concurrency_limit": 4})
        assert await wallbox.start("FLEET", 4) == "Accepted"
        for wrong in (0, 101):
            await owner.send("PATCH", f"/id-tags/{made['id']}", 422, json={"concurrency_limit": wrong})
