"""Mails about sharing: who gets which, what it says, how many, and that a word counts for a proven address only."""

import asyncio

from tests.integration.http.site import Person, Site
from tests.integration.http.test_accounts import log_in, registration
from tests.integration.http.test_registration import confirm, reset

PETR = "petr@example.org"


async def count(site: Site, kind: str) -> int:
    return int(await site.value("select count(*) from mails where kind = $1", kind))


class TestMails:
    async def test_an_unknown_address_is_invited(self, site: Site, owner: Person) -> None:
        await owner.send("PATCH", "/me", json={"display_name": "Jana, see http://evil.example/_x", "language": "cs"})
        box = await owner.charge_point(name="Garage www.evil.example")
        await owner.post("/grants", {"charge_point_id": box["id"], "email": PETR}, Idempotency_Key="one")
        await owner.post("/grants", {"charge_point_id": box["id"], "email": PETR}, Idempotency_Key="one")
        [mail] = await site.mails(PETR)
        assert (mail["kind"], mail["user_id"]) == ("invitation", None)
        assert mail["subject"] == "Voltuj: můžete nabíjet elektromobil", "in the language of who invites"
        assert "Jana see http evil example x vás chce" in mail["body"], "a name is no link"
        assert "Garage www evil example" in mail["body"]
        assert "https://jedlickaf.test/register" in mail["body"]

    async def test_somebody_known_is_told_in_their_language(self, site: Site, owner: Person, stranger: Person) -> None:
        await stranger.send("PATCH", "/me", json={"language": "cs"})
        box = await owner.charge_point()
        await owner.post(f"/charge-points/{box['id']}/grants", {"email": stranger.email})
        [mail] = await site.mails(stranger.email)
        assert (mail["kind"], mail["user_id"]) == ("grant", stranger.user_id)
        assert mail["subject"] == "Voltuj: můžete nabíjet na dalším místě"
        assert "owner vás nechá nabíjet" in mail["body"]

    async def test_groups_and_the_public_get_none(self, site: Site, owner: Person) -> None:
        box = await owner.charge_point()
        group = await owner.post("/groups", {"name": "Family"})
        await owner.post("/grants", {"charge_point_id": box["id"], "public": True})
        await owner.post("/grants", {"charge_point_id": box["id"], "group_id": group["id"]})
        assert await site.value("select count(*) from mails") == 0

    async def test_a_wallbox_is_offered(self, site: Site, owner: Person) -> None:
        box = await owner.charge_point()
        await owner.post(f"/charge-points/{box['id']}/handover", {"email": PETR})
        [mail] = await site.mails(PETR)
        assert mail["kind"] == "handover"
        assert "within 7 days" in mail["body"]

    async def test_a_refused_grant_writes_to_nobody(self, site: Site, owner: Person, stranger: Person) -> None:
        box = await owner.charge_point()
        over = {"valid_from": "2999-01-01T00:00:00Z", "valid_until": "2998-01-01T00:00:00Z"}
        await owner.post("/grants", {"charge_point_id": box["id"], "email": PETR, **over}, 422)
        await stranger.post("/grants", {"charge_point_id": box["id"], "email": PETR}, 404)
        assert await site.mails(PETR) == []


class TestLimits:
    """Nobody can have us write to somebody without end; the grants stand all the same."""

    async def test_one_a_day_from_one_person_to_one_address(self, site: Site, owner: Person) -> None:
        box = await owner.charge_point()
        for _ in range(3):
            await owner.post("/grants", {"charge_point_id": box["id"], "email": PETR})
        await owner.post(f"/charge-points/{box['id']}/handover", {"email": PETR})
        assert [mail["kind"] for mail in await site.mails(PETR)] == ["invitation", "handover"]
        assert len((await owner.get("/grants"))["items"]) == 3

    async def test_many_people_cannot_write_to_one_address(self, site: Site) -> None:
        for number in range(7):
            person = await site.person(f"inviter{number}")
            box = await person.charge_point()
            await person.post("/grants", {"charge_point_id": box["id"], "email": PETR})
        assert await count(site, "invitation") == 5

    async def test_one_person_cannot_write_to_many(self, site: Site, owner: Person) -> None:
        box = await owner.charge_point()
        for number in range(22):
            await owner.post("/grants", {"charge_point_id": box["id"], "email": f"p{number}@example.org"})
        assert await count(site, "invitation") == 20


class TestProof:
    """A grant and an offer are for who has proven the address."""

    async def test_registering_redeems_at_the_proof(self, strict_site: Site) -> None:
        owner = await strict_site.person()
        box = await owner.charge_point()
        await owner.post("/grants", {"charge_point_id": box["id"], "email": PETR})
        client = strict_site.client()
        await client.post("/auth/register", json=registration(email=PETR))
        assert await strict_site.value("select audience from grants") == "invitation"
        await confirm(client, await strict_site.mailed_code(PETR))
        assert await strict_site.value("select audience from grants") == "person"
        assert (await log_in(client, PETR)).status_code == 200

    async def test_a_new_address_brings_its_invitations(self, site: Site, owner: Person) -> None:
        box = await owner.charge_point()
        await owner.post("/grants", {"charge_point_id": box["id"], "email": PETR})
        client = site.client()
        made = (await client.post("/auth/register", json=registration(email="old@example.org"))).json()
        tokens = (await log_in(client, "old@example.org")).json()
        me = site.client(Authorization=f"Bearer {tokens['access_token']}")
        await me.post("/me/email", json={"email": PETR, "password": registration()["password"]})
        answer = await client.post("/auth/change-email", json={"token": await site.mailed_code(PETR)})
        assert answer.status_code == 204
        assert str(await site.value("select user_id from grants")) == made["id"]

    async def test_an_address_that_is_not_proven_gets_nothing_until_it_is(
        self, site: Site, owner: Person, stranger: Person
    ) -> None:
        await site.execute("update users set email_verified_at = null where id = $1", stranger.user_id)
        box = await owner.charge_point()
        offer = await owner.post(f"/charge-points/{box['id']}/handover", {"email": stranger.email})
        await owner.post("/grants", {"charge_point_id": box["id"], "email": stranger.email})
        assert (await stranger.get("/handovers"))["items"] == []
        await stranger.post(f"/handovers/{offer['id']}/accept", status=404)
        await stranger.get(f"/charge-points/{box['id']}", 404)
        client = site.client()
        await client.post("/auth/reset-request", json={"email": stranger.email})
        assert (await reset(client, await site.mailed_code(stranger.email))).status_code == 204
        assert await site.value("select user_id from grants") == stranger.user_id

    async def test_who_registers_while_being_invited_gets_the_grant(self, site: Site, owner: Person) -> None:
        box = await owner.charge_point()
        for number in range(4):
            email = f"both{number}@example.org"
            async with asyncio.TaskGroup() as both:
                both.create_task(owner.post("/grants", {"charge_point_id": box["id"], "email": email}))
                both.create_task(site.client().post("/auth/register", json=registration(email=email)))
        assert await site.value("select count(*) from users where email like 'both%'") == 4
        assert await site.value("select count(*) from grants where audience = 'person'") == 4
