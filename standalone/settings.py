"""What the environment says about where PostgreSQL and Redis are. The only module of `standalone` that reads it."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """What the person typed."""

    data: Path
    demo: bool
    http_port: int
    ocpp_port: int
    operations_port: int
    api_host: str
    gateway_host: str
    listeners: int
    plain: bool


@dataclass(frozen=True)
class Environment:
    """The variables that change what is started; empty where they are not set. `all` goes to the children."""

    database_url: str
    migrations_database_url: str
    redis_url: str
    jwt_secret: str
    all: dict[str, str]


def read_environment() -> Environment:
    """The environment of this process."""
    values = dict(os.environ)
    database_url = values.get("DATABASE_URL", "")
    return Environment(
        database_url,
        values.get("MIGRATIONS_DATABASE_URL", "") or database_url,
        values.get("REDIS_URL", ""),
        values.get("JWT_SECRET", ""),
        values,
    )
