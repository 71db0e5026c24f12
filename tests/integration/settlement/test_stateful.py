"""The ledger under any sequence of what people, banks and wallboxes do to it, also at once: a state machine.

A plain model says what must stand on each account; it knows nothing of postings, revisions, locks or snapshots.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from datetime import date, timedelta
from typing import Any, TypeVar

import asyncpg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pydantic import SecretStr
from sqlalchemy import select

from api.accounting.money import divide_half_even
from api.credit.balances import read_balances
from api.credit.holds import place_hold, read_credit, release_ended
from api.database import Database, make_engine
from api.errors import Conflict, CreditTooLow
from api.schema import transactions
from api.settings import Settings
from api.settlement import bank, payouts
from api.settlement.bank_statement import Movement, Statement
from api.settlement.decisions import CORRECT, Order, Registers, carry_out
from api.settlement.ledger import DRIVER
from api.settlement.payment_order import to_symbol
from api.settlement.settling import settle_next
from api.settlement.snapshots import close_what_is_over
from standalone.databases import DatabaseUrls
from tests.integration.settlement.books import NOW, Box, add_box, add_session, check_books

FEE_BP = 333
LIMIT = 20_000
HOUSE = bank.House("CZ6508000000192000145399", "CZK", "Europe/Prague")
COMMAND = """
insert into commands (charge_point_id, user_id, action, payload, status, epoch, deadline_at, created_at)
values ($1, $2, 'RemoteStartTransaction', '{}', 'accepted', 1, $3, $3) returning id
"""
OWN_PAYOUTS = """
select p.id from payouts p join ledger_accounts a on a.id = p.account_id where p.id = any($1) and a.user_id = $2
"""
amounts = st.integers(1, 60_000)
energies = st.integers(0, 40_000)
Result = TypeVar("Result")


def price(energy_wh: int) -> int:
    """5.50 a kWh."""
    return divide_half_even(energy_wh * 550, 1000)


class Ledger(RuleBasedStateMachine):
    """One owner, one driver, a bank; what each must have."""

    urls: DatabaseUrls

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = NOW
        self.lines: list[Movement] = []
        self.sessions: dict[uuid.UUID, int] = {}
        self.topped_up = self.paid_out = 0
        self.given: dict[str, bool] = {}
        self.starts: dict[uuid.UUID, int] = {}
        self.open_payout: tuple[uuid.UUID, int] | None = None

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.loop.run_until_complete(work)

    async def in_transaction(self, work: Callable[[asyncpg.Connection], Awaitable[Result]]) -> Result:
        """On a connection of its own, so that several really run at once."""
        async with self.pool.acquire() as connection, connection.transaction():
            return await work(connection)

    @initialize()
    def begin(self) -> None:
        self.run(self._begin())

    async def _begin(self) -> None:
        self.pool = await asyncpg.create_pool(self.urls.application, min_size=0, max_size=6)
        application = SecretStr(self.urls.application)
        self.database = Database(make_engine(Settings(database_url=application, database_pool_size=3)))
        async with self.pool.acquire() as connection:
            self.box: Box = await add_box(connection)
            add = "insert into payment_symbols (user_id) values ($1) returning number"
            self.symbol = to_symbol(await connection.fetchval(add, self.box.driver))
            await connection.execute(
                "insert into payout_accounts values ($1, $2, 'Jana', now())", self.box.owner, HOUSE.iban
            )

    def teardown(self) -> None:
        if hasattr(self, "pool"):
            self.run(self.pool.close())
            self.run(self.database.close())
        self.loop.close()

    def earned(self) -> int:
        return (
            sum(due - divide_half_even(due * FEE_BP, 10_000) for due in map(price, self.sessions.values()))
            - self.paid_out
        )

    def balance(self) -> int:
        given = sum(line.amount_minor for line in self.lines if self.given.get(line.reference))
        return self.topped_up + given - sum(map(price, self.sessions.values()))

    # --- the bank

    async def take(self, *lines: Movement) -> bank.Summary:
        statement = Statement(None, list(enumerate(lines, 2)))
        return await self.in_transaction(
            lambda connection: bank.import_statement(connection, statement, HOUSE, bank.Order(self.now))
        )

    @rule(amount=amounts, knows_symbol=st.booleans())
    def pay_in(self, amount: int, knows_symbol: bool) -> None:
        symbol = self.symbol if knows_symbol else None
        line = Movement(uuid.uuid4().hex, date(2026, 5, 3), amount, "CZK", symbol, "", "", "")
        assert self.run(self.take(line)).matched == knows_symbol
        self.lines.append(line)
        self.topped_up += amount if knows_symbol else 0

    @rule(first=st.integers(0, 5))
    def import_again_at_once(self, first: int) -> None:
        """Overlapping files in both orders, by two operators."""

        async def both() -> tuple[bank.Summary, bank.Summary]:
            return await asyncio.gather(self.take(*self.lines[first:]), self.take(*self.lines[::-1]))

        assert [summary.new for summary in self.run(both())] == [0, 0]

    @precondition(lambda self: any(line.variable_symbol is None for line in self.lines))
    @rule(place=st.integers(0, 20), to_driver=st.booleans(), at_once=st.booleans())
    def decide(self, place: int, to_driver: bool, at_once: bool) -> None:
        open_lines = [line for line in self.lines if line.variable_symbol is None]
        line = open_lines[place % len(open_lines)]

        async def once(connection: asyncpg.Connection) -> None:
            found = await connection.fetchval("select id from bank_movements where reference = $1", line.reference)
            order = bank.Order(self.now, self.box.owner, "why")
            if to_driver:
                await bank.assign_to_person(connection, found, (self.box.driver, DRIVER), HOUSE, order)
            else:
                await bank.set_aside(connection, found, bank.OPENED, HOUSE, order)

        async def all_of_them() -> None:
            await asyncio.gather(*(self.in_transaction(once) for _ in range(2 if at_once else 1)))

        self.run(all_of_them())
        self.given[line.reference] = to_driver

    # --- sessions

    async def settle(self) -> None:
        while await self.in_transaction(lambda connection: settle_next(connection, FEE_BP, self.now)) is not None:
            pass

    @rule(energy_wh=energies, workers=st.integers(1, 3))
    def charge(self, energy_wh: int, workers: int) -> None:
        async def work() -> uuid.UUID:
            session = await self.in_transaction(lambda connection: add_session(connection, self.box, energy_wh))
            await asyncio.gather(*(self.settle() for _ in range(workers)))
            return session

        self.sessions[self.run(work())] = energy_wh

    @precondition(lambda self: self.sessions)
    @rule(place=st.integers(0, 20), energy_wh=energies)
    def correct(self, place: int, energy_wh: int) -> None:
        session = list(self.sessions)[place % len(self.sessions)]

        async def work() -> None:
            async with self.database.transaction() as connection:
                row = (await connection.execute(select(transactions).where(transactions.c.public_id == session))).one()
                order = Order(CORRECT, "why", self.box.owner, self.now, Registers(meter_stop_wh=energy_wh))
                await carry_out(connection, row, order, FEE_BP)

        self.run(work())
        self.sessions[session] = energy_wh

    # --- holds

    @rule(amount=amounts, starters=st.integers(1, 3))
    def start(self, amount: int, starters: int) -> None:
        async def once(connection: asyncpg.Connection) -> uuid.UUID:
            command: uuid.UUID = await connection.fetchval(COMMAND, self.box.id, self.box.driver, self.now)
            await place_hold(
                connection, self.box.driver, command, (amount, "CZK"), default_limit_minor=LIMIT, now=self.now
            )
            return command

        async def all_of_them() -> list[uuid.UUID | BaseException]:
            starts = (self.in_transaction(once) for _ in range(starters))
            return await asyncio.gather(*starts, return_exceptions=True)

        room = max(0, self.balance() + LIMIT - sum(self.starts.values())) // amount
        done = self.run(all_of_them())
        placed = [each for each in done if isinstance(each, uuid.UUID)]
        assert len(placed) == min(room, starters)
        assert all(isinstance(each, uuid.UUID | CreditTooLow) for each in done)
        self.starts |= dict.fromkeys(placed, amount)

    @precondition(lambda self: self.starts)
    @rule(place=st.integers(0, 20), energy_wh=energies)
    def finish(self, place: int, energy_wh: int) -> None:
        """A session that was started so is settled."""
        command = list(self.starts)[place % len(self.starts)]

        async def work() -> uuid.UUID:
            async def link(connection: asyncpg.Connection) -> uuid.UUID:
                session = await add_session(connection, self.box, energy_wh)
                find = "(select id from transactions where public_id = $2)"
                await connection.execute(f"update commands set transaction_id = {find} where id = $1", command, session)
                return session

            session = await self.in_transaction(link)
            await asyncio.gather(self.settle(), self.settle())
            return session

        self.sessions[self.run(work())] = energy_wh
        del self.starts[command]

    @precondition(lambda self: self.starts)
    @rule(place=st.integers(0, 20))
    def fail(self, place: int) -> None:
        command = list(self.starts)[place % len(self.starts)]

        async def work() -> None:
            async with self.pool.acquire() as connection:
                await connection.execute("update commands set status = 'rejected' where id = $1", command)
                await release_ended(connection, self.now)

        self.run(work())
        del self.starts[command]

    # --- payouts

    @rule(least=amounts, runs=st.integers(1, 3))
    def make_payouts(self, least: int, runs: int) -> None:
        async def work() -> list[uuid.UUID]:
            made = await asyncio.gather(
                *(
                    self.in_transaction(
                        lambda connection: payouts.run(connection, "CZK", least, self.box.owner, self.now)
                    )
                    for _ in range(runs)
                )
            )
            async with self.pool.acquire() as connection:
                rows = await connection.fetch(OWN_PAYOUTS, [each for run in made for each in run], self.box.owner)
            return [row["id"] for row in rows]

        made = self.run(work())
        assert len(made) == (self.open_payout is None and self.earned() >= least)
        self.open_payout = (made[0], self.earned()) if made else self.open_payout

    @precondition(lambda self: self.open_payout)
    @rule(how=st.sampled_from(["statement", "operator", "both", "cancel"]))
    def end_payout(self, how: str) -> None:
        assert self.open_payout is not None
        payout_id, amount = self.open_payout
        covered = self.earned() >= amount
        paid = {"statement": True, "both": True, "operator": covered, "cancel": False}[how]

        async def pay() -> None:
            async with self.pool.acquire() as connection:
                number = await connection.fetchval("select number from payouts where id = $1", payout_id)
            line = Movement(uuid.uuid4().hex, date(2026, 5, 3), -amount, "CZK", to_symbol(number), "", "", "")
            await self.take(line)
            self.lines.append(line)

        async def end(connection: asyncpg.Connection) -> None:
            if how == "cancel":
                await payouts.cancel(connection, payout_id, self.box.owner, self.now)
            else:
                await payouts.confirm(connection, payout_id, HOUSE, self.box.owner, self.now)

        async def work() -> None:
            ways = [pay()] if how in {"statement", "both"} else []
            ways += [self.in_transaction(end)] if how != "statement" else []
            for error in await asyncio.gather(*ways, return_exceptions=True):
                assert error is None or isinstance(error, Conflict), error

        self.run(work())
        self.paid_out += amount if paid else 0
        self.open_payout = None if paid or how == "cancel" else self.open_payout

    # --- time

    @rule(days=st.integers(1, 40))
    def close_a_month(self, days: int) -> None:
        self.now += timedelta(days=days)

        async def work() -> None:
            async with self.pool.acquire() as connection:
                await close_what_is_over(connection, self.now)
                await release_ended(connection, self.now)

        self.run(work())
        self.starts.clear()  # nothing was heard of them for days

    @invariant()
    def the_books_hold(self) -> None:
        if hasattr(self, "pool"):
            self.run(self._check())

    async def _check(self) -> None:
        async with self.pool.acquire() as connection:
            await check_books(connection)
            credit = (await read_credit(connection, self.box.driver, LIMIT)).get("CZK")
            if credit is not None:
                assert (credit.balance_minor, credit.held_minor) == (self.balance(), sum(self.starts.values()))
            account = await connection.fetchval(
                "select id from ledger_accounts where user_id = $1 and kind = 'owner'", self.box.owner
            )
            if account is not None:
                assert (await read_balances(connection, account)).get("CZK", 0) == self.earned()


def test_any_sequence_keeps_the_books(database: DatabaseUrls) -> None:
    machine = type("LedgerOfThisTest", (Ledger,), {"urls": database})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=8, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
