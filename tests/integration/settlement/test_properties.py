"""Whatever happens to sessions, in any order and at once: the books stay zero-sum, and each session counts once.

A plain model says what each driver must owe in the end; it knows nothing of revisions and reversals.
"""

import asyncio
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import select

from api.accounting.money import divide_half_even
from api.database import Database, make_engine
from api.errors import Conflict
from api.schema import transactions
from api.settings import Settings
from api.settlement.decisions import BILL, CORRECT, WAIVE, Decision, Order, Registers, carry_out
from api.settlement.settling import settle_next
from standalone.databases import DatabaseUrls
from tests.integration.settlement.books import NOW, Box, add_box, add_session, balance, check_books

MOST_SESSIONS = 4
FEE_BP = 333
places = st.integers(0, MOST_SESSIONS - 1)
energies = st.integers(0, 40_000)
steps = st.one_of(
    st.tuples(st.just("settle"), st.integers(1, 4)),
    st.tuples(st.just("hold"), places),
    st.tuples(st.just("forget"), places),
    st.tuples(st.just("die"), st.just(0)),
    st.tuples(st.just("decide"), places, st.sampled_from([BILL, WAIVE])),
    st.tuples(st.just("correct"), places, energies),
    st.tuples(st.just("at once"), places, energies),
)


@dataclass
class Books:
    """The ledger under test, and the model: what each session must come to."""

    database: Database
    application: str
    box: Box
    sessions: list[uuid.UUID] = field(default_factory=list)
    measured: list[int] = field(default_factory=list)
    due: list[int] = field(default_factory=list)
    waived: list[bool] = field(default_factory=list)
    held: list[bool] = field(default_factory=list)
    is_own: list[bool] = field(default_factory=list)
    settled: list[bool] = field(default_factory=list)

    async def settle(self, workers: int) -> None:
        async def work() -> None:
            connection = await asyncpg.connect(self.application)
            try:
                more = True
                while more:
                    async with connection.transaction():
                        more = await settle_next(connection, FEE_BP, NOW) is not None
            finally:
                await connection.close()

        await asyncio.gather(*(work() for _ in range(workers)))
        self.settled = [True if not held else settled for held, settled in zip(self.held, self.settled, strict=True)]

    async def sql(self, statement: str, place: int) -> None:
        connection = await asyncpg.connect(self.application)
        try:
            await connection.execute(statement, self.sessions[place])
        finally:
            await connection.close()

    async def hold(self, place: int) -> None:
        self.held[place] = True
        await self.sql("update transactions set held_reasons = '{differing_stop}' where public_id = $1", place)

    async def forget(self, place: int) -> None:
        await self.sql("update transactions set settled_at = null where public_id = $1", place)

    async def die(self, _: int) -> None:
        """A listener ends in the middle of a settlement."""
        connection = await asyncpg.connect(self.application)
        await connection.transaction().start()
        await settle_next(connection, FEE_BP, NOW)
        await connection.close(timeout=10)

    async def carry_out(self, place: int, decision: Decision, registers: Registers) -> bool:
        try:
            async with self.database.transaction() as connection:
                query = select(transactions).where(transactions.c.public_id == self.sessions[place])
                row = (await connection.execute(query)).one()
                order = Order(decision, "why", self.box.owner, NOW, registers)
                await carry_out(connection, row, order, FEE_BP)
        except Conflict:
            return False
        self.held[place], self.settled[place] = False, True
        return True

    async def decide(self, place: int, decision: Decision) -> None:
        was_held = self.held[place]
        assert await self.carry_out(place, decision, Registers()) == was_held
        if was_held and decision == WAIVE:
            self.due[place] = 0
            self.waived[place] = True
        elif was_held and self.waived[place]:
            self.due[place] = self.measured[place]
            self.waived[place] = False

    async def correct(self, place: int, energy_wh: int) -> None:
        assert await self.carry_out(place, CORRECT, Registers(meter_stop_wh=energy_wh))
        self.due[place] = price(energy_wh)
        self.waived[place] = False

    async def at_once(self, place: int, energy_wh: int) -> None:
        """A correction, a decision on another session and two listeners."""
        other = (place + 1) % len(self.sessions)
        await asyncio.gather(self.correct(place, energy_wh), self.decide(other, BILL), self.settle(2))

    async def do(self, step: tuple[Any, ...]) -> None:
        name, first, *rest = step
        place = first if name in {"settle", "die"} else first % len(self.sessions)
        await getattr(self, name.replace(" ", "_"))(place, *rest)

    async def check(self) -> None:
        connection = await asyncpg.connect(self.application)
        try:
            await check_books(connection)
            owed, earned = 0, 0
            for due, settled, is_own in zip(self.due, self.settled, self.is_own, strict=True):
                owed += due if settled and not is_own else 0
                earned += due - divide_half_even(due * FEE_BP, 10_000) if settled and not is_own else 0
            assert await balance(connection, self.box.driver, "driver") == -owed
            assert await balance(connection, self.box.owner, "owner") == earned
            rows = await connection.fetch("select held_reasons from transactions")
            assert not Counter(reason for row in rows for reason in row["held_reasons"])["not_billable"]
        finally:
            await connection.close()


def price(energy_wh: int) -> int:
    """5.50 a kWh."""
    return divide_half_even(energy_wh * 550, 1000)


async def walk(urls: DatabaseUrls, sessions: list[tuple[int, bool]], walked: list[tuple[Any, ...]]) -> None:
    database = Database(make_engine(Settings(database_url=SecretStr(urls.application), database_pool_size=4)))
    connection = await asyncpg.connect(urls.application)
    try:
        books = Books(database, urls.application, await add_box(connection))
        for energy_wh, is_own in sessions:
            driver = books.box.owner if is_own else books.box.driver
            books.sessions.append(await add_session(connection, books.box, energy_wh, driver=driver))
            books.measured.append(price(energy_wh))
            books.due.append(price(energy_wh))
            books.waived.append(False)
            books.held.append(False)
            books.is_own.append(is_own)
            books.settled.append(False)
        for step in walked:
            await books.do(step)
            await books.check()
        await books.settle(2)
        await books.check()
    finally:
        await connection.close()
        await database.close()


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    sessions=st.lists(st.tuples(energies, st.booleans()), min_size=2, max_size=MOST_SESSIONS),
    walked=st.lists(steps, max_size=8),
)
def test_any_walk_keeps_the_books(database: DatabaseUrls, sessions: list[tuple[int, bool]], walked: list[Any]) -> None:
    asyncio.run(walk(database, sessions, walked))
