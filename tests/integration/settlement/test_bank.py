"""The bank's movements: each once, matched or left for a person, decided anew; payouts once and never too much."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from uuid import UUID, uuid4

import asyncpg
import pytest

from api.errors import Conflict, Invalid, NotFound
from api.settlement import bank, payouts
from api.settlement.bank_statement import Movement, Statement, StatementError
from api.settlement.ledger import DRIVER, OWNER
from api.settlement.payment_order import to_symbol
from standalone.databases import DatabaseUrls
from tests.integration.settlement.books import NOW, Box, add_box, add_person, add_session, balance, check_books
from tests.integration.settlement.test_settling import settle_all

IBAN = "CZ6508000000192000145399"
HOUSE = bank.House(IBAN, "CZK", "Europe/Prague")


def movement(reference: str, amount_minor: int, symbol: str | None = None, currency: str = "CZK") -> Movement:
    return Movement(reference, date(2026, 5, 3), amount_minor, currency, symbol, "1/0800", "Petr", "")


async def take(pool: asyncpg.Pool, *movements: Movement, iban: str | None = None) -> tuple[int, int, int]:
    """Imports a statement; how many were new, known, matched."""
    statement = Statement(iban, list(enumerate(movements, 2)))
    async with pool.acquire() as connection, connection.transaction():
        done = await bank.import_statement(connection, statement, HOUSE, bank.Order(NOW))
    return done.new, done.known, done.matched


async def symbol_of(connection: asyncpg.Connection, user_id: UUID) -> str:
    number = "insert into payment_symbols (user_id) values ($1) returning number"
    return to_symbol(await connection.fetchval(number, user_id))


async def movement_id(connection: asyncpg.Connection, reference: str) -> UUID:
    found: UUID = await connection.fetchval("select id from bank_movements where reference = $1", reference)
    return found


@pytest.fixture
async def box(connection: asyncpg.Connection) -> Box:
    return await add_box(connection)


@pytest.fixture
async def operator(connection: asyncpg.Connection) -> UUID:
    return await add_person(connection)


@pytest.fixture(autouse=True)
async def _books_hold(connection: asyncpg.Connection) -> AsyncIterator[None]:
    yield
    await check_books(connection)


class TestImport:
    """Statements of the bank."""

    async def test_a_payment_with_the_drivers_symbol_is_posted(
        self, pool: asyncpg.Pool, connection: asyncpg.Connection, box: Box
    ) -> None:
        symbol = await symbol_of(connection, box.driver)
        assert await take(pool, movement("1", 50_000, symbol)) == (1, 0, 1)
        assert await balance(connection, box.driver, "driver") == 50_000
        assert await balance(connection, None, "bank") == -50_000
        row = await connection.fetchrow("select kind, booked_on from transfers")
        assert (row["kind"], row["booked_on"]) == ("top_up", NOW.date()), "by our clock: the bank's May 3 may be closed"

    async def test_the_same_file_again_and_one_that_overlaps(
        self, pool: asyncpg.Pool, connection: asyncpg.Connection, box: Box
    ) -> None:
        symbol = await symbol_of(connection, box.driver)
        lines = [movement(str(number), 1000, symbol) for number in range(5)]
        assert await take(pool, *lines[:3]) == (3, 0, 3)
        assert await take(pool, *lines[:3]) == (0, 3, 0)
        assert await take(pool, *lines[1:]) == (2, 2, 2)
        assert await balance(connection, box.driver, "driver") == 5000

    async def test_many_at_once(self, pool: asyncpg.Pool, connection: asyncpg.Connection, box: Box) -> None:
        symbol = await symbol_of(connection, box.driver)
        lines = [movement(str(number), 1000, symbol) for number in range(8)]
        files = [lines, lines[::-1], lines[2:6], lines[3:]]
        done = await asyncio.gather(*(take(pool, *file) for file in files))
        assert sum(new for new, _, _ in done) == 8
        assert await balance(connection, box.driver, "driver") == 8000

    async def test_what_nobody_can_match_waits(
        self, pool: asyncpg.Pool, connection: asyncpg.Connection, box: Box
    ) -> None:
        symbol = await symbol_of(connection, box.driver)
        slip = symbol[:-1] + str((int(symbol[-1]) + 1) % 10)
        foreign = [movement("1", 100), movement("2", 100, slip), movement("3", 100, symbol, "EUR"),
                   movement("4", -100, symbol), movement("5", 100, to_symbol(400_000_000))]  # fmt: skip
        assert await take(pool, *foreign) == (5, 0, 0)
        assert await connection.fetchval("select count(*) from transfers") == 0

    async def test_a_known_movement_that_says_something_else_stops_the_file(
        self, pool: asyncpg.Pool, connection: asyncpg.Connection, box: Box
    ) -> None:
        symbol = await symbol_of(connection, box.driver)
        await take(pool, movement("1", 1000, symbol))
        with pytest.raises(StatementError) as caught:
            await take(pool, movement("2", 500, symbol), movement("1", 2000, symbol))
        assert caught.value.errors == [(3, "1 was imported before with another day, amount or currency")]
        assert await connection.fetchval("select count(*) from bank_movements") == 1
        assert await balance(connection, box.driver, "driver") == 1000

    async def test_a_statement_of_another_account_is_refused(self, pool: asyncpg.Pool) -> None:
        assert await take(pool, movement("1", 100), iban=IBAN) == (1, 0, 0)
        with pytest.raises(StatementError, match="not of"):
            await take(pool, movement("2", 100), iban="CZ4920100000004561093331")

    async def test_who_dies_in_the_middle_leaves_nothing_behind(
        self, pool: asyncpg.Pool, connection: asyncpg.Connection, box: Box, database: DatabaseUrls
    ) -> None:
        symbol = await symbol_of(connection, box.driver)
        doomed = await asyncpg.connect(database.application)
        await doomed.transaction().start()
        statement = Statement(None, [(2, movement("1", 1000, symbol))])
        await bank.import_statement(doomed, statement, HOUSE, bank.Order(NOW))
        assert await connection.fetchval("select pg_terminate_backend($1, 10000)", doomed.get_server_pid())
        doomed.terminate()
        assert await take(pool, movement("1", 1000, symbol)) == (1, 0, 1)
        assert await balance(connection, box.driver, "driver") == 1000


class TestDecisions:
    """What a person says that a movement means."""

    async def test_a_payment_without_a_symbol_is_given_to_its_driver_and_taken_back(
        self, pool: asyncpg.Pool, connection: asyncpg.Connection, box: Box, operator: UUID
    ) -> None:
        await take(pool, movement("1", 1000))
        found, order = await movement_id(connection, "1"), bank.Order(NOW, operator, "why")
        for user_id in (box.owner, box.driver, box.driver):
            async with connection.transaction():
                await bank.assign_to_person(connection, found, (user_id, DRIVER), HOUSE, order)
        assert await balance(connection, box.owner, "driver") == 0
        assert await balance(connection, box.driver, "driver") == 1000
        assert await connection.fetchval("select count(*) from transfers") == 3, "the third changes nothing"
        async with connection.transaction():
            await bank.set_aside(connection, found, bank.OPENED, HOUSE, order)
        assert await balance(connection, box.driver, "driver") == 0
        async with connection.transaction():
            await bank.set_aside(connection, found, bank.IGNORED, HOUSE, order)
        assert await connection.fetchval("select count(*) from bank_postings") == 5

    async def test_money_that_goes_back_leaves_the_drivers_account(
        self, pool: asyncpg.Pool, connection: asyncpg.Connection, box: Box, operator: UUID
    ) -> None:
        symbol = await symbol_of(connection, box.driver)
        await take(pool, movement("1", 1000, symbol), movement("2", -400))
        async with connection.transaction():
            await bank.assign_to_person(
                connection, await movement_id(connection, "2"), (box.driver, DRIVER), HOUSE, bank.Order(NOW, operator)
            )
        assert await balance(connection, box.driver, "driver") == 600
        assert await connection.fetchval("select array_agg(kind order by id) from transfers") == ["top_up", "refund"]

    async def test_two_decisions_at_once_follow_each_other(
        self, pool: asyncpg.Pool, connection: asyncpg.Connection, box: Box, operator: UUID
    ) -> None:
        await take(pool, movement("1", 1000))
        found = await movement_id(connection, "1")

        async def decide(user_id: UUID) -> None:
            async with pool.acquire() as other, other.transaction():
                await bank.assign_to_person(other, found, (user_id, DRIVER), HOUSE, bank.Order(NOW, operator))

        await asyncio.gather(*(decide(user_id) for user_id in (box.driver, box.owner) * 3))
        standing = [await balance(connection, user_id, "driver") for user_id in (box.driver, box.owner)]
        assert sorted(standing) == [0, 1000]

    async def test_a_movement_that_is_not_there(self, connection: asyncpg.Connection, operator: UUID) -> None:
        with pytest.raises(NotFound):
            async with connection.transaction():
                await bank.set_aside(connection, uuid4(), bank.IGNORED, HOUSE, bank.Order(NOW, operator))


class TestPayouts:
    """Money for owners."""

    @pytest.fixture
    async def earned(self, pool: asyncpg.Pool, connection: asyncpg.Connection, box: Box) -> Box:
        """55.00 on the owner's account, and somewhere to pay it."""
        await add_session(connection, box)
        await settle_all(pool)
        await connection.execute("insert into payout_accounts values ($1, $2, 'Jana', now())", box.owner, IBAN)
        return box

    async def run(self, pool: asyncpg.Pool, by: UUID, least_minor: int = 100) -> list[UUID]:
        async with pool.acquire() as connection, connection.transaction():
            return await payouts.run(connection, "CZK", least_minor, by, NOW)

    async def symbol(self, connection: asyncpg.Connection, payout_id: UUID) -> str:
        return to_symbol(await connection.fetchval("select number from payouts where id = $1", payout_id))

    async def test_a_run_takes_whole_balances_and_each_once(
        self, pool: asyncpg.Pool, connection: asyncpg.Connection, earned: Box, operator: UUID
    ) -> None:
        assert await self.run(pool, operator, 5501) == []
        runs = await asyncio.gather(*(self.run(pool, operator) for _ in range(6)))
        [made] = [payout_id for run in runs for payout_id in run]
        row = await connection.fetchrow("select amount_minor, iban, status from payouts where id = $1", made)
        assert tuple(row.values()) == (5500, IBAN, "open")
        assert await balance(connection, earned.owner, "owner") == 5500, "posted when it is paid"

    async def test_the_banks_statement_pays_it_once(
        self, pool: asyncpg.Pool, connection: asyncpg.Connection, earned: Box, operator: UUID
    ) -> None:
        [made] = await self.run(pool, operator)
        symbol = await self.symbol(connection, made)
        wrong = [movement("1", -5499, symbol), movement("2", 5500, symbol), movement("3", -5500, symbol, "EUR")]
        assert await take(pool, *wrong) == (3, 0, 0)
        assert await take(pool, movement("4", -5500, symbol), movement("5", -5500, symbol)) == (2, 0, 1)
        assert await balance(connection, earned.owner, "owner") == 0
        row = await connection.fetchrow("select status, ended_at, ended_by from payouts")
        assert tuple(row.values()) == ("paid", NOW, None)
        found = await movement_id(connection, "4")
        with pytest.raises(Conflict, match="final"):
            async with connection.transaction():
                await bank.set_aside(connection, found, bank.IGNORED, HOUSE, bank.Order(NOW, operator))

    async def test_an_operator_confirms_and_the_statement_says_it_again(
        self, pool: asyncpg.Pool, connection: asyncpg.Connection, earned: Box, operator: UUID
    ) -> None:
        [made] = await self.run(pool, operator)
        symbol = await self.symbol(connection, made)

        async def confirm() -> bool:
            try:
                async with pool.acquire() as other, other.transaction():
                    await payouts.confirm(other, made, HOUSE, operator, NOW)
            except Conflict:
                return False
            return True

        done = await asyncio.gather(*(confirm() for _ in range(3)), take(pool, movement("1", -5500, symbol)))
        assert await take(pool, movement("2", -5500, symbol)) == (1, 0, 0), "paid twice: a person looks at it"
        assert sum(each is True for each in done) <= 1
        assert await balance(connection, earned.owner, "owner") == 0
        assert await connection.fetchval("select count(*) from transfers where kind = 'payout'") == 1

    async def test_a_cancelled_payout_leaves_the_money_and_may_be_made_again(
        self, pool: asyncpg.Pool, connection: asyncpg.Connection, earned: Box, operator: UUID
    ) -> None:
        [made] = await self.run(pool, operator)
        async with connection.transaction():
            await payouts.cancel(connection, made, operator, NOW)
        for end in (payouts.cancel(connection, made, operator, NOW),
                    payouts.confirm(connection, made, HOUSE, operator, NOW)):  # fmt: skip
            with pytest.raises(Conflict, match="cancelled already"):
                async with connection.transaction():
                    await end
        assert await take(pool, movement("1", -5500, await self.symbol(connection, made))) == (1, 0, 0)
        [again] = await self.run(pool, operator)
        found = await movement_id(connection, "1")
        with pytest.raises(Invalid):
            async with connection.transaction():
                await bank.assign_to_payout(connection, found, made, HOUSE, bank.Order(NOW, operator))
        async with connection.transaction():
            await bank.assign_to_person(connection, found, (earned.driver, DRIVER), HOUSE, bank.Order(NOW, operator))
        async with connection.transaction():
            await bank.assign_to_payout(connection, found, again, HOUSE, bank.Order(NOW, operator, "the old symbol"))
        assert await balance(connection, earned.owner, "owner") == 0
        assert await balance(connection, earned.driver, "driver") == -5500, "what was his by mistake is taken back"

    async def test_no_more_is_paid_than_there_is(
        self, pool: asyncpg.Pool, connection: asyncpg.Connection, earned: Box, operator: UUID
    ) -> None:
        """A movement that was wrongly given to the owner is taken back while the payout is open."""
        await take(pool, movement("1", 1000))
        found, order = await movement_id(connection, "1"), bank.Order(NOW, operator)
        async with connection.transaction():
            await bank.assign_to_person(connection, found, (earned.owner, OWNER), HOUSE, order)
        [made] = await self.run(pool, operator)
        async with connection.transaction():
            await bank.set_aside(connection, found, bank.OPENED, HOUSE, order)
        with pytest.raises(Conflict, match="fallen below"):
            async with connection.transaction():
                await payouts.confirm(connection, made, HOUSE, operator, NOW)
        assert await balance(connection, earned.owner, "owner") == 5500

    async def test_owners_without_an_account_number_wait(
        self, pool: asyncpg.Pool, connection: asyncpg.Connection, earned: Box, operator: UUID
    ) -> None:
        await connection.execute("delete from payout_accounts")
        assert await self.run(pool, operator) == []
