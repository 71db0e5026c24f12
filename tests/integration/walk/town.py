"""The real side of the walk: what people, wallboxes and the bank do, by the operations and handlers that serve them.

Nothing here knows what ought to come of it; that is `model`.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime, time, timedelta
from typing import Any, Self, TypeVar
from uuid import UUID

import asyncpg
import orjson
from pydantic import SecretStr
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from api.accounting.tariff import energy_price_e4, flat_tariff
from api.bus import LiveConnection
from api.charge_points import commands
from api.credit.holds import CreditTerms, release_ended
from api.database import Database, make_engine, make_pool, raw
from api.identity.caller import Caller
from api.listener.calls import HANDLERS
from api.paging import PageRequest
from api.schema import charge_points
from api.settings import Settings
from api.settlement import bank, review
from api.settlement.bank_statement import Movement, Statement
from api.settlement.decisions import Decision, Order, Registers, carry_out, find_decided_by
from api.settlement.payment_order import to_symbol
from api.settlement.settling import settle_next
from api.settlement.snapshots import close_what_is_over
from api.sharing import groups, handover, operations
from api.sharing.authorization import authorize
from api.sharing.decision import Decision as Verdict
from api.sharing.operations import Spot
from api.sharing.windows import Window
from api.tariffs import operations as tariff_operations
from api.tariffs.in_force import tariff_in_force
from api.transactions.operations import TransactionFilter, list_visible
from standalone.databases import DatabaseUrls
from tests.integration.listener.gateway import call
from tests.integration.walk.things import FEE_BP, HOLD, LIMIT, RATED_POWER_W, Box, Given

HOUSE = bank.House("CZ6508000000192000145399", "CZK", "Europe/Prague")
CREDIT = CreditTerms(HOLD, LIMIT)
EVERYTHING = PageRequest(100)
LONG_AGO = timedelta(days=365)
BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}
LOCATION = (
    "insert into locations (owner_id, name, address, city, country) values ($1, 'Yard', 'A 1', 'B', 'CZE') returning id"
)
BOX = """
insert into charge_points (owner_id, identity, key_digest, location_id, rated_power_w, created_at)
values ($1, $2, '', $3, $4, $5) returning id
"""
PERSON = """
insert into users (email, password_hash, role, email_verified_at) values ($1, '', $2, now()) returning id
"""
Result = TypeVar("Result")


class Town:
    """A database with a few people, wallboxes and a bank account, seen by the restricted role."""

    def __init__(self, pool: asyncpg.Pool, database: Database) -> None:
        self.pool = pool
        self.database = database
        self.emails: dict[UUID, str] = {}
        self.symbols: dict[UUID, str] = {}
        self.operator: Caller

    @classmethod
    async def found(cls, urls: DatabaseUrls) -> Self:
        """With an operator in it and nobody else."""
        settings = Settings(database_url=SecretStr(urls.application), database_pool_size=4)
        town = cls(await make_pool(settings), Database(make_engine(settings)))
        town.operator = Caller(await town.add_person("operator"), uuid.uuid4(), "operator")
        return town

    async def close(self) -> None:
        """Closes what it opened."""
        await self.pool.close()
        await self.database.close()

    async def alone(self, work: Callable[[asyncpg.Connection], Awaitable[Result]]) -> Result:
        """In a database transaction of a connection of its own, as a listener works."""
        async with self.pool.acquire() as connection, connection.transaction():
            return await work(connection)

    async def add_person(self, role: str = "user") -> UUID:
        """With an id tag and a variable symbol."""
        email = f"{uuid.uuid4().hex}@example.org"

        async def add(connection: asyncpg.Connection) -> UUID:
            made: UUID = await connection.fetchval(PERSON, email, role)
            add_tag = "insert into id_tags (user_id, tag, kind) values ($1, $2, 'card')"
            await connection.execute(add_tag, made, tag_of(made))
            add_symbol = "insert into payment_symbols (user_id) values ($1) returning number"
            self.symbols[made] = to_symbol(await connection.fetchval(add_symbol, made))
            return made

        made = await self.alone(add)
        self.emails[made] = email
        return made

    async def add_box(self, owner: UUID, now: datetime) -> Box:
        """At a location of its owner's, booted once."""

        async def add(connection: asyncpg.Connection) -> Box:
            location = await connection.fetchval(LOCATION, owner)
            columns = (owner, uuid.uuid4().hex, location, RATED_POWER_W, now - LONG_AGO)
            return Box(await connection.fetchval(BOX, *columns), owner, location)

        return await self.alone(add)

    # --- owners

    async def add_group(self, owner: UUID, now: datetime) -> UUID:
        """Without members."""
        async with self.database.transaction() as connection:
            return (await groups.create(connection, owner, "Friends", now)).id  # type: ignore[no-any-return]

    async def change_member(self, owner: UUID, group: UUID, person: UUID, *, joins: bool, now: datetime) -> None:
        """Takes a person in, or out."""
        async with self.database.transaction() as connection:
            if joins:
                await groups.add_member(connection, owner, group, self.emails[person], now)
            else:
                await groups.remove_member(connection, owner, group, person)

    async def set_price(self, box: Box, price_e4: int, now: datetime) -> None:
        """Of the wallbox's own tariff."""
        async with self.database.transaction() as connection:
            await tariff_operations.set_own_price(connection, box.id, flat_tariff(price_e4, "CZK"), now)

    async def add_tariff(self, owner: UUID, price_e4: int, now: datetime, begins: datetime) -> UUID:
        """One that can be assigned."""
        async with self.database.transaction() as connection:
            row = await tariff_operations.create(connection, owner, "Night", now)
            await tariff_operations.add_version(connection, row, flat_tariff(price_e4, "CZK"), now, valid_from=begins)
            return row.id  # type: ignore[no-any-return]

    async def assign(self, box: Box, tariff: UUID | None, now: datetime) -> None:
        """Of everybody at the wallbox."""
        async with self.database.transaction() as connection:
            await tariff_operations.assign(connection, await row_of(connection, box), tariff, now)

    async def show(self, box: Box, visibility: str) -> None:
        """Private, shared or public."""
        async with self.database.transaction() as connection:
            this = update(charge_points).where(charge_points.c.id == box.id)
            await connection.execute(this.values(visibility=visibility))

    async def grant(self, spot: Spot, grantee: dict[str, Any], terms: dict[str, Any], now: datetime) -> Any:
        """A new grant's row."""
        async with self.database.transaction() as connection:
            named = {"email": None, "group_id": None} | grantee
            columns = await operations.name_grantee(connection, spot, **named, may_invite=False)
            return await operations.create_grant(connection, spot, columns, terms, now)

    async def price_grant(self, grant: Given, tariff: UUID) -> None:
        """Gives it a tariff of its own."""
        async with self.database.transaction() as connection:
            row = await operations.find_given(connection, self.operator, grant.id)
            await tariff_operations.assign_to_grant(connection, row, tariff)

    async def change(self, grant: Given, changes: dict[str, Any], now: datetime) -> UUID:
        """The id of its next version."""
        async with self.database.transaction() as connection:
            row = await operations.change_grant(connection, self.operator, grant.id, changes, now)
            return row.id  # type: ignore[no-any-return]

    async def revoke(self, grant: Given, now: datetime) -> None:
        """At once."""
        async with self.database.transaction() as connection:
            await operations.revoke_given(connection, self.operator, grant.id, now)

    async def offer(self, box: Box, to: UUID, now: datetime) -> UUID:
        """The first half of a hand-over."""
        async with self.database.transaction() as connection:
            row = await handover.offer(connection, await row_of(connection, box), box.owner, self.emails[to], now)
            return row.id  # type: ignore[no-any-return]

    async def accept(self, to: UUID, offer: UUID, now: datetime) -> None:
        """The other half."""
        async with self.database.transaction() as connection:
            await handover.accept(connection, caller(to), offer, now)

    async def withdraw(self, box: Box, now: datetime) -> None:
        """Takes an offer back that nobody could accept."""
        async with self.database.transaction() as connection:
            await handover.withdraw(connection, box.id, now)

    # --- wallboxes and guests

    async def send(self, action: str, box: Box, payload: dict[str, Any], now: datetime, copies: int = 1) -> Any:
        """What the wallbox is answered; the same message sent several times at once gets one answer."""
        received_at = now.timestamp()

        async def once() -> Any:
            message = call(str(box.id), action, payload, received_at=received_at)
            answer = await self.alone(lambda connection: HANDLERS[action](connection, message, now))
            assert not answer.error_code, answer
            return orjson.loads(answer.payload)

        answers = await asyncio.gather(*(once() for _ in range(copies)))
        assert all(answer == answers[0] for answer in answers)
        return answers[0]

    async def start_by_app(self, person: UUID, box: Box, connector: int, now: datetime) -> UUID:
        """The command, accepted by the wallbox."""
        live = LiveConnection("gw", 1, now.timestamp())
        async with self.database.transaction() as connection:
            payload = {"idTag": tag_of(person), "connectorId": connector}
            order = commands.Call(await row_of(connection, box), "RemoteStartTransaction", payload)
            made = await commands.create(connection, caller(person), order, live, credit=CREDIT, now=now)
        async with self.pool.acquire() as driver:
            await driver.execute("update commands set status = 'accepted', finished_at = $2 where id = $1", made, now)
        return made

    async def ask(self, tag: str, box: Box, connector: int | None, now: datetime) -> Verdict:
        """Whether somebody may charge there."""
        return await self.alone(lambda connection: authorize(connection, box.id, tag, now, starting_on=connector))

    async def price(self, box: Box, at: datetime) -> int | None:
        """Of a kWh, for somebody without a grant."""
        found = await self.alone(lambda connection: tariff_in_force(connection, box.id, None, at))
        return None if found is None else energy_price_e4(found.tariff)

    # --- money

    async def take(self, lines: list[Movement], now: datetime) -> int:
        """Imports a bank statement; how many of its lines were new."""
        statement = Statement(None, list(enumerate(lines, 2)))
        order = bank.Order(now)
        summary = await self.alone(lambda connection: bank.import_statement(connection, statement, HOUSE, order))
        return summary.new

    async def settle(self, now: datetime, workers: int) -> None:
        """The chore, by several listeners."""

        async def work() -> None:
            while await self.alone(lambda connection: settle_next(connection, FEE_BP, now)) is not None:
                pass

        await asyncio.gather(*(work() for _ in range(workers)))

    async def close_books(self, now: datetime) -> None:
        """The chores of long waiting."""
        await self.alone(lambda connection: close_what_is_over(connection, now))
        await self.alone(lambda connection: release_ended(connection, now))

    async def decide(self, by: UUID, session: UUID, decision: Decision, registers: Registers, now: datetime) -> None:
        """As the operator, or as whose wallbox it was."""
        who = self.operator if by == self.operator.user_id else caller(by)
        async with self.database.transaction() as connection:
            row = await find_decided_by(connection, who, session)
            await carry_out(connection, row, Order(decision, "why", by, now, registers), FEE_BP)

    # --- what people see

    async def seen_by(self, person: UUID) -> tuple[set[UUID], set[UUID]]:
        """All sessions, and those about which the person decides."""
        async with self.database.transaction() as connection:
            rows, _ = await list_visible(connection, caller(person), TransactionFilter(), EVERYTHING)
            held, _ = await review.list_held(await raw(connection), caller(person), EVERYTHING)
        return {row.public_id for row in rows}, {row["transaction_id"] for row in held}


def caller(person: UUID) -> Caller:
    """Somebody who is logged in."""
    return Caller(person, uuid.uuid4(), "user")


def tag_of(person: UUID) -> str:
    """Everybody has one card."""
    return person.hex[:20].upper()


async def row_of(connection: AsyncConnection, box: Box) -> Any:
    """As the routes hand it on."""
    return (await connection.execute(select(charge_points).where(charge_points.c.id == box.id))).one()


def windows_of(hours: list[tuple[time, time]]) -> list[dict[str, Any]]:
    """As a grant keeps them."""
    return [Window(start, end).to_json() for start, end in hours]
