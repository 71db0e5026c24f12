"""What must be so, whatever owners, guests, wallboxes and the bank do: plain Python, as slow and obvious as it can be.

It knows nothing of SQL, locks, revisions, postings or snapshots. The real side is `town`.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from tests.integration.walk.things import (
    Box,
    Given,
    Session,
    Wish,
    doubts,
    fee_of,
    in_force,
    is_plausible,
    is_within,
    price_of,
)

ZONE = ZoneInfo("Europe/Prague")
LATE = timedelta(minutes=10)
START_WINDOW = timedelta(minutes=15)
FORGOTTEN = timedelta(hours=1)
REFUSALS = ("Invalid", "Invalid", "Invalid", "Invalid", "Invalid", "Blocked", "Blocked", "ConcurrentTx", "Accepted")
"""What a wallbox is told, by how near to a yes the nearest grant comes."""


@dataclass
class Model:
    """The whole town."""

    people: dict[UUID, str] = field(default_factory=dict)
    """By person, the id tag."""
    boxes: list[Box] = field(default_factory=list)
    members: dict[UUID, set[UUID]] = field(default_factory=dict)
    grants: list[Given] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    wishes: list[Wish] = field(default_factory=list)
    topped_up: Counter[UUID] = field(default_factory=Counter)

    # --- who may charge

    def person_of(self, tag: str) -> UUID | None:
        """Whose tag it is."""
        return next((person for person, own in self.people.items() if own == tag), None)

    def may(self, tag: str, box: Box, connector: int | None, at: datetime) -> tuple[str, Given | None]:
        """What a wallbox is told, and the grant that decides; without a connector it is Authorize."""
        person = self.person_of(tag)
        if person is None:
            return "Invalid", None
        grant = None
        if person != box.owner:
            if box.visibility == "private":
                return "Invalid", None
            asked = [
                (self._nearness(grant, person, box, connector, at), grant) for grant in self._concerning(person, box)
            ]
            yes = sorted((grant for nearness, grant in asked if nearness == 8), key=lambda grant: grant.rank)
            if not yes:
                return REFUSALS[max((nearness for nearness, _ in asked), default=0)], None
            grant = yes[0]
        elsewhere = any(s.tag == tag and s.status == "active" and (s.box, s.connector) != (box, connector)
                        for s in self.sessions)  # fmt: skip
        return ("ConcurrentTx", None) if connector is not None and elsewhere else ("Accepted", grant)

    def _concerning(self, person: UUID, box: Box) -> Iterator[Given]:
        for grant in self.grants:
            if grant.person is not None:
                is_for = grant.person == person
            elif grant.group is not None:
                is_for = person in self.members[grant.group]
            else:
                is_for = box.visibility == "public"
            if is_for and grant.place in {box.id, box.location}:
                yield grant

    def _nearness(self, grant: Given, person: UUID, box: Box, connector: int | None, at: datetime) -> int:
        """The place of the first question that it fails."""
        taken = [s for s in self.sessions if s.grant and s.grant.series == grant.series and s.driver == person]
        local = at.astimezone(ZONE)
        first = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        counted = [s for s in taken if not grant.by_month or s.started_at >= first]
        energy = sum(s.energy or 0 for s in counted)
        amount = sum(s.total or 0 for s in counted)
        running = sum(s.status == "active" and (s.box, s.connector) != (box, connector) for s in taken)
        questions = [
            grant.connector is None or connector is None or grant.connector == connector,
            grant.revoked_at is None or at < grant.revoked_at,
            grant.valid_until is None or at < grant.valid_until,
            grant.valid_from <= at,
            not grant.windows or any(is_within(local.time(), *window) for window in grant.windows),
            grant.max_energy is None or energy < grant.max_energy,
            grant.max_amount is None or amount < grant.max_amount,
            connector is None or grant.max_sessions is None or running < grant.max_sessions,
        ]
        return [*questions, False].index(False)

    def price(self, box: Box, grant: Given | None, at: datetime, late: timedelta = timedelta(0)) -> int | None:
        """That of the grant goes before that of the wallbox."""
        own = in_force(grant.tariff.prices, at, late) if grant and grant.tariff else None
        return box.price(at, late) if own is None else own

    # --- sessions

    def start(
        self, box: Box, connector: int, tag: str, *, started_at: datetime, meter_start: int, now: datetime
    ) -> Session:
        """The session that a StartTransaction begins, or of which it is a replay."""
        plausible = is_plausible(started_at, now)
        alike = [s for s in self.sessions
                 if (s.box, s.connector, s.tag, s.meter_start) == (box, connector, tag, meter_start)]  # fmt: skip
        same = [s for s in alike if s.started_at == started_at]
        if same and (plausible or same[-1].boots >= box.boots):
            return same[-1]
        still_open = [s for s in alike if s.status == "active"]
        if still_open and not same:
            return still_open[-1]
        status, grant = self.may(tag, box, connector, now)
        if status != "Accepted" and plausible and started_at < now - LATE:
            then, granted = self.may(tag, box, connector, started_at)
            status, grant = (then, granted) if then == "Accepted" else (status, grant)
        wish = self._wish(box, connector, tag, now)
        if wish is not None:
            price = wish.price if wish.price is not None else self.price(box, grant, wish.at)
        else:
            price = self.price(box, grant, started_at if plausible else now, LATE)
        made = Session(box, connector, tag, started_at, meter_start, len(same), box.boots, now, status,
                       self.person_of(tag), box.owner_at(started_at), grant, price, wish=wish)  # fmt: skip
        made.held |= {"possible_replay"} if same else set()
        made.held |= set() if plausible else {"implausible_time"}
        self._take_place(made, plausible, now)
        if wish is not None:
            wish.fulfilled = True
        self.sessions.append(made)
        return made

    def _wish(self, box: Box, connector: int, tag: str, now: datetime) -> Wish | None:
        waiting = [w for w in self.wishes if (w.box, w.connector, self.people[w.person]) == (box, connector, tag)]
        waiting = [w for w in waiting if not w.fulfilled and now - START_WINDOW <= w.at <= now]
        return waiting[-1] if waiting else None

    def _take_place(self, made: Session, plausible: bool, now: datetime) -> None:
        """Of two open sessions on a connector the one that began earlier was never stopped."""
        for other in self.sessions:
            if (other.box, other.connector, other.status) == (made.box, made.connector, "active"):
                latest = max(now, other.arrived_at)
                later = plausible and made.started_at < other.started_at <= latest
                other.held.add("second_start" if later else "never_stopped")
                made.held.add("never_stopped" if later else "second_start")
                if later:
                    made.status = "abandoned"
                else:
                    other.abandon()

    def stop(self, session: Session, meter_stop: int, stopped_at: datetime, now: datetime) -> None:
        """The first Stop counts, the same one again does nothing, one that differs holds the session."""
        if (meter_stop, stopped_at) in session.stops:
            return
        session.stops.add((meter_stop, stopped_at))
        if session.status == "stopped":
            session.held.add("differing_stop")
            return
        session.status, session.meter_stop, session.stopped_at = "stopped", meter_stop, stopped_at
        energy = meter_stop - session.meter_start
        session.held |= set(doubts(session, meter_stop, stopped_at, now))
        if session.id_status != "Accepted" and energy > 0:
            session.held.add("id_tag_not_accepted")
        session.energy = energy if energy >= 0 else None
        if not session.held and session.price is not None:
            session.rate(energy)

    # --- money

    def settle(self) -> None:
        """What nobody has to look at is billed, once."""
        for session in self.sessions:
            is_due = session.status == "stopped" and session.is_rated and not session.held
            if is_due and not session.is_settled:
                self._post(session, session.total or 0)

    def _post(self, session: Session, amount: int) -> None:
        session.posted, session.is_settled = amount, True
        if session.wish is not None:
            session.wish.kept = 0

    def decide(
        self, session: Session, decision: str, meter_stop: int | None = None, stopped_at: datetime | None = None
    ) -> bool:
        """Bill, waive or correct; False: it cannot be."""
        if session.status == "active" or (decision != "correct" and not session.held):
            return False
        if decision == "correct" and session.price is None:
            return False
        if session.price is not None and decision != "waive":
            if decision == "correct" or not session.is_rated:
                meter_stop = session.meter_stop if meter_stop is None else meter_stop
                stopped_at = stopped_at or session.stopped_at
                if meter_stop is None or stopped_at is None:
                    return False
                if meter_stop < session.meter_start or stopped_at < session.started_at:
                    return False
                energy = meter_stop - session.meter_start
            else:
                energy = session.energy or 0
            if price_of(energy, session.price) > 0 and session.driver is None:
                return False
            session.rate(energy)
        elif session.price is not None:
            session.total, session.is_rated = 0, False
        session.held, session.status = set(), "stopped"
        if session.price is not None:
            self._post(session, session.total or 0)
        return True

    def forget_wishes(self, now: datetime) -> None:
        """Nothing is kept for a start of which nothing was heard for an hour."""
        for wish in self.wishes:
            if not wish.fulfilled and wish.at < now - FORGOTTEN:
                wish.kept = 0

    def held_of(self, person: UUID) -> int:
        """What starts keep of a driver's money."""
        return sum(wish.kept for wish in self.wishes if wish.person == person)

    def balance_of(self, person: UUID) -> int:
        """What a driver has."""
        owed = sum(s.posted for s in self.sessions if s.driver == person and s.owner != person)
        return self.topped_up[person] - owed

    def earned_by(self, person: UUID) -> int:
        """What an owner has."""
        return sum(s.posted - fee_of(s.posted) for s in self.sessions if s.owner == person and s.driver != person)
