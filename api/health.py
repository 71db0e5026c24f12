"""For whoever runs the installation: is the process alive, is it ready, and its metrics."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from pydantic import BaseModel, ConfigDict, Field
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from starlette.responses import PlainTextResponse

from api.bus import Bus
from api.database import Database
from api.errors import DatabaseAway, Unavailable
from api.migrations import Revisions
from api.problems import problem_docs
from api.request import CurrentBus, CurrentDatabase

log = structlog.get_logger(__name__)
router = APIRouter(tags=["system"])

PATIENCE_S = 3.0
HOW_TO_MIGRATE = "run: alembic upgrade head"
NOT_MIGRATED = ("42P01", "42501")
"""SQLSTATE: undefined table, and insufficient privilege, which the first migration gives."""


class NotReady(Unavailable):
    """Something that the process needs is missing; `failed` names it."""

    slug = "not-ready"
    title = "Not ready"
    example = "Not ready: PostgreSQL does not answer."


class Health(BaseModel):
    """All is well."""

    model_config = ConfigDict(json_schema_extra={"example": {"status": "ok"}})

    status: str = Field(default="ok", description="always `ok`: anything else is an error")


@router.get("/healthz", summary="Is the process alive", responses=problem_docs(public=True))
async def check_alive() -> Health:
    """Answers as long as the process can; asks nobody else."""
    return Health()


@router.get("/readyz", summary="Can the process serve", responses=problem_docs(NotReady, public=True))
async def check_ready(request: Request, database: CurrentDatabase, bus: CurrentBus) -> Health:
    """PostgreSQL and Redis answer, and the database has every migration; otherwise 503 says what is missing."""
    revisions: Revisions = request.app.state.revisions
    checks = (_check(lambda: _check_database(database, revisions)), _check(lambda: _check_redis(bus)))
    failed = [reason for reason in await asyncio.gather(*checks) if reason]
    if failed:
        raise NotReady(f"Not ready: {'; '.join(failed)}.", failed=failed)
    return Health()


@router.get(
    "/metrics",
    summary="Read the metrics",
    response_class=PlainTextResponse,
    responses=problem_docs(public=True)
    | {200: {"content": {"text/plain": {"example": "# TYPE voltuj_http_request_duration_seconds histogram"}}}},
)
async def read_metrics(request: Request) -> Response:
    """In the text format of Prometheus. Not for the public: the reverse proxy keeps it inside."""
    registry: CollectorRegistry = request.app.state.metrics
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


async def _check(check: Callable[[], Awaitable[str]]) -> str:
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await check()
    except TimeoutError:
        return "PostgreSQL or Redis takes too long to answer"


async def _check_database(database: Database, revisions: Revisions) -> str:
    """Why it is not ready; empty where it is."""
    try:
        async with database.transaction() as connection:
            found = await connection.scalar(text("select version_num from alembic_version"))
    except DatabaseAway:
        return "PostgreSQL does not answer"
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) in NOT_MIGRATED:
            return f"the database has no tables yet, {HOW_TO_MIGRATE}"
        log.warning("readiness check failed", error=str(error.orig))
        return "PostgreSQL refuses"
    if revisions.standing(found or "").serves:
        return ""
    return f"the database is at revision {found}, not {revisions.newest}: {HOW_TO_MIGRATE}"


async def _check_redis(bus: Bus) -> str:
    try:
        await bus.redis.ping()
    except (RedisError, OSError):
        return "Redis does not answer"
    return ""
