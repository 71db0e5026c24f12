"""`python -m api.migrations`: `alembic upgrade head`, but what a later release has migrated is left as it is.

That is how production migrates, so that `docker compose up` also works on the way back to an older release (ADR 0012).
"""

import asyncio

import asyncpg
from alembic import util
from alembic.config import main as alembic

from api.migrations import Standing, known_revisions
from api.settings import read_settings


async def _found(dsn: str) -> str:
    """The revision that the database is at; empty where it has no tables."""
    connection = await asyncpg.connect(dsn)
    try:
        if await connection.fetchval("select to_regclass('alembic_version')") is None:
            return ""
        return await connection.fetchval("select version_num from alembic_version") or ""
    finally:
        await connection.close()


def main() -> None:
    found = asyncio.run(_found(read_settings().owner_dsn))
    if known_revisions().standing(found) is Standing.LATER:
        util.msg(f"The database is at revision {found} of a later release: nothing to migrate.")
    else:
        alembic(["upgrade", "head"])


if __name__ == "__main__":
    main()
