"""Exports: everything that one may see, nothing else, and no formula."""

import csv
import io
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.integration.http.site import Person, Site
from tests.integration.http.test_books import settle
from tests.integration.settlement.books import STOP, Box, add_session

MAY = {"from": "2026-05-01", "until": "2026-06-01"}
EVER = {"from": str((STOP - timedelta(days=2)).date()), "until": str((STOP + timedelta(days=2)).date())}


@pytest.fixture
async def settled(site: Site, owner: Person, driver: Person) -> str:
    """One session of 10 kWh for 55.00, settled in May with a fee of 5.50."""
    created = await owner.charge_point(name="=HYPERLINK(1)")
    async with site.sql() as connection:
        session = await add_session(connection, Box(UUID(created["id"]), owner.user_id, driver.user_id))
    await settle(site, fee_bp=1000)
    return str(session)


async def table(person: Person, name: str, days: dict[str, str]) -> list[dict[str, str]]:
    answer = await person.http.get(f"/exports/{name}", params=days)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8", answer.text
    assert f'filename="{name}.csv"' in answer.headers["content-disposition"]
    return list(csv.DictReader(io.StringIO(answer.text)))


async def items(person: Person, name: str, days: dict[str, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await person.get(f"/exports/{name}", format="json", **days))["items"]
    return found


async def test_transfers_by_the_side_that_one_may_see(
    site: Site, owner: Person, driver: Person, stranger: Person, settled: str
) -> None:
    operator = await site.person("operator", operator=True)
    assert [(row["kind"], row["amount"]) for row in await table(owner, "transfers", MAY)] == [
        ("charge", "55.00"), ("platform_fee", "-5.50"),
    ]  # fmt: skip
    assert [row["amount_minor"] for row in await items(driver, "transfers", MAY)] == [-5500]
    assert await table(stranger, "transfers", MAY) == []
    everything = await items(operator, "transfers", MAY)
    assert len(everything) == 4
    assert sum(row["amount_minor"] for row in everything) == 0
    assert {row["transaction_id"] for row in everything} == {settled}
    assert await items(operator, "transfers", {"from": "2026-06-01", "until": "2026-07-01"}) == []


async def test_transactions_of_owner_and_driver(owner: Person, driver: Person, stranger: Person, settled: str) -> None:
    for person, role in ((owner, "owner"), (driver, "driver")):
        [row] = await table(person, "transactions", EVER)
        assert (row["id"], row["role"], row["total"], row["energy_wh"]) == (settled, role, "55.00", "10000")
        assert row["charge_point_name"] == "'=HYPERLINK(1)"
    assert await items(stranger, "transactions", EVER) == []


async def test_settlements_with_their_lines_and_the_fee_for_the_owner_alone(
    owner: Person, driver: Person, stranger: Person, settled: str
) -> None:
    [row] = await items(owner, "settlements", EVER)
    assert (row["transaction_id"], row["net_minor"], row["fee_bp"], row["revision"]) == (settled, 5500, 1000, 0)
    assert sum(line["amount_minor"] for line in row["lines"]) == 5500
    [line] = await table(driver, "settlements", EVER)
    assert (line["line_type"], line["line_amount_minor"], line["fee_bp"]) == ("ENERGY", "5500", "")
    assert await table(stranger, "settlements", EVER) == []


@pytest.mark.parametrize(
    "days",
    [
        {},
        {"from": "2026-05-01"},
        {"from": "2026-05-01", "until": "2026-05-01"},
        {"from": "2020-01-01", "until": "2026-01-01"},
        {"from": "x", "until": "y"},
    ],
)
async def test_days_that_are_none(owner: Person, days: dict[str, str]) -> None:
    await owner.get("/exports/transfers", 422, **days)
