"""What must be so, whatever owners, guests, wallboxes and the bank do: plain Python, as slow and obvious as it can be.

It knows nothing of SQL, locks, revisions, postings or snapshots. The real side is `town`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

FEE_BP = 333
LIMIT = 20_000
HOLD = 9_000
RATED_POWER_W = 11_000
ZONE = ZoneInfo("Europe/Prague")
LATE = timedelta(minutes=10)
START_WINDOW = timedelta(minutes=15)
FORGOTTEN = timedelta(hours=1)
REFUSALS = ("Invalid", "Invalid", "Invalid", "Invalid", "Invalid", "Blocked", "Blocked", "ConcurrentTx", "Accepted")
"""What a wallbox is told, by how near to a yes the nearest grant comes."""
Entry = TypeVar("Entry")


def rounded(numerator: int, denominator: int) -> int:
    """Half to even."""
    whole, rest = divmod(numerator, denominator)
    return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1))


def price_of(energy_wh: int, price_e4: int) -> int:
    """Minor units, by a price per kWh in 10^-4 CZK."""
    return rounded(energy_wh * price_e4, 1000 * 100)


def fee_of(amount: int) -> int:
    """What the platform takes of it."""
    return rounded(amount * FEE_BP, 10_000)


def in_force(entries: Sequence[tuple[datetime, Entry]], at: datetime, late: timedelta) -> Entry | None:
    """The last that had begun; where none had, the first that began shortly after."""
    begun = [entry for entry in entries if entry[0] <= at]
    soon = [entry for entry in entries if at < entry[0] <= at + late]
    found = max(begun, key=lambda e: e[0], default=None) or min(soon, key=lambda e: e[0], default=None)
    return found[1] if found else None


@dataclass(eq=False)
class Tariff:
    """Its prices, by when they begin; without an id it is a wallbox's own."""

    owner: UUID
    id: UUID | None = None
    prices: list[tuple[datetime, int]] = field(default_factory=list)


@dataclass(eq=False)
class Box:
    """A wallbox."""

    id: UUID
    owner: UUID
    location: UUID | None
    visibility: str = "shared"
    boots: int = 0
    assigned: list[tuple[datetime, Tariff | None]] = field(default_factory=list)
    own_tariff: Tariff | None = None
    handed_over: list[tuple[datetime, UUID]] = field(default_factory=list)

    def set_price(self, price_e4: int, now: datetime) -> None:
        """Of its own tariff, which is then the one that holds."""
        self.own_tariff = self.own_tariff or Tariff(self.owner)
        self.own_tariff.prices.append((now, price_e4))
        if not self.assigned or self.assigned[-1][1] is not self.own_tariff:
            self.assigned.append((now, self.own_tariff))

    def hand_over(self, to: UUID, now: datetime) -> None:
        """Nothing is charged in the new owner's name by the old one's prices, now or later."""
        had_price = self.price(now, timedelta(0)) is not None
        self.handed_over.append((now, self.owner))
        self.owner, self.location, self.visibility, self.own_tariff = to, None, "shared", None
        if had_price:
            self.set_price(0, now)
        else:
            self.assigned.append((now, None))

    def price(self, at: datetime, late: timedelta) -> int | None:
        """Of everybody who has no grant with another."""
        tariff = in_force(self.assigned, at, late)
        return in_force(tariff.prices, at, late) if tariff else None

    def owner_at(self, at: datetime) -> UUID:
        """Who owned it then; a clock that shows 1970 is not believed."""
        earlier = [who for ended, who in self.handed_over if ended > at and at.year > 1970]
        return earlier[0] if earlier else self.owner


@dataclass(eq=False)
class Given:
    """A grant."""

    id: UUID
    series: UUID
    place: UUID
    connector: int | None
    person: UUID | None
    group: UUID | None
    windows: list[tuple[time, time]]
    max_energy: int | None
    max_amount: int | None
    max_sessions: int | None
    by_month: bool
    priority: int
    valid_from: datetime
    valid_until: datetime | None
    is_for_location: bool
    tariff: Tariff | None = None
    revoked_at: datetime | None = None

    @property
    def rank(self) -> tuple[int, bool, bool, bool, bool, str]:
        """Sorts the one that decides first."""
        return (-self.priority, self.person is None, self.group is None, self.connector is None,
                self.is_for_location, str(self.id))  # fmt: skip


@dataclass(eq=False)
class Wish:
    """A start by the app, and what is kept for it."""

    id: UUID
    person: UUID
    box: Box
    connector: int
    at: datetime
    price: int | None
    kept: int
    fulfilled: bool = False


@dataclass(eq=False)
class Session:
    """What a transaction must look like."""

    box: Box
    connector: int
    tag: str
    started_at: datetime
    meter_start: int
    occurrence: int
    boots: int
    arrived_at: datetime
    id_status: str
    driver: UUID | None
    owner: UUID
    grant: Given | None
    price: int | None
    number: int = 0
    wish: Wish | None = None
    status: str = "active"
    held: set[str] = field(default_factory=set)
    samples: dict[datetime, int] = field(default_factory=dict)
    stops: set[tuple[int, datetime]] = field(default_factory=set)
    meter_stop: int | None = None
    stopped_at: datetime | None = None
    energy: int | None = None
    total: int | None = None
    is_rated: bool = False
    is_settled: bool = False
    posted: int = 0

    def abandon(self) -> None:
        """Nobody will stop it any more; the newest register that can be believed is its energy."""
        self.status = "abandoned"
        later = [at for at, register in self.samples.items() if register >= self.meter_start]
        self.energy = self.samples[max(later)] - self.meter_start if later else None

    def rate(self, energy: int) -> None:
        """By the price that was frozen at its start."""
        assert self.price is not None
        self.energy, self.total, self.is_rated = energy, price_of(energy, self.price), True


def is_plausible(at: datetime, arrived_at: datetime) -> bool:
    """Whether a wallbox's clock can be right."""
    return datetime(2020, 1, 1, tzinfo=UTC) <= at <= arrived_at + timedelta(days=1)


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


def is_within(clock: time, start: time, end: time) -> bool:
    """Whether a window is open when the clock reads so; over midnight where it ends before it begins."""
    return start <= clock < end if start < end else clock >= start or clock < end


def doubts(session: Session, meter_stop: int, stopped_at: datetime, now: datetime) -> Iterator[str]:
    """Why nobody should be billed for it yet."""
    if meter_stop < session.meter_start:
        yield "register_backwards"
    if not (is_plausible(session.started_at, now) and is_plausible(stopped_at, now)):
        yield "implausible_time"
    elif stopped_at < session.started_at:
        yield "stop_before_start"
    else:
        seconds = (stopped_at - session.started_at).total_seconds() + 60
        if (meter_stop - session.meter_start) * 3600 * 10 > RATED_POWER_W * seconds * 11:
            yield "energy_above_rated_power"
