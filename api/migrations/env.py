"""Alembic's entry: connects as the owner of the database and compares it with `api.schema`.

One advisory lock lets several replicas start `alembic upgrade head` at once. Upgrades run while the services work: a
statement that cannot have its table's lock soon fails, and with it its revision, before wallboxes run out of patience.
"""

import asyncio

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import SchemaItem

from api.schema import PARTITIONED, metadata
from api.settings import Settings

MIGRATION_LOCK = 0x766F6C74  # "volt"
LOCK_TIMEOUT_S = 5
"""Who wants a table's lock makes all others wait behind it; a message of a wallbox waits 15 s at most."""
LOCK_RETRY_S = 0.2


def include_object(
    item: SchemaItem, name: str | None, kind: str, reflected: bool, compare_to: SchemaItem | None
) -> bool:
    """Leaves out partitions, which `ensure_partitions()` makes, and their indexes."""
    table = name if kind == "table" else getattr(getattr(item, "table", None), "name", None)
    return not (reflected and table and any(table.startswith(f"{parent}_p") for parent in PARTITIONED))


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_object=include_object,
        compare_server_default=False,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def take_lock(connection: AsyncConnection) -> None:
    """Asks again and again: for a statement that waits, an index that is built concurrently would wait in turn."""
    while True:
        asked = await connection.execute(text("select pg_try_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
        if asked.scalar_one():
            return
        await asyncio.sleep(LOCK_RETRY_S)


async def run_online(settings: Settings) -> None:
    url = make_url(settings.owner_dsn).set(drivername="postgresql+asyncpg")
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as lock:
        await take_lock(await lock.execution_options(isolation_level="AUTOCOMMIT"))
        async with engine.connect() as connection:
            await connection.execute(text(f"set lock_timeout = '{LOCK_TIMEOUT_S}s'"))
            await connection.commit()
            await connection.run_sync(run)
            await connection.commit()
    await engine.dispose()


def run_offline(settings: Settings) -> None:
    context.configure(url=settings.owner_dsn, target_metadata=metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def main() -> None:
    settings = Settings()
    context.config.attributes["application_role"] = settings.application_role
    if context.is_offline_mode():
        run_offline(settings)
    else:
        asyncio.run(run_online(settings))


main()
