"""Fixtures of the event tests: one listener and one HTTP process, people, and rows that charge points would cause."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from tests.harness.person import Person
from tests.harness.stack import Service, Stack


@dataclass
class Site:
    """The running processes, and ways to make things happen."""

    stack: Stack
    listener: Service
    api: Service
    sql: asyncpg.Connection
    people: list[Person] = field(default_factory=list)

    async def person(self, name: str, api: Service | None = None) -> Person:
        """Somebody who registered and logged in at one of the HTTP processes."""
        person = await Person.register((api or self.api).port, name)
        self.people.append(person)
        return person

    async def status(self, charge_point_id: str, status: str = "Available", connector_id: int = 1) -> None:
        """What a StatusNotification stores."""
        await self.sql.execute(
            """insert into connectors (charge_point_id, connector_id, status, error_code, status_at, received_at,
                   epoch, sequence) values ($1, $2, $3, 'NoError', now(), now(), 1, 1)
               on conflict (charge_point_id, connector_id) do update set status = $3""",
            uuid.UUID(charge_point_id), connector_id, status,
        )  # fmt: skip

    async def transaction(self, charge_point_id: str, driver: Person | None = None, number: int = 1) -> str:
        """What a StartTransaction stores; its public id."""
        driver_id = (await driver.get("/me"))["id"] if driver else None
        return str(
            await self.sql.fetchval(
                """insert into transactions (charge_point_id, connector_id, ocpp_transaction_id, id_tag, id_tag_status,
                       driver_id, started_at, start_received_at, start_boot_count, meter_start_wh)
                   values ($1, 1, $2, 'TAG', 'Accepted', $3, $4, $4, 1, 1000) returning public_id""",
                uuid.UUID(charge_point_id), 1000 + number, driver_id and uuid.UUID(driver_id), datetime.now(UTC),
            )
        )  # fmt: skip

    async def execute(self, statement: str, *values: Any) -> None:
        """Any other effect."""
        await self.sql.execute(statement, *values)


@pytest.fixture
async def site(stack: Stack, request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """One of each; a parameter has settings of both."""
    settings = getattr(request, "param", {})
    listener = await stack.listener(**settings)
    api = await stack.api(**settings)
    sql = await asyncpg.connect(stack.database.application)
    made = Site(stack, listener, api, sql)
    yield made
    for person in made.people:
        await person.close()
    await sql.close()
