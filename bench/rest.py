"""`python -m bench.rest` (`make bench-rest`): lists, search, statements and exports of a town with a past.

Prints the latency and the cost of each request, and how often PostgreSQL read a large table from end to end meanwhile.
"""

import argparse
import asyncio
import math
import secrets
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson
import uvloop
from rich.console import Console

from api.identity.tokens import AccessClaims, AccessTokens
from bench.program import conditions, conduct, show
from bench.stack import API_URL, Stack, Target
from bench.synthetic import Town, fill
from bench.usage import cpu_s

LOGGED_IN: Final = "insert into sessions (user_id) select unnest($1::uuid[]) returning id, user_id"
PEOPLE: Final = {
    "fleet": "select owner_id from transactions group by 1 order by count(*) desc limit least($1::integer, 1)",
    "owner": "select owner_id from transactions group by 1 order by count(*) desc offset 1 limit $1",
    "owner, few": "select owner_id from transactions group by 1 order by count(*) limit least($1, 5)",
    "driver": "select driver_id from transactions group by 1 order by count(*) desc limit $1",
}
"""Who asks: the owner of every fifth wallbox, other owners, owners of quiet wallboxes, drivers."""
SCANS: Final = """
select coalesce(sum(seq_scan), 0)::bigint from pg_stat_user_tables
where n_live_tup > 10000 and relname ~ '^(transactions|settlements|transfers|meter_values.*)$'
"""
HEAD: Final = ("request", "as", "KiB", "requests/s", "p50 ms", "p95 ms", "p99 ms", "api us", "PostgreSQL us",
               "seq. scans", "goal 7")  # fmt: skip
GOAL_MS: Final = 50
GOALS: Final = frozenset(
    {
        *("transactions", "transactions, 2nd page", "connectors", "search"),
        *("statement of a month", "statement of this month"),
    }
)
"""Of these goal 7 speaks."""
RATE: Final = "1000000/second"
"""Requests are counted as in production, and never too many."""
WARM: Final = 10
"""Requests of each client before those that count: a process that runs for days has connections, and PostgreSQL its
plans, which it keeps from the sixth time on that a connection runs a query."""
STATISTICS_S: Final = 1.5
"""PostgreSQL's statistics are this late."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request that is measured, and its path for each of the people who send it."""

    name: str
    role: str
    paths: Sequence[tuple[str, str]]
    """Token and path."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a request took, and what it cost the database."""

    milliseconds: list[float]
    seconds: float
    scans: int
    api_us: float
    postgres_us: float
    size: int

    def percentile(self, percent: int) -> float:
        """Of the latencies."""
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


class Client:
    """A connection that is kept, as a browser or a proxy keeps it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, token: str, path: str) -> bytes:
        """The body of a 200; anything else ends the run."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(f"GET /api/v1{path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(length)
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(f"{path}: {head!r} {body!r}")
        return body

    async def items(self, token: str, path: str) -> list[dict[str, Any]]:
        """The first page of a list."""
        found: list[dict[str, Any]] = orjson.loads(await self.get(token, path))["items"]
        return found

    def close(self) -> None:
        """Lets go."""
        if self._streams is not None:
            self._streams[1].close()


async def tokens_of(connection: asyncpg.Connection, issuer: AccessTokens, people: list[UUID]) -> list[str]:
    """Everybody is logged in."""
    rows = await connection.fetch(LOGGED_IN, people)
    return [issuer.issue(AccessClaims(row["user_id"], row["id"]), datetime.now(UTC)) for row in rows]


async def requests_of(client: Client, role: str, tokens: list[str]) -> list[Request]:
    """What people of this role ask for, each about what is theirs."""
    day = datetime.now(UTC).date() - timedelta(days=1)
    month = (day.replace(day=1) - timedelta(days=1)).strftime("%Y-%m")
    period = f"from={day}&until={day + timedelta(days=1)}&format=json"
    paths: dict[str, list[tuple[str, str]]] = {}
    for token in tokens:
        page = orjson.loads(await client.get(token, "/transactions?limit=100"))
        kind = "driver" if role == "driver" else "owner"
        [account] = [each for each in await client.items(token, "/accounts") if each["kind"] == kind]
        session = page["items"][0]
        mine = {
            "transactions": "/transactions",
            "transactions, 2nd page": f"/transactions?cursor={page['next_cursor']}",
            "held sessions": "/held-sessions",
            "meter values": f"/transactions/{session['id']}/meter-values",
            "statement of a month": f"/accounts/{account['id']}/statement?month={month}",
            "statement of this month": f"/accounts/{account['id']}/statement",
            "transfers": f"/accounts/{account['id']}/transfers",
            "export of a day": f"/exports/transactions?{period}",
            "search": "/search/connectors?latitude=50.05&longitude=14.45&radius_km=10",
        }
        if kind == "owner":
            box = (await client.items(token, "/charge-points?limit=1"))[0]["id"]
            mine |= {"charge points": "/charge-points", "connectors": f"/charge-points/{box}/connectors"}
        for name, path in mine.items():
            paths.setdefault(name, []).append((token, path))
    return [Request(name, role, pairs) for name, pairs in paths.items()]


async def measure(
    connection: asyncpg.Connection, apis: list[Target], request: Request, clients: int, seconds: float
) -> Figures:
    """Closed loop: each client asks again as soon as it is answered. The processes have as many clients each."""
    before = int(await connection.fetchval(SCANS))
    opened = [Client(apis[place % len(apis)].port) for place in range(clients)]
    took: list[float] = []
    sizes: list[int] = []

    async def ask(place: int, client: Client) -> None:
        token, path = request.paths[place % len(request.paths)]
        sizes.extend([len(await client.get(token, path)) for _ in range(WARM)])
        await ready.wait()
        while not took or time.perf_counter() < end:
            sent = time.perf_counter()
            await client.get(token, path)
            took.append((time.perf_counter() - sent) * 1000)

    ready = asyncio.Barrier(clients + 1)
    end = math.inf
    asking = [asyncio.create_task(ask(place, client)) for place, client in enumerate(opened)]
    await ready.wait()
    began, cost = time.perf_counter(), _cost(apis)
    end = began + seconds
    await asyncio.gather(*asking)
    lasted = time.perf_counter() - began
    api_us, postgres_us = ((after - first) / len(took) * 1e6 for first, after in zip(cost, _cost(apis), strict=True))
    for client in opened:
        client.close()
    await asyncio.sleep(STATISTICS_S)
    scans = int(await connection.fetchval(SCANS)) - before
    return Figures(took, lasted, scans, api_us, postgres_us, sum(sizes) // len(sizes))


def _cost(apis: list[Target]) -> tuple[float, float]:
    """CPU seconds of the HTTP processes, and of PostgreSQL."""
    return sum(cpu_s(each.processes["api"]) for each in apis), cpu_s(apis[0].processes["postgresql"])


async def run(stack: Stack, asked: argparse.Namespace, console: Console) -> tuple[str, list[list[str]]]:
    """Fills, starts, measures: what stood in the database, and the rows of the table."""
    connection = await stack.connect()
    began = time.perf_counter()
    town = Town(asked.sessions, asked.samples // asked.sessions)
    await fill(connection, town, lambda step: console.print(f"{time.perf_counter() - began:6.0f} s  {step}"))
    size = await connection.fetchval("select pg_size_pretty(pg_database_size(current_database()))")
    secret = secrets.token_urlsafe(32)
    apis = [stack.start_api(secret, RATE) for _ in range(asked.processes)]
    issuer = AccessTokens(secret, API_URL, timedelta(hours=12))
    rows = []
    for role, query in PEOPLE.items():
        people = [row[0] for row in await connection.fetch(query, asked.clients)]
        client = Client(apis[0].port)
        requests = await requests_of(client, role, await tokens_of(connection, issuer, people))
        client.close()
        for request in requests:
            if asked.only in f"{role} {request.name}":
                console.print(f"{time.perf_counter() - began:6.0f} s  {request.name}, {role}")
                rows.append(row_of(request, await measure(connection, apis, request, asked.clients, asked.seconds)))
    await connection.close()
    return f"{asked.sessions:,} sessions, {asked.samples:,} samples, {size}", rows


def row_of(request: Request, figures: Figures) -> list[str]:
    """As `HEAD` names it."""
    verdict = ("met" if figures.percentile(99) <= GOAL_MS else "**not met**") if request.name in GOALS else ""
    return [
        *(request.name, request.role, f"{figures.size / 1024:,.0f}"),
        f"{len(figures.milliseconds) / figures.seconds:,.0f}",
        *(f"{figures.percentile(percent):,.1f}" for percent in (50, 95, 99)),
        *(f"{figures.api_us:,.0f}", f"{figures.postgres_us:,.0f}", str(figures.scans), verdict),
    ]


def measure_all(asked: argparse.Namespace, folder: Path) -> None:
    """Measures and shows."""
    when_and_where = conditions()
    with closing(Stack(folder)) as stack:
        stack.start_servers()
        town, rows = uvloop.run(run(stack, asked, Console(stderr=True)))
    people = f"{asked.clients} clients that never wait, {asked.processes} HTTP processes; us of CPU a request"
    show(asked.write, "rest", [when_and_where, f"- {town}; {people}"], [(HEAD, rows)])


def main() -> int:
    """The entry of the process; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.rest", description="Measures lists over many sessions.")
    parser.add_argument("--sessions", type=int, default=100_000, help="transactions (100000)")
    parser.add_argument("--samples", type=int, default=2_000_000, help="meter values (2000000)")
    parser.add_argument("--clients", type=int, default=20, help="at once (20)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each request (3)")
    parser.add_argument("--processes", type=int, default=2, help="of HTTP, as `--scale api=2` has them (2)")
    parser.add_argument("--only", default="", help="requests whose role and name have this text")
    parser.add_argument("--write", type=Path, help="the page for the figures, such as docs/performance.md")
    return conduct(partial(measure_all, parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
