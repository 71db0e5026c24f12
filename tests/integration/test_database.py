"""Connections for what is only read: taken in turn, given back whatever happens, and replaced where they broke."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final, Self

import asyncpg
import pytest
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from api.database import READS_AT_ONCE, Database, make_engine, raw
from api.errors import DatabaseAway
from api.settings import Settings
from standalone.databases import DatabaseUrls

SIZE = READS_AT_ONCE + 1
Way = Callable[[Database], AbstractAsyncContextManager[Any]]
WAYS: Final = {
    "transaction": (Database.transaction, SIZE),
    "short": (Database.reading, READS_AT_ONCE),
    "long": (Database.long_reading, SIZE),
}
each_way = pytest.mark.parametrize(("way", "most"), WAYS.values(), ids=WAYS.keys())
any_way = pytest.mark.parametrize("way", [way for way, _ in WAYS.values()], ids=WAYS.keys())


@pytest.fixture
async def served(database: DatabaseUrls) -> AsyncIterator[Database]:
    settings = Settings(database_url=SecretStr(database.application), database_pool_size=SIZE)
    served = Database(make_engine(settings))
    yield served
    await served.close()


async def own_process(served: Database) -> int:
    async with served.reading() as connection:
        found: int = await connection.fetchval("select pg_backend_pid()")
    return found


async def test_who_comes_when_all_are_taken_waits(served: Database) -> None:
    assert len(set(await asyncio.gather(*(own_process(served) for _ in range(10 * SIZE))))) == READS_AT_ONCE
    async with AsyncExitStack() as held:
        connections = [await held.enter_async_context(served.long_reading()) for _ in range(SIZE)]
        waiting = asyncio.create_task(own_process(served))
        seen = {await connection.fetchval("select pg_backend_pid()") for connection in connections}
        assert not waiting.done()
    assert await waiting in seen


async def test_one_that_breaks_in_the_middle_is_replaced(served: Database) -> None:
    seen = {await own_process(served)}
    for _ in range(2 * SIZE):  # more than there are
        with pytest.raises(DatabaseAway):
            async with served.reading() as connection:
                await connection.execute("select pg_terminate_backend(pg_backend_pid())")
        seen.add(await own_process(served))
    assert len(seen) == 2 * SIZE + 1


class QuietLink:
    """Between the api and PostgreSQL: passes on what servers say, and never that they have ended."""

    def __init__(self, server: str) -> None:
        self.port = 0
        self._server = server
        self._clients: list[asyncio.StreamWriter] = []
        self._muted: list[asyncio.StreamWriter] = []

    def mute(self) -> None:
        """From now on the servers of today's connections are heard no more."""
        self._muted = list(self._clients)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Self]:
        """At a free port; clients are let go at the end."""
        async with await asyncio.start_server(self._join, "127.0.0.1", 0) as listener:
            self.port = listener.sockets[0].getsockname()[1]
            yield self
            for client in self._clients:
                client.close()
                await client.wait_closed()

    async def _join(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        self._clients.append(client)
        answers, server = await asyncio.open_unix_connection(self._server)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._pass_on(answers, client))
            await self._pass_on(reader, server)
            server.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if writer not in self._muted:
                    writer.write(data)
                    await writer.drain()


@pytest.fixture
async def link(database: DatabaseUrls) -> AsyncIterator[QuietLink]:
    place = make_url(database.application).query
    async with QuietLink(f"{place['host']}/.s.PGSQL.{place['port']}").listening() as link:
        yield link


@pytest.fixture
async def linked(database: DatabaseUrls, link: QuietLink, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """Over that link, with little patience."""
    monkeypatch.setattr("api.database.COMMAND_TIMEOUT_S", 3.0)
    url = make_url(database.application).set(host="127.0.0.1", port=link.port, query={})
    linked = Database(make_engine(Settings(database_url=SecretStr(url.render_as_string(hide_password=False)))))
    yield linked
    await linked.close()


async def ask(served: Database, way: Way) -> None:
    async with way(served) as connection:
        await (await raw(connection) if way is Database.transaction else connection).fetchval("select 1")


@any_way
async def test_one_that_was_ended_and_does_not_look_so_is_replaced(
    linked: Database, served: Database, way: Way
) -> None:
    for _ in range(2):
        old = await own_process(linked)
        async with asyncio.timeout(30), served.reading() as connection:
            await connection.execute("select pg_terminate_backend($1, 10000)", old)
        with pytest.raises(DatabaseAway):
            await ask(linked, way)
        await ask(linked, way)


@any_way
async def test_one_that_answers_no_more_is_replaced(linked: Database, link: QuietLink, way: Way) -> None:
    await ask(linked, way)
    link.mute()
    with pytest.raises(DatabaseAway):
        await ask(linked, way)
    await ask(linked, way)


async def test_what_fails_or_is_given_up_keeps_no_connection(served: Database) -> None:
    async def fail() -> None:
        async with served.reading() as connection:
            await connection.execute("select 1 / 0")

    async def sleep() -> None:
        async with served.reading() as connection:
            await connection.execute("select pg_sleep(60)")

    for _ in range(2 * SIZE):
        with pytest.raises(asyncpg.DivisionByZeroError):
            await fail()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sleep(), timeout=0.05)
    async with asyncio.timeout(30):
        assert await asyncio.gather(*(own_process(served) for _ in range(2 * SIZE)))


async def take(served: Database, held: AsyncExitStack, way: Way, count: int) -> None:
    for _ in range(count):
        await held.enter_async_context(way(served))


@each_way
async def test_who_waits_comes_in_turn(served: Database, way: Way, most: int) -> None:
    came: list[int] = []

    async def come(number: int) -> None:
        async with way(served):
            came.append(number)

    async with asyncio.timeout(30), asyncio.TaskGroup() as group, AsyncExitStack() as held:
        await take(served, held, way, most - 1)
        held.push_async_callback(come, 20)  # in the moment in which the first one is given back
        await take(served, held, way, 1)
        waiting = [group.create_task(come(number)) for number in range(20)]
        await asyncio.sleep(0)
        waiting[5].cancel()
    assert came == [number for number in range(21) if number != 5]


@each_way
async def test_who_waits_too_long_is_told_so(served: Database, way: Way, most: int) -> None:
    async with asyncio.timeout(30), AsyncExitStack() as held:
        await take(served, held, way, most)
        with pytest.raises(DatabaseAway):
            async with way(served):
                pass
    async with way(served):
        pass


async def test_short_reads_leave_connections_to_others(served: Database) -> None:
    async with asyncio.timeout(30), AsyncExitStack() as held:
        await take(served, held, Database.reading, READS_AT_ONCE)
        async with served.long_reading() as connection:
            assert await connection.fetchval("select 1") == 1
    async with asyncio.timeout(30), served.long_reading(), AsyncExitStack() as held:
        await take(served, held, Database.reading, READS_AT_ONCE)
