"""Random owners, guests, wallboxes, replays and corrections; after each step everything must be as `model` says.

`WALKS` and `SEED` are set by `make walk`; without them a small seeded form runs. A failure shrinks to a short walk.
"""

import os
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import hypothesis
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test

from api.credit.balances import read_balances
from api.credit.holds import read_credit
from api.errors import ChargingRefused, Conflict, CreditTooLow, NotAllowed, NotFound
from api.settlement.bank_statement import Movement
from api.settlement.decisions import Decision, Registers
from standalone.databases import DatabaseUrls
from tests.integration.listener.gateway import iso
from tests.integration.settlement.books import check_books
from tests.integration.walk.owners import Owners, places
from tests.integration.walk.things import HOLD, LIMIT, Box, Session, Wish
from tests.integration.walk.town import BOOT

WALKS = int(os.environ.get("WALKS", "8"))
SEED = int(os.environ.get("SEED", "1"))
STEPS = 40
UNKNOWN = "NOBODY"
RESET = datetime.fromisoformat("1970-01-01T00:00:07+00:00")
energies = st.sampled_from([0, 1, 500, 4_999, 5_000, 12_345, 90_000])
late = st.sampled_from([0, 0, 0, 5, 45, 600]).map(lambda minutes: timedelta(minutes=minutes))
copies = st.sampled_from([1, 1, 2, 3])
connectors = st.sampled_from([1, 1, 2])
days = st.lists(st.tuples(places, places, st.sampled_from([5_000, 12_345])), min_size=2, max_size=4)
mostly_not = st.sampled_from([False, False, False, True])


class Walk(Owners):
    """Guests charge, wallboxes misbehave, people decide, money moves."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Callable[[int], None]] = []
        self.lines: list[Movement] = []
        self.register = 1000

    def session(self, place: int) -> Session:
        """The newest are the likeliest."""
        return self.model.sessions[-1 - place % len(self.model.sessions)]

    # --- wallboxes

    def send(self, what: Callable[[int], None], times: int) -> None:
        """Does it, and keeps it, so that it can come again at any time."""
        self.sent.append(what)
        what(times)

    @precondition(lambda self: self.sent)
    @rule(place=places, times=copies)
    def send_again(self, place: int, times: int) -> None:
        """A queue that was not acknowledged, from before a power loss."""
        self.tick()
        self.sent[-1 - place % len(self.sent)](times)

    @rule(place=places)
    def boot(self, place: int) -> None:
        now, box = self.tick(), self.box(place)
        self.run(self.town.send("BootNotification", box, BOOT, now))
        box.boots += 1

    @rule(place=places, whom=places, connector=connectors, delay=late, times=copies,
          is_reset=mostly_not, is_unknown=mostly_not)  # fmt: skip
    def start(
        self, *, place: int, whom: int, connector: int, delay: timedelta, times: int, is_reset: bool, is_unknown: bool
    ) -> None:
        self.tick()
        self.register += 1
        began = RESET if is_reset else self.now - delay
        tag = UNKNOWN if is_unknown else self.tag(whom)
        self._start(self.box(place), connector, tag, began, register=self.register, times=times)

    def _start(self, box: Box, connector: int, tag: str, began: datetime, *, register: int, times: int = 1) -> Session:
        request = {"connectorId": connector, "idTag": tag, "meterStart": register, "timestamp": iso(began)}

        def once(copies: int) -> None:
            session = self.model.start(box, connector, tag, started_at=began, meter_start=register, now=self.now)
            answer = self.run(self.town.send("StartTransaction", box, request, self.now, copies))
            assert answer["idTagInfo"]["status"] == session.id_status
            assert session.number in {0, answer["transactionId"]}, "a replay gets the id of its session"
            session.number = answer["transactionId"]

        self.send(once, times)
        return self.model.sessions[-1]

    def tag(self, whom: int) -> str:
        return self.model.people[self.person(whom)]

    @precondition(lambda self: self.model.sessions)
    @rule(place=places, delay=late)
    def start_with_another_time(self, place: int, delay: timedelta) -> None:
        """The clock was set while it waited to be acknowledged."""
        self.tick()
        told = self.session(place)
        self._start(told.box, told.connector, told.tag, self.now - delay, register=told.meter_start)

    @precondition(lambda self: self.model.sessions)
    @rule(place=places, energy=energies, delay=late, times=copies)
    def sample(self, place: int, energy: int, delay: timedelta, times: int) -> None:
        self.tick()
        session, at = self.session(place), self.now - delay
        register = session.samples.get(at, session.meter_start + energy)
        value = {"timestamp": iso(at), "sampledValue": [{"value": str(register)}]}
        request = {"connectorId": session.connector, "transactionId": session.number, "meterValue": [value]}

        def once(copies: int) -> None:
            session.samples[at] = register
            assert self.run(self.town.send("MeterValues", session.box, request, self.now, copies)) == {}

        self.send(once, times)

    @precondition(lambda self: self.model.sessions)
    @rule(place=places, energy=energies, delay=late, times=copies,
          odd=st.sampled_from([None, None, None, "backwards", "reset"]))  # fmt: skip
    def stop(self, place: int, energy: int, delay: timedelta, times: int, odd: str | None) -> None:
        self.tick()
        self._stop(self.session(place), -1 if odd == "backwards" else energy,
                   RESET if odd == "reset" else self.now - delay, times)  # fmt: skip

    def _stop(self, session: Session, energy: int, at: datetime, times: int = 1) -> None:
        register = session.meter_start + energy
        request = {"transactionId": session.number, "meterStop": register, "timestamp": iso(at)}

        def once(copies: int) -> None:
            self.run(self.town.send("StopTransaction", session.box, request, self.now, copies))
            self.model.stop(session, register, at, self.now)

        self.send(once, times)

    @rule(place=places, number=st.sampled_from([-1, 0, 7]))
    def stop_what_never_began(self, place: int, number: int) -> None:
        request = {"transactionId": number, "meterStop": 5, "timestamp": iso(self.tick())}
        self.run(self.town.send("StopTransaction", self.box(place), request, self.now))

    @initialize(sessions=days)
    def begin(self, sessions: list[tuple[int, int, int]]) -> None:
        """A town with a past."""
        self.found()
        self.charge(sessions)

    @rule(sessions=days)
    def charge(self, sessions: list[tuple[int, int, int]]) -> None:
        """Sessions as they mostly are."""
        for place, whom, energy in sessions:
            began = self.tick()
            self.register += 1
            session = self._start(self.box(place), 1, self.tag(whom), began, register=self.register)
            self.tick(90)
            self._stop(session, energy, self.now)

    # --- the app, the bank and the clock

    @rule(place=places, whom=places, connector=connectors)
    def start_by_app(self, place: int, whom: int, connector: int) -> None:
        now, person, box = self.tick(), self.person(whom), self.box(place)
        status, grant = self.model.may(self.tag(whom), box, connector, now)
        price = self.model.price(box, grant, now)
        kept = HOLD if price and person != box.owner else 0
        if kept and status == "Accepted":
            self.model.forget_wishes(now)
        too_low = kept > self.model.balance_of(person) + LIMIT - self.model.held_of(person)
        try:
            made = self.run(self.town.start_by_app(person, box, connector, now))
        except ChargingRefused:
            assert status != "Accepted"
        except CreditTooLow:
            assert kept
            assert too_low
        else:
            assert status == "Accepted"
            assert not (kept and too_low)
            self.model.wishes.append(Wish(made, person, box, connector, now, price, kept))

    @rule(whom=places, amount=st.integers(1, 60_000), again=st.integers(0, 5))
    def pay_in(self, whom: int, amount: int, again: int) -> None:
        """By a statement that overlaps earlier ones."""
        now, person = self.tick(), self.person(whom)
        symbol = self.town.symbols[person]
        line = Movement(uuid.uuid4().hex, now.date(), amount, "CZK", symbol, "", "", "")
        assert self.run(self.town.take([*self.lines[-again:], line], now)) == 1
        self.lines.append(line)
        self.model.topped_up[person] += amount

    @rule(minutes=st.sampled_from([4, 20, 180, 600]))
    def wait(self, minutes: int) -> None:
        self.tick(minutes)

    @rule(days=st.integers(10, 40))
    def close_a_month(self, days: int) -> None:
        self.tick(days * 24 * 60)
        self.run(self.town.close_books(self.now))
        self.model.forget_wishes(self.now)

    @rule(workers=st.integers(1, 3))
    def settle(self, workers: int) -> None:
        self.run(self.town.settle(self.tick(), workers))
        self.model.settle()

    # --- decisions

    @precondition(lambda self: self.model.sessions)
    @rule(place=places, who=places, decision=st.sampled_from(["bill", "bill", "waive", "correct"]), energy=energies,
          is_late=st.booleans())  # fmt: skip
    def decide(self, place: int, who: int, decision: Decision, energy: int, is_late: bool) -> None:
        """The operator corrects; owners bill and waive, and others may not."""
        now = self.tick()
        session = self.session(place)
        by = self.town.operator.user_id if decision == "correct" else self.person(who)
        register = session.meter_start + energy if decision == "correct" else None
        stopped_at = now if decision == "correct" and is_late else None
        try:
            registers = Registers(meter_stop_wh=register, stopped_at=stopped_at)
            self.run(self.town.decide(by, self.public_id(session), decision, registers, now))
        except NotFound:
            assert by not in {session.owner, session.driver}
        except NotAllowed:
            assert by == session.driver != session.owner
        except Conflict:
            assert by in {session.owner, self.town.operator.user_id}
            assert not self.model.decide(session, decision, register, stopped_at)
        else:
            assert by in {session.owner, self.town.operator.user_id}
            assert self.model.decide(session, decision, register, stopped_at)

    def public_id(self, session: Session) -> UUID:
        find = "select public_id from transactions where charge_point_id = $1 and ocpp_transaction_id = $2"

        async def found(connection: asyncpg.Connection) -> Any:
            return await connection.fetchval(find, session.box.id, session.number)

        return self.run(self.town.alone(found))  # type: ignore[no-any-return]

    # --- what must hold

    @invariant()
    def everything_is_as_it_must_be(self) -> None:
        if hasattr(self, "town"):
            self.run(self._check())

    async def _check(self) -> None:
        async with self.town.pool.acquire() as connection:
            rows = await connection.fetch(
                "select * from transactions where charge_point_id = any($1) order by id",
                [b.id for b in self.model.boxes],
            )
            assert [shown(row) for row in rows] == [expected(session) for session in self.model.sessions]
            await check_books(connection)
            for person in self.model.people:
                await self._check_money(connection, person)
        for person in self.model.people:
            seen, held = await self.town.seen_by(person)
            pairs = list(zip(rows, self.model.sessions, strict=True))
            assert seen == {row["public_id"] for row, s in pairs if person in {s.owner, s.driver}}
            assert held == {row["public_id"] for row, s in pairs if person == s.owner and s.held}
        for box in self.model.boxes:
            await self._check_prices(box)
            await self._check_decisions(box)

    async def _check_money(self, connection: asyncpg.Connection, person: UUID) -> None:
        credit = (await read_credit(connection, person, LIMIT)).get("CZK")
        has = (credit.balance_minor, credit.held_minor) if credit else (0, 0)
        assert has == (self.model.balance_of(person), self.model.held_of(person))
        assert has[1] >= 0
        find = "select id from ledger_accounts where user_id = $1 and kind = 'owner'"
        account = await connection.fetchval(find, person)
        earned = (await read_balances(connection, account)).get("CZK", 0) if account else 0
        assert earned == self.model.earned_by(person)

    async def _check_prices(self, box: Box) -> None:
        """Now and as far ahead as anything was planned."""
        for at in (self.now, self.now + timedelta(hours=2)):
            assert await self.town.price(box, at) == box.price(at, timedelta(0))

    async def _check_decisions(self, box: Box) -> None:
        for tag in [*self.model.people.values(), UNKNOWN]:
            for connector in (None, 1):
                status, grant = self.model.may(tag, box, connector, self.now)
                verdict = await self.town.ask(tag, box, connector, self.now)
                assert (verdict.status, verdict.grant_id) == (status, grant and grant.id)


def shown(row: asyncpg.Record) -> dict[str, Any]:
    """What a transaction has come to."""
    price = row["tariff"]["elements"][0]["price_components"][0]["price_e4"] if row["tariff"] else None
    record = row["charge_detail_record"]
    assert record is None or record["total_minor"] == row["total_minor"]
    return {
        "number": row["ocpp_transaction_id"], "driver": row["driver_id"], "owner": row["owner_id"],
        "grant": row["grant_id"], "id_status": row["id_tag_status"], "occurrence": row["occurrence"], "price": price,
        "status": row["status"], "held": Counter(row["held_reasons"]), "energy": row["energy_wh"],
        "meter_stop": row["meter_stop_wh"], "stopped_at": row["stopped_at"], "total": row["total_minor"],
        "is_rated": record is not None, "is_settled": row["settled_at"] is not None,
    }  # fmt: skip


def expected(session: Session) -> dict[str, Any]:
    """The same by the model."""
    names = ("number", "driver", "owner", "id_status", "occurrence", "price", "status", "energy", "meter_stop",
             "stopped_at", "total", "is_rated", "is_settled")  # fmt: skip
    return {name: getattr(session, name) for name in names} | {
        "grant": session.grant and session.grant.id, "held": Counter(session.held),
    }  # fmt: skip


@pytest.mark.timeout(3600)
def test_any_walk_through_the_town(database: DatabaseUrls) -> None:
    machine = hypothesis.seed(SEED)(type("WalkOfThisTest", (Walk,), {"urls": database}))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=WALKS,
            stateful_step_count=STEPS,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
