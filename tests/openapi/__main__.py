"""`python -m tests.openapi`: schemathesis as each role, with all phases. Exit status 1 where one found a failure."""

import argparse
import asyncio
import shutil
import sys
import time
from pathlib import Path

from standalone.databases import DatabaseUrls, alembic, create_database
from standalone.servers import start_postgres, start_redis
from tests.harness.campaigns import conduct, make_folder
from tests.harness.stack import Stack
from tests.openapi import campaign


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.openapi", description="Asks every operation of the API.")
    parser.add_argument("--examples", type=int, default=50, help="cases per operation and phase")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the same seed gives the same cases")
    parser.add_argument("--roles", nargs="+", default=campaign.ROLES, choices=campaign.ROLES)
    parser.add_argument("more", nargs="*", help="options of `schemathesis run`, after --")
    arguments = parser.parse_args()
    folder = make_folder("openapi")
    postgres, redis = start_postgres(folder / "postgres"), start_redis(folder / "redis")
    try:
        urls = asyncio.run(create_database(postgres.url, "voltuj", "test"))
        migrated = alembic(urls, "upgrade", "head")
        assert migrated.returncode == 0, migrated.stderr
        status = conduct(_run(folder, urls, redis.url, arguments), folder)
    finally:
        redis.stop()
        postgres.stop()
    shutil.rmtree(folder, ignore_errors=True)
    return status


async def _run(folder: Path, urls: DatabaseUrls, redis_url: str, arguments: argparse.Namespace) -> int:
    options = ["--max-examples", str(arguments.examples), *arguments.more]
    async with Stack(folder, urls, redis_url, "openapi:") as stack:
        outcomes = await campaign.run(stack, seed=arguments.seed, arguments=options, roles=tuple(arguments.roles))
    for outcome in outcomes:
        print(outcome.text)
        print(f"{outcome.role}: {'failures' if outcome.status else 'nothing wrong'} (seed {arguments.seed})")
    return max(outcome.status for outcome in outcomes)


if __name__ == "__main__":
    sys.exit(main())
