"""The HTTP service under test, the people who use it, and rows that charge points would have caused."""

import hashlib
import os
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from api.app import create_app
from api.identity import operations
from api.identity.tokens import AccessClaims
from api.settings import Settings
from standalone.databases import DatabaseUrls

JWT_SECRET = "for-these-tests-only-7Jq2vX9pLm4Rz8Wb"
START = datetime(2026, 5, 4, 9, 0, tzinfo=UTC)


def make_settings(database: DatabaseUrls, redis_url: str, redis_prefix: str, **changes: Any) -> Settings:
    """Settings as a process of the installation would read them."""
    values: dict[str, Any] = {
        "database_url": SecretStr(database.application),
        "redis_url": SecretStr(redis_url),
        "redis_prefix": redis_prefix,
        "jwt_secret": SecretStr(JWT_SECRET),
        "public_api_url": "https://voltuj.test",
        "public_url": "https://jedlickaf.test/",
        "public_ocpp_url": "wss://voltuj.test:9000/",
        "database_pool_size": 5,
        "bank_account": "CZ6508000000192000145399",
        "email_verification": "off",
        "files_dir": Path(os.environ["TEST_FOLDER"]) / "files",
    }
    return Settings(**{**values, **changes})


@dataclass
class Person:
    """Someone who is logged in, with an HTTP client of their own."""

    user_id: uuid.UUID
    email: str
    http: httpx.AsyncClient
    session: operations.OpenSession

    async def send(self, method: str, path: str, status: int = 200, **arguments: Any) -> Any:
        """The body of an answer that must have this status."""
        answer = await self.http.request(method, path, **arguments)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def get(self, path: str, status: int = 200, /, **parameters: Any) -> Any:
        return await self.send("GET", path, status, params=parameters)

    async def post(self, path: str, body: Any = None, status: int = 201, **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.send("POST", path, status, json=body, headers=named)

    async def charge_point(self, **fields: Any) -> dict[str, Any]:
        """A new charge point of this person's."""
        created: dict[str, Any] = await self.post("/charge-points", {"name": "Garage", **fields})
        return created

    async def app_tag(self) -> str:
        """The id tag that came with the account."""
        return str((await self.get("/id-tags"))["items"][-1]["tag"])


class Site:
    """One HTTP process, in this process, and direct ways to what stands behind it."""

    def __init__(self, app: FastAPI, database: DatabaseUrls, settings: Settings) -> None:
        self.app = app
        self.database = database
        self.settings = settings
        self.clients: list[httpx.AsyncClient] = []

    def client(self, base: str = "http://voltuj.test/api/v1", **headers: str) -> httpx.AsyncClient:
        """A client without a log-in."""
        transport = httpx.ASGITransport(app=self.app)
        client = httpx.AsyncClient(transport=transport, base_url=base, headers=headers, timeout=30)
        self.clients.append(client)
        return client

    async def person(self, name: str = "owner", *, operator: bool = False) -> Person:
        """An account with a log-in, made without hashing a password."""
        email = f"{name}-{uuid.uuid4().hex[:8]}@example.org"
        now = datetime.now(UTC)
        async with self.app.state.database.transaction() as connection:
            user = await operations.register(
                connection,
                email=email,
                password_hash="!",
                display_name=name,
                language="en",
                verified_at=now,
                now=now,
            )
            session = await operations.open_session(connection, user.id, "tests", now, timedelta(days=1))
        if operator:
            await self.execute("update users set role = 'operator' where id = $1", user.id)
        token = self.app.state.access_tokens.issue(AccessClaims(user.id, session.session_id), now)
        return Person(user.id, email, self.client(Authorization=f"Bearer {token}"), session)

    @asynccontextmanager
    async def sql(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection of the restricted role, as the listener has."""
        connection = await asyncpg.connect(self.database.application)
        try:
            yield connection
        finally:
            await connection.close()

    async def execute(self, statement: str, *values: Any) -> None:
        async with self.sql() as connection:
            await connection.execute(statement, *values)

    async def value(self, query: str, *values: Any) -> Any:
        async with self.sql() as connection:
            return await connection.fetchval(query, *values)

    async def mails(self, recipient: str) -> list[dict[str, Any]]:
        """What waits in the outbox for an address, oldest first."""
        async with self.sql() as connection:
            rows = await connection.fetch("select * from mails where recipient = $1 order by created_at", recipient)
        return [dict(row) for row in rows]

    async def mailed_code(self, recipient: str) -> str:
        """The secret in the newest mail to an address."""
        [*_, newest] = await self.mails(recipient)
        found = re.search(r"#(\S+)", newest["body"])
        assert found is not None, newest["body"]
        assert newest["body"].count(found[1]) == 2, "as a link and as a code"
        return found[1]

    async def accept(self, charge_point_id: str) -> None:
        """What a BootNotification would have done."""
        await self.execute(
            """update charge_points set registration = 'Accepted', booted_at = now(),
               boot = '{"chargePointVendor": "Acme", "chargePointModel": "Wall 11"}' where id = $1""",
            uuid.UUID(charge_point_id),
        )

    async def transaction(self, charge_point_id: str, *, number: int = 1, **columns: Any) -> str:
        """What a StartTransaction would have stored; returns its public id."""
        values = {
            "charge_point_id": uuid.UUID(charge_point_id),
            "connector_id": 1,
            "ocpp_transaction_id": 1000 + number,
            "id_tag": f"TAG{number}",
            "id_tag_status": "Accepted",
            "started_at": START + timedelta(minutes=number),
            "start_received_at": START + timedelta(minutes=number),
            "start_boot_count": 1,
            "meter_start_wh": 1000 * number,
            **columns,
        }
        names = ", ".join(values)
        places = ", ".join(f"${index}" for index in range(1, len(values) + 1))
        statement = f"insert into transactions ({names}) values ({places}) returning public_id"
        return str(await self.value(statement, *values.values()))

    async def message(self, charge_point_id: str, frame: bytes, **columns: Any) -> None:
        """A frame in the message log."""
        values = {
            "charge_point_id": uuid.UUID(charge_point_id),
            "at": datetime.now(UTC),
            "direction": "in",
            "epoch": 1,
            "frame": frame,
            **columns,
        }
        names = ", ".join(values)
        places = ", ".join(f"${index}" for index in range(1, len(values) + 1))
        await self.execute(f"insert into message_log ({names}) values ({places})", *values.values())

    async def unprocessed(self, charge_point_id: str, payload: bytes, reason: str) -> None:
        """A message that was set aside."""
        await self.execute(
            """insert into unprocessed
                   (charge_point_id, epoch, message_id, action, payload, digest, received_at, reason)
               values ($1, 1, 'm1', 'MeterValues', $2, $3, now(), $4)""",
            uuid.UUID(charge_point_id),
            payload,
            hashlib.sha256(payload).digest(),
            reason,
        )


@asynccontextmanager
async def open_site(database: DatabaseUrls, settings: Settings) -> AsyncIterator[Site]:
    """Runs the application with its start and end."""
    app = create_app(settings)
    site = Site(app, database, settings)
    async with app.router.lifespan_context(app):
        yield site
        for client in site.clients:
            await client.aclose()
