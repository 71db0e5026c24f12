"""No list, statement or export reads a large table from end to end: the queries of real requests, under EXPLAIN.

The planner chooses freely, by the statistics of as many rows as it takes to make it careful: the plan for the values
of the request, and the one that a connection keeps for all, unless the request forbids to keep one.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
import pytest
from sqlalchemy import event

from api.identity.operations import OpenSession
from api.identity.tokens import AccessClaims
from bench.synthetic import Town, fill
from tests.integration.http.plans import kept_plan
from tests.integration.http.site import Person, Site

TOWN = Town(sessions=20_000, samples_a_session=2, days=720)
LARGE = """
select relname from pg_class where relkind = 'r' and reltuples >= 1000
    and relname ~ '^(transactions|settlements|transfers|meter_values.*|charge_points|grants)$'
"""
"""Without those partitions of the meter values in which there is nothing."""
NEIGHBOURS: Final = """
alter table charge_points disable trigger user;
alter table grants disable trigger user;
create temporary table other as with made as (
    insert into users (email, password_hash) select 'neighbour' || n || '@bench', '!' from generate_series(1, 4000) n
    returning id)
select row_number() over () as n, id from made;
insert into charge_points (owner_id, identity, key_digest, visibility, created_at)
    select id, 'NEIGHBOUR-' || n || '-' || k, '', 'shared', now() - n * interval '1 hour'
    from other, generate_series(1, 8) k;
insert into grants (charge_point_id, user_id, created_at)
    select c.id, o.id, c.created_at from charge_points c join other as p on p.id = c.owner_id
    join other o on o.n in (p.n % 4000 + 1, (p.n + 7) % 4000 + 1);
alter table charge_points enable trigger user;
alter table grants enable trigger user;
"""
"""People whose wallboxes have nothing to do with those who ask."""
HERE = {"latitude": 50.05, "longitude": 14.45}
SOMEBODY = """
insert into sessions (user_id) select user_id from (
    select {who} as user_id, count(*) from transactions group by 1 order by 2 {most} limit 1) t returning id, user_id
"""


class Watched:
    """A process whose queries are written down: SQLAlchemy's, and those that go past it to the driver."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.queries: list[tuple[str, tuple[Any, ...]]] = []
        engine = site.app.state.database.engine.sync_engine
        event.listen(engine, "checkout", self._watch)
        event.listen(engine, "before_cursor_execute", self._note_sqlalchemys)

    def _watch(self, connection: Any, *_: object) -> None:
        connection.driver_connection.add_query_logger(self._note_drivers)

    def _note_drivers(self, record: Any) -> None:
        self.queries.append((record.query, tuple(record.args or ())))

    def _note_sqlalchemys(self, _connection: Any, _cursor: Any, statement: str, values: Any, *_: object) -> None:
        self.queries.append((statement, tuple(values)))

    async def scans(self, person: Person, path: str, **parameters: Any) -> list[str]:
        """The large tables that the queries of a request would read from end to end, each with its query."""
        self.queries.clear()
        answer = await person.http.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        selects = [each for each in self.queries if each[0].lstrip().lower().startswith(("select", "with"))]
        assert selects, "nothing was watched"
        keeps = not any("force_custom_plan" in query for query, _ in self.queries)
        return [f"{table}: {query}" for query, values in selects for table in await self._scanned(query, values, keeps)]

    async def _scanned(self, query: str, values: tuple[Any, ...], keeps: bool) -> set[str]:
        async with self.site.sql() as connection:
            large = {row["relname"] for row in await connection.fetch(LARGE)}
            plans = [await connection.fetchval(f"explain (format json) {query}", *values)]
            plans += [await kept_plan(connection, query, len(values))] if keeps else []
        return set().union(*(sequential(json.loads(plan)[0]["Plan"]) for plan in plans)) & large


def sequential(plan: dict[str, Any]) -> set[str]:
    """The tables of all sequential scans in a plan."""
    found = {plan["Relation Name"]} if plan["Node Type"] == "Seq Scan" else set()
    return found.union(*(sequential(part) for part in plan.get("Plans", [])))


@pytest.fixture
async def watched(site: Site) -> Watched:
    """A process on a database with enough in it."""
    connection = await asyncpg.connect(site.database.owner)
    try:
        await connection.execute(NEIGHBOURS)
        await fill(connection, TOWN, lambda _: None)
    finally:
        await connection.close()
    return Watched(site)


async def log_in(site: Site, who: str, most: str = "desc") -> Person:
    """Who has most, or least, of the sessions."""
    async with site.sql() as connection:
        row = await connection.fetchrow(SOMEBODY.format(who=who, most=most))
    token = site.app.state.access_tokens.issue(AccessClaims(row["user_id"], row["id"]), datetime.now(UTC))
    return Person(
        row["user_id"], "", site.client(Authorization=f"Bearer {token}"), OpenSession(row["user_id"], row["id"], "")
    )


async def test_no_request_reads_a_large_table_from_end_to_end(watched: Watched) -> None:
    site = watched.site
    operator = await site.person("operator", operator=True)
    fleet, owner = await log_in(site, "owner_id"), await log_in(site, "owner_id", "asc")
    driver = await log_in(site, "driver_id")
    today = datetime.now(UTC).date()
    last_month = f"{today.replace(day=1) - timedelta(days=1):%Y-%m}"
    days = {"from": (today - timedelta(days=1)).isoformat(), "until": today.isoformat()}
    found = []
    for person in (operator, fleet, owner, driver):
        session = (await person.get("/transactions", limit=1))["items"][0]
        page = (await person.get("/transactions", limit=20))["next_cursor"]
        found += await watched.scans(person, "/transactions")
        found += await watched.scans(person, "/transactions", cursor=page)
        found += await watched.scans(person, "/transactions", held=True)
        found += await watched.scans(person, "/transactions", status="active")
        found += await watched.scans(person, "/transactions", charge_point_id=session["charge_point_id"])
        found += await watched.scans(person, f"/transactions/{session['id']}")
        found += await watched.scans(person, f"/transactions/{session['id']}/meter-values")
        found += await watched.scans(person, "/held-sessions")
        found += await watched.scans(person, "/charge-points")
        found += await watched.scans(person, "/grants")
        found += await watched.scans(person, "/grants/received")
        found += await watched.scans(person, "/accounts")
        found += await watched.scans(person, "/search/connectors", **HERE)
        for account in (await person.get("/accounts"))["items"]:
            if account["kind"] in {"owner", "driver"}:
                found += await watched.scans(person, f"/accounts/{account['id']}/transfers")
                found += await watched.scans(person, f"/accounts/{account['id']}/statement")
                found += await watched.scans(person, f"/accounts/{account['id']}/statement", month=last_month)
                break
        for export in ("transfers", "transactions", "settlements"):
            found += await watched.scans(person, f"/exports/{export}", **days)
    box = (await fleet.get("/charge-points", limit=1))["items"][0]
    found += await watched.scans(fleet, f"/charge-points/{box['id']}/connectors")
    assert not found, "\n\n".join(sorted(set(found)))
