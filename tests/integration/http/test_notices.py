"""Notices by mail: what is told to whom, once, seldom, and only to who wants it."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from api.events.numbering import number_next
from api.mail.notices import NOTICES
from tests.integration.http.site import Person, Site
from tests.integration.http.test_payments import symbol, take

SECURITY = """insert into security_events (charge_point_id, type, at, tech_info, is_critical, received_at)
    values ($1, 'InvalidFirmwareSignature', clock_timestamp(), '', $2, now())"""


async def number(site: Site) -> None:
    """What a listener does with events."""
    async with site.sql() as connection, connection.transaction():
        await number_next(connection, datetime.now(UTC))


async def told(site: Site, person: Person) -> list[str]:
    await number(site)
    return [mail["kind"] for mail in await site.mails(person.email)]


async def report(site: Site, box: dict[str, Any], *, critical: bool = True) -> None:
    await site.execute(SECURITY, UUID(box["id"]), critical)


class TestSecurityEvents:
    async def test_critical_ones_are_told_to_the_owner(self, site: Site, owner: Person) -> None:
        box = await owner.charge_point(name="Garage")
        await report(site, box, critical=False)
        assert await told(site, owner) == []
        await report(site, box)
        assert await told(site, owner) == ["security"]
        [mail] = await site.mails(owner.email)
        assert "your wallbox Garage reported" in mail["body"]

    async def test_one_an_hour_of_each_wallbox(self, site: Site, owner: Person) -> None:
        first, second = await owner.charge_point(), await owner.charge_point()
        for box in (first, first, second):
            await report(site, box)
        assert await told(site, owner) == ["security", "security"]
        await site.execute("update mails set created_at = now() - interval '61 minutes'")
        await report(site, first)
        assert len(await told(site, owner)) == 3

    async def test_two_listeners_tell_once(self, site: Site, owner: Person) -> None:
        box = await owner.charge_point()
        await report(site, box)
        await asyncio.gather(*(number(site) for _ in range(4)))
        assert await told(site, owner) == ["security"]


class TestSessions:
    async def test_a_held_one_is_told_to_the_owner_and_a_receipt_to_who_wants_it(
        self, site: Site, owner: Person, stranger: Person
    ) -> None:
        box = await owner.charge_point()
        await site.transaction(box["id"], driver_id=stranger.user_id, held_reasons=["energy_above_rated_power"])
        assert await told(site, owner) == ["held"]
        await site.execute("update transactions set settled_at = now(), status = 'stopped'")
        assert await told(site, stranger) == [], "nobody asked for it"
        await stranger.send("PATCH", "/me", json={"mail_notices": ["receipt"]})
        await site.transaction(box["id"], number=2, driver_id=stranger.user_id, started_at=datetime.now(UTC))
        await site.execute("update transactions set settled_at = now(), status = 'stopped' where settled_at is null")
        assert await told(site, stranger) == ["receipt"]


class TestMoney:
    async def test_a_payment_that_arrived_is_told_to_who_paid(self, site: Site, owner: Person) -> None:
        operator = await site.person("operator", operator=True)
        await take(operator, f"1,2026-05-04,500.00,CZK,{await symbol(owner)},\n2,2026-05-04,7.00,CZK,,\n")
        [mail] = await site.mails(owner.email)
        assert mail["kind"] == "top_up"
        assert "500.00 CZK arrived" in mail["body"]
        waiting = (await operator.get("/operator/bank-movements", open=True))["items"]
        meaning = {"meaning": "person", "email": owner.email, "note": "why"}
        await operator.post(f"/operator/bank-movements/{waiting[0]['id']}/decisions", meaning)
        assert ["7.00 CZK" in mail["body"] for mail in await site.mails(owner.email)] == [False, True]

    async def test_a_payout_is_told(self, site: Site, owner: Person) -> None:
        operator = await site.person("operator", operator=True)
        await take(operator, "1,2026-05-04,55.00,CZK,,\n")
        [movement] = (await operator.get("/operator/bank-movements"))["items"]
        meaning = {"meaning": "person", "email": owner.email, "account": "owner", "note": "why"}
        await operator.post(f"/operator/bank-movements/{movement['id']}/decisions", meaning)
        iban = {"iban": "CZ6508000000192000145399", "holder_name": "Jana"}
        await owner.send("PUT", "/payout-account", json=iban)
        run = {"currency": "CZK", "least_minor": 1}
        [payout] = (await operator.post("/operator/payout-runs", run))["items"]
        await operator.post(f"/payouts/{payout['id']}/confirm")
        assert [mail["kind"] for mail in await site.mails(owner.email)] == ["payout"]


class TestSetting:
    async def test_what_is_switched_off_is_not_mailed(self, site: Site, owner: Person, stranger: Person) -> None:
        assert (await owner.get("/me"))["mail_notices"] == [kind for kind in NOTICES if kind != "receipt"]
        for person in (owner, stranger):
            await person.send("PATCH", "/me", json={"mail_notices": []})
        box = await owner.charge_point()
        await report(site, box)
        await owner.post("/grants", {"charge_point_id": box["id"], "email": stranger.email})
        assert (await told(site, owner), await told(site, stranger)) == ([], [])
        await owner.send("PATCH", "/me", 422, json={"mail_notices": ["weather"]})

    async def test_an_address_that_is_not_proven_gets_none(self, site: Site, owner: Person) -> None:
        await site.execute("update users set email_verified_at = null")
        await report(site, await owner.charge_point())
        assert await told(site, owner) == []
