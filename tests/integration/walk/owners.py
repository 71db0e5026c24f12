"""The part of the walk that owners do: prices, grants of all kinds, groups, hand-overs. The rest is in `test_walk`.

Each rule does a thing in the real town and says it to the model.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from api.errors import Conflict
from api.sharing.operations import Spot
from standalone.databases import DatabaseUrls
from tests.integration.settlement.books import NOW
from tests.integration.walk.model import Model
from tests.integration.walk.things import Box, Given, Tariff
from tests.integration.walk.town import BOOT, Town, tag_of, windows_of

SOON = timedelta(minutes=1)
places = st.integers(0, 11)
"""Of many, taken by its remainder: one person, wallbox, session, whatever there is."""
caps = st.none() | st.sampled_from([1, 5_000])
prices = st.sampled_from([0, 55_000, 33_333])
hours = st.lists(
    st.sampled_from([(time(8), time(16)), (time(22), time(6)), (time(14, 1), time(14, 30))]), max_size=1
)  # fmt: skip
Result = TypeVar("Result")


class Owners(RuleBasedStateMachine):
    """Three people, two wallboxes; anybody may come to own one, charge, and be granted something."""

    urls: DatabaseUrls

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = NOW
        self.model = Model()
        self.tariffs: list[Tariff] = []

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.loop.run_until_complete(work)

    def tick(self, minutes: int = 0) -> datetime:
        """No two things happen in the same second."""
        self.now += timedelta(seconds=1, minutes=minutes)
        return self.now

    def person(self, place: int) -> UUID:
        return list(self.model.people)[place % len(self.model.people)]

    def box(self, place: int) -> Box:
        return self.model.boxes[place % len(self.model.boxes)]

    def found(self) -> None:
        """Both wallboxes have a price, and let in who owns none."""
        self.run(self._found())
        for place in range(2):
            self.set_price(place, 55_000)
            self.grant(
                place=place, whom=2, audience="person", where="box", windows=[], max_energy=None, max_amount=None,
                max_sessions=None, by_month=False, priority=0, lasts=None, tariff=0,
            )  # fmt: skip

    async def _found(self) -> None:
        self.town = await Town.found(self.urls)
        for _ in range(3):
            person = await self.town.add_person()
            self.model.people[person] = tag_of(person)
        for place in range(2):
            self.model.boxes.append(await self.town.add_box(self.person(place), self.now))
            group = await self.town.add_group(self.person(place), self.now)
            self.model.members[group] = set()
            await self.town.send("BootNotification", self.box(place), BOOT, self.now)
            self.box(place).boots += 1

    def teardown(self) -> None:
        if hasattr(self, "town"):
            self.run(self.town.close())
        self.loop.close()

    # --- owners

    @rule(place=places, price_e4=prices)
    def set_price(self, place: int, price_e4: int) -> None:
        now, box = self.tick(), self.box(place)
        self.run(self.town.set_price(box, price_e4, now))
        box.set_price(price_e4, now)

    @rule(place=places, price_e4=prices, in_minutes=st.sampled_from([0, 0, 7, 90]), use=st.booleans())
    def make_tariff(self, place: int, price_e4: int, in_minutes: int, use: bool) -> None:
        now, box = self.tick(), self.box(place)
        begins = now + timedelta(minutes=in_minutes)
        made = self.run(self.town.add_tariff(box.owner, price_e4, now, begins))
        tariff = Tariff(box.owner, made, [(begins, price_e4)])
        self.tariffs.append(tariff)
        if use:
            self.run(self.town.assign(box, made, now))
            box.assigned.append((now, tariff))

    @rule(place=places)
    def end_price(self, place: int) -> None:
        now, box = self.tick(), self.box(place)
        self.run(self.town.assign(box, None, now))
        box.assigned.append((now, None))

    @rule(place=places, visibility=st.sampled_from(["private", "shared", "public", "public"]))
    def show(self, place: int, visibility: str) -> None:
        box = self.box(place)
        self.run(self.town.show(box, visibility))
        box.visibility = visibility

    @rule(
        place=places, whom=places, audience=st.sampled_from(["person", "person", "group", "public"]),
        where=st.sampled_from(["box", "box", "connector", "location"]), windows=hours, max_energy=caps,
        max_amount=caps, max_sessions=st.none() | st.just(1), by_month=st.booleans(), priority=st.integers(0, 1),
        lasts=st.sampled_from([None, None, 30, 3000]), tariff=places,
    )  # fmt: skip
    def grant(
        self, *, place: int, whom: int, audience: str, where: str, lasts: int | None, tariff: int, **terms: Any
    ) -> None:
        now, box = self.tick(), self.box(place)
        person = next(p for p in (self.person(whom), self.person(whom + 1)) if p != box.owner)
        group = list(self.model.members)[place % 2]
        is_for_location = where == "location" and box.location is not None
        if audience == "group" and self.group_owner(group) != box.owner:
            audience = "public"
        spot = Spot(box.owner, location_id=box.location) if is_for_location else Spot(
            box.owner, box.id, 1 if where == "connector" else None
        )  # fmt: skip
        named: dict[str, dict[str, Any]] = {
            "person": {"email": self.town.emails[person]},
            "group": {"group_id": group},
            "public": {},
        }
        ends = now + timedelta(minutes=lasts) if lasts else None
        columns = {
            "windows": windows_of(terms["windows"]), "max_energy_wh": terms["max_energy"],
            "max_amount_minor": terms["max_amount"], "currency": "CZK" if terms["max_amount"] else None,
            "max_sessions": terms["max_sessions"], "cap_period": "month" if terms["by_month"] else "validity",
            "priority": terms["priority"], "valid_until": ends,
        }  # fmt: skip
        row = self.run(self.town.grant(spot, named[audience], columns, now))
        given = Given(
            row.id, row.series_id, box.location if is_for_location and box.location else box.id, spot.connector_id,
            person if audience == "person" else None, group if audience == "group" else None,
            valid_from=now, valid_until=ends, is_for_location=is_for_location, **terms,
        )  # fmt: skip
        own = [each for each in self.tariffs if each.owner == box.owner]
        if own and tariff % 2:
            given.tariff = own[tariff % len(own)]
            assert given.tariff.id is not None
            self.run(self.town.price_grant(given, given.tariff.id))
        self.model.grants.append(given)

    def group_owner(self, group: UUID) -> UUID:
        return self.person(list(self.model.members).index(group))

    @rule(place=places, whom=places)
    def change_member(self, place: int, whom: int) -> None:
        now, group = self.tick(), list(self.model.members)[place % 2]
        owner, members = self.group_owner(group), self.model.members[group]
        person = next(p for p in (self.person(whom), self.person(whom + 1)) if p != owner)
        self.run(self.town.change_member(owner, group, person, joins=person not in members, now=now))
        members ^= {person}

    def standing(self) -> list[Given]:
        """Grants that can be changed."""
        return [
            grant for grant in self.model.grants
            if grant.revoked_at is None and (grant.valid_until is None or grant.valid_until > self.now + SOON)
        ]  # fmt: skip

    @precondition(lambda self: self.standing())
    @rule(place=places, max_energy=st.none() | st.just(20_000))
    def change_grant(self, place: int, max_energy: int | None) -> None:
        grant = self.standing()[place % len(self.standing())]
        now = self.tick()
        made = self.run(self.town.change(grant, {"max_energy_wh": max_energy}, now))
        grant.revoked_at = now
        self.model.grants.append(replace(grant, id=made, max_energy=max_energy, valid_from=now, revoked_at=None))

    @precondition(lambda self: self.model.grants)
    @rule(place=places)
    def revoke_grant(self, place: int) -> None:
        """Also one that is revoked, which changes nothing."""
        now, grant = self.tick(), self.model.grants[place % len(self.model.grants)]
        self.run(self.town.revoke(grant, now))
        grant.revoked_at = grant.revoked_at or now

    @rule(place=places, whom=places)
    def hand_over(self, place: int, whom: int) -> None:
        now, box = self.tick(), self.box(place)
        to = next(p for p in (self.person(whom), self.person(whom + 1)) if p != box.owner)
        offer = self.run(self.town.offer(box, to, now))
        if any(session.box is box and session.status == "active" for session in self.model.sessions):
            with pytest.raises(Conflict):
                self.run(self.town.accept(to, offer, now))
            self.run(self.town.withdraw(box, now))
            return
        self.run(self.town.accept(to, offer, now))
        for grant in self.model.grants:
            if grant.place == box.id:
                grant.revoked_at = grant.revoked_at or now
        box.hand_over(to, now)
