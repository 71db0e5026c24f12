"""Is the installation well: settings, PostgreSQL, Redis and who is up. Looks, and changes nothing."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from statistics import median
from typing import Final
from urllib.parse import urlsplit

import asyncpg
from redis.exceptions import RedisError

from api.administration.backups import BackupError, find_program
from api.administration.verdicts import Finding, broken, doubtful, healthy
from api.bus import make_bus
from api.database import CONNECT_TIMEOUT_S
from api.identity.tokens import EXAMPLE_WORDS, check_secret
from api.migrations import Standing, known_revisions
from api.settings import Settings, SettingsError

ROUND_TRIPS: Final = 9
SLOW_DATABASE_MS: Final = 20.0
"""Each message of a wallbox waits for a few round trips; beyond this, look at the network between the two."""
SLOW_REDIS_MS: Final = 10.0
CLOCK_WARN_S: Final = 2.0
CLOCK_FAIL_S: Final = 30.0
"""Deadlines of messages are 15 s: clocks further apart make every message late."""
MIGRATE: Final = "run: alembic upgrade head"
FINISH_UPGRADE: Final = "finish the upgrade: docker compose up -d (docs/production.md)"


def examine_settings(settings: Settings) -> list[Finding]:
    """Secrets that others know, and a database role that may do too much to be the services'."""
    findings = []
    try:
        check_secret(settings.jwt_secret.get_secret_value())
        findings.append(healthy("JWT_SECRET", "good"))
    except SettingsError as error:
        findings.append(broken("JWT_SECRET", "not good", str(error)))
    for name in ("database_url", "migrations_database_url", "redis_url"):
        secret = getattr(settings, name)
        password = (urlsplit(secret.get_secret_value()).password or "") if secret else ""
        if any(word in password.lower() for word in EXAMPLE_WORDS):
            findings.append(broken(name.upper(), "its password is an example", "make one with: openssl rand -hex 32"))
    return findings


async def examine_database(settings: Settings) -> list[Finding]:
    """PostgreSQL: reachable, quick, migrated, with our clock, and by the restricted role."""
    try:
        connection = await asyncpg.connect(settings.asyncpg_dsn, timeout=CONNECT_TIMEOUT_S)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        return [broken("PostgreSQL", f"does not let us in: {error}", "is it up, and is DATABASE_URL right?")]
    try:
        version = ".".join(str(part) for part in connection.get_server_version()[:2])
        latency_ms = await _latency_ms(lambda: connection.fetchval("select 1"))
        return [
            _judge_latency(f"PostgreSQL {version}", latency_ms, SLOW_DATABASE_MS),
            await _examine_migrations(connection),
            await _examine_role(connection),
            await _examine_clock(connection),
            _examine_programs(connection.get_server_version().major),
        ]
    finally:
        await connection.close()


async def _latency_ms(ask: Callable[[], Awaitable[object]]) -> float:
    """Median of a few round trips."""
    times = []
    for _ in range(ROUND_TRIPS):
        began = time.perf_counter()
        await ask()
        times.append(time.perf_counter() - began)
    return median(times) * 1000


def _judge_latency(subject: str, latency_ms: float, slow_ms: float) -> Finding:
    found = f"answers in {latency_ms:.1f} ms"
    if latency_ms > slow_ms:
        return doubtful(subject, found, "is the machine overloaded, or the server far away?")
    return healthy(subject, found)


async def _examine_migrations(connection: asyncpg.Connection) -> Finding:
    revisions = known_revisions()
    try:
        found = await connection.fetchval("select version_num from alembic_version")
    except (asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError):
        return broken("migrations", "the database has no tables yet", MIGRATE)
    standing = revisions.standing(found or "")
    if standing is Standing.LATER:
        return doubtful("migrations", f"at revision {found}, of a newer release than this one", FINISH_UPGRADE)
    if not standing.serves:
        return broken("migrations", f"at revision {found}, this release needs {revisions.newest}", MIGRATE)
    return healthy("migrations", f"at the newest revision, {found}")


async def _examine_role(connection: asyncpg.Connection) -> Finding:
    role = await connection.fetchrow(
        "select current_user as name, rolsuper, pg_has_role(current_user, datdba, 'usage') as owns"
        " from pg_roles, pg_database where rolname = current_user and datname = current_database()"
    )
    if role["rolsuper"] or role["owns"]:
        advice = "give DATABASE_URL a restricted role, and the owner to MIGRATIONS_DATABASE_URL alone"
        return doubtful("database role", f"{role['name']} may change tables and erase history", advice)
    return healthy("database role", f"{role['name']}, restricted")


def _examine_programs(server_major: int) -> Finding:
    try:
        found = [find_program(name, server_major) for name in ("pg_dump", "pg_restore")]
    except BackupError as error:
        return doubtful("backup", "cannot be made from here", str(error))
    return healthy("backup", ", ".join(found))


async def _examine_clock(connection: asyncpg.Connection) -> Finding:
    before = datetime.now(UTC)
    theirs = await connection.fetchval("select clock_timestamp()")
    apart_s = _outside(theirs, before, datetime.now(UTC))
    found, advice = f"{apart_s:.1f} s from PostgreSQL's", "let both machines follow NTP (timedatectl set-ntp true)"
    if apart_s > CLOCK_FAIL_S:
        return broken("clock", found, advice)
    return doubtful("clock", found, advice) if apart_s > CLOCK_WARN_S else healthy("clock", found)


def _outside(moment: datetime, earliest: datetime, latest: datetime) -> float:
    """Seconds by which `moment` lies outside the interval."""
    return max((earliest - moment).total_seconds(), (moment - latest).total_seconds(), 0.0)


async def examine_redis(settings: Settings) -> list[Finding]:
    """Redis: reachable and quick; and by its subscriptions, which listeners and gateways are up."""
    bus = make_bus(settings)
    try:
        latency_ms = await _latency_ms(bus.redis.ping)
        listeners = await bus.subscribed(bus.channels.listener_inboxes)
        gateways = await bus.subscribed(bus.channels.gateway_inboxes)
    except (RedisError, OSError) as error:
        return [broken("Redis", f"does not answer: {error}", "is it up, and is REDIS_URL right?")]
    finally:
        await bus.close()
    return [
        _judge_latency("Redis", latency_ms, SLOW_REDIS_MS),
        _judge_members("listeners", listeners, "docker compose logs listener"),
        _judge_members("gateways", gateways, "docker compose logs ocpp_gateway"),
    ]


def _judge_members(subject: str, channels: list[str], where: str) -> Finding:
    if not channels:
        return broken(subject, "none is up", f"wallboxes are refused until one is; see {where}")
    return healthy(subject, f"{len(channels)} up")
