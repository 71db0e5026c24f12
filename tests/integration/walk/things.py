"""What there is in the town, each as it must look: tariffs, wallboxes, grants, wishes, sessions. Plain Python.

What becomes of them together is `model`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import TypeVar
from uuid import UUID

FEE_BP = 333
LIMIT = 20_000
HOLD = 9_000
RATED_POWER_W = 11_000
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
