"""How the api reaches PostgreSQL: an asyncpg pool for the listener, a SQLAlchemy engine for HTTP. No queries live here.

Commits happen once, at the edge: `Database.transaction()` is the edge of a request, the listener is its own.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
import orjson
from sqlalchemy import Executable, Row, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from api.errors import DatabaseAway, NotFound
from api.settings import Settings

CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 10.0
"""Below the gateway's deadline of 15 s, so that a stuck statement ends before its caller gives up."""
PING_AFTER_S = 30.0
"""A connection that rested for so long is tried before it is used: a firewall may have forgotten it."""
READS_AT_ONCE = 3
"""Short reads that one HTTP process has under way: PostgreSQL gets no more done of more, and its cores are shared."""
IDLE_IN_TRANSACTION_MS = 3000
"""A listener that freezes inside a transaction loses its locks, so that another one can serve its charge points."""


async def make_pool(settings: Settings) -> asyncpg.Pool:
    """A pool that opens connections when they are needed, so that a database that is down does not stop the start.

    For code that leaves no session state behind: connections are not reset between uses.
    """
    return await asyncpg.create_pool(
        settings.asyncpg_dsn,
        min_size=0,
        max_size=settings.database_pool_size,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=COMMAND_TIMEOUT_S,
        init=_read_json,
        reset=_keep,
        server_settings={
            "application_name": "voltuj-listener",
            "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_MS),
        },
    )


@asynccontextmanager
async def driver_transaction(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """A transaction on a connection of its own, for HTTP routes that do, once in a while, what the listener does.

    Raises:
        DatabaseAway: PostgreSQL does not answer, or went away.
    """
    with _as_away():
        connection = await asyncpg.connect(
            settings.asyncpg_dsn, timeout=CONNECT_TIMEOUT_S, command_timeout=COMMAND_TIMEOUT_S
        )
        try:
            await _read_json(connection)
            async with connection.transaction():
                yield connection
        finally:
            await connection.close()


async def _keep(connection: asyncpg.Connection) -> None:
    """Nothing to reset: the listener changes no session state, and the default costs a round trip each time."""


async def _read_json(connection: asyncpg.Connection) -> None:
    """jsonb as Python values both ways; numbers that must be exact are stored as integers or strings."""
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(
            kind,
            encoder=lambda value: orjson.dumps(value).decode(),
            decoder=orjson.loads,
            schema="pg_catalog",
        )


def make_engine(settings: Settings) -> AsyncEngine:
    """The engine behind HTTP requests; it connects at the first query."""
    url = make_url(settings.asyncpg_dsn).set(drivername="postgresql+asyncpg")
    engine = create_async_engine(
        url,
        pool_size=settings.database_pool_size,
        max_overflow=0,
        pool_timeout=CONNECT_TIMEOUT_S,
        pool_use_lifo=True,  # PostgreSQL's processes have plans and tables at hand while they are few
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
        connect_args={"timeout": CONNECT_TIMEOUT_S, "command_timeout": COMMAND_TIMEOUT_S},
    )
    event.listen(engine.sync_engine, "checkin", _note_rest)
    event.listen(engine.sync_engine, "checkout", _check_fresh)
    return engine


def _note_rest(_connection: object, record: Any) -> None:  # noqa: ANN401 - of SQLAlchemy's pool
    record.info["rests_since"] = time.monotonic()


def _check_fresh(connection: Any, record: Any, _fairy: object) -> None:  # noqa: ANN401 - of SQLAlchemy's pool
    """Has the pool replace a connection that does not work any more.

    What the server closed is known at once, without asking it: SQLAlchemy's `pool_pre_ping` would cost three round
    trips each time.
    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError
    if time.monotonic() - record.info.get("rests_since", time.monotonic()) > PING_AFTER_S:
        try:
            connection.ping()
        except Exception as error:  # whatever it is, the pool connects anew, and says what is wrong then
            raise InvalidatePoolError from error


AWAY_STATES = ("08", "53", "57P")
"""SQLSTATE classes: connection exception, insufficient resources, operator intervention."""


def is_away(error: Exception) -> bool:
    """Whether the server is what failed, not the statement."""
    if isinstance(error, OSError | TimeoutError | PoolTimeout | asyncpg.InternalClientError):
        return True  # the last one: asked on a connection whose server has said that it ends, before its end arrived
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        error = error.orig if isinstance(error.orig, Exception) else error
    state = getattr(error, "sqlstate", None) or ""
    return state.startswith(AWAY_STATES)


@contextmanager
def _as_away(*also: type[Exception]) -> Iterator[None]:
    """Says that the database is away, of what `is_away` knows and of `also`; the rest passes as it is."""
    try:
        yield
    except Exception as error:
        if is_away(error) or isinstance(error, also):
            raise DatabaseAway from error
        raise


async def raw(connection: AsyncConnection) -> asyncpg.Connection:
    """The driver's connection under a request's: the same database transaction."""
    found = (await connection.get_raw_connection()).driver_connection
    assert isinstance(found, asyncpg.Connection)  # noqa: S101 - for the type checker
    if not found.is_in_transaction():
        await connection.execute(text("select"))  # SQLAlchemy begins the transaction with the first statement
    return found


async def find_one(connection: AsyncConnection, query: Executable) -> Row[Any]:
    """The one row of a query.

    Raises:
        NotFound: there is none.
    """
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound
    return row


class Database:
    """The engine of one HTTP process, held by the application's state.

    Who finds all connections taken waits in the order of coming. The pool would let newcomers pass: with 40 clients
    for ten connections the slowest hundredth waited five times as long.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        pool = engine.pool
        assert isinstance(pool, AsyncAdaptedQueuePool)  # noqa: S101 - for the type checker
        self.engine = engine
        self._connections = asyncio.Semaphore(pool.size())
        self._reads = asyncio.Semaphore(READS_AT_ONCE)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """One request, one transaction: committed when the block ends well, rolled back when it raises.

        Raises:
            DatabaseAway: PostgreSQL does not answer, or went away, or no connection came free in time.
        """
        with _as_away():
            async with _one_of(self._connections), self.engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[asyncpg.Connection]:
        """The driver's connection for short queries, each one round trip: they have no transaction in common.

        It is held for queries alone, not while Redis is asked, and never taken within another: both would wait.

        Raises:
            DatabaseAway: as for a transaction.
        """
        with _as_away():
            async with _one_of(self._reads), self.long_reading() as connection:
                yield connection

    @asynccontextmanager
    async def long_reading(self) -> AsyncIterator[asyncpg.Connection]:
        """The same for queries that take long: they are not among the few short ones, whom they would hold up.

        Raises:
            DatabaseAway: as for a transaction.
        """
        with _as_away(asyncpg.InterfaceError):
            async with _one_of(self._connections):
                pooled = await self.engine.raw_connection()
                try:
                    yield pooled.driver_connection
                except Exception as error:
                    if is_away(error):
                        pooled.invalidate(error)  # it may look well, and its next user would wait for an answer as long
                    raise
                finally:
                    pooled.close()  # nothing to wait for: it goes back, or is cut off where it broke

    async def close(self) -> None:
        """Closes every pooled connection."""
        await self.engine.dispose()


@asynccontextmanager
async def _one_of(places: asyncio.Semaphore) -> AsyncIterator[None]:
    """Waits for a place, in the order of coming and no longer than for a new connection."""
    async with asyncio.timeout(CONNECT_TIMEOUT_S if places.locked() else None):
        await places.acquire()
    try:
        yield
    finally:
        places.release()
