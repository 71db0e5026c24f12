"""`python -m bench.rest` (`make bench-rest`): lists, statements and exports of a town with a past.

Prints the latency of each request, and how often PostgreSQL read a large table from end to end meanwhile.
"""

import argparse
import asyncio
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson
from rich.console import Console
from rich.table import Table

from api.identity.tokens import AccessClaims, AccessTokens
from bench.stack import Stack
from bench.synthetic import Town, fill
from standalone.servers import ServerError

LOGGED_IN: Final = "insert into sessions (user_id) select unnest($1::uuid[]) returning id, user_id"
OWNERS: Final = "select owner_id from transactions group by 1 order by count(*) desc limit $1"
DRIVERS: Final = "select driver_id from transactions group by 1 order by count(*) desc limit $1"
SCANS: Final = """
select coalesce(sum(seq_scan), 0)::bigint from pg_stat_user_tables
where n_live_tup > 10000 and relname ~ '^(transactions|settlements|transfers|meter_values.*)$'
"""
HEAD: Final = ("request", "as", "requests/s", "p50 ms", "p95 ms", "p99 ms", "seq. scans")
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


async def tokens_of(connection: asyncpg.Connection, port: int, secret: str, people: list[UUID]) -> list[str]:
    """Everybody is logged in."""
    issuer = AccessTokens(secret, f"http://127.0.0.1:{port}", timedelta(hours=12))
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
        [account] = [each for each in await client.items(token, "/accounts") if each["kind"] == role]
        session = page["items"][0]
        mine = {
            "transactions": "/transactions",
            "transactions, 2nd page": f"/transactions?cursor={page['next_cursor']}",
            "held sessions": "/held-sessions",
            "meter values": f"/transactions/{session['id']}/meter-values",
            "statement of a month": f"/accounts/{account['id']}/statement?month={month}",
            "transfers": f"/accounts/{account['id']}/transfers",
            "export of a day": f"/exports/transactions?{period}",
        }
        if role == "owner":
            box = (await client.items(token, "/charge-points?limit=1"))[0]["id"]
            mine |= {"charge points": "/charge-points", "connectors": f"/charge-points/{box}/connectors"}
        for name, path in mine.items():
            paths.setdefault(name, []).append((token, path))
    return [Request(name, role, pairs) for name, pairs in paths.items()]


async def measure(connection: asyncpg.Connection, port: int, request: Request, clients: int, seconds: float) -> Figures:
    """Closed loop: each client asks again as soon as it is answered."""
    before = await _scans(connection)
    opened = [Client(port) for _ in range(clients)]
    took: list[float] = []

    async def ask(place: int, client: Client) -> None:
        token, path = request.paths[place % len(request.paths)]
        await client.get(token, path)
        while not took or time.perf_counter() < end:
            sent = time.perf_counter()
            await client.get(token, path)
            took.append((time.perf_counter() - sent) * 1000)

    began = time.perf_counter()
    end = began + seconds
    await asyncio.gather(*(ask(place, client) for place, client in enumerate(opened)))
    lasted = time.perf_counter() - began
    for client in opened:
        client.close()
    return Figures(took, lasted, await _scans(connection) - before)


async def _scans(connection: asyncpg.Connection) -> int:
    await asyncio.sleep(STATISTICS_S)
    return int(await connection.fetchval(SCANS))


async def run(stack: Stack, asked: argparse.Namespace, console: Console) -> Table:
    """Fills, starts, measures."""
    connection = await stack.connect()
    began = time.perf_counter()
    town = Town(asked.sessions, asked.samples // asked.sessions)
    await fill(connection, town, lambda step: console.print(f"{time.perf_counter() - began:6.0f} s  {step}"))
    size = await connection.fetchval("select pg_size_pretty(pg_database_size(current_database()))")
    table = Table(
        *HEAD,
        title=f"{asked.sessions:,} sessions, {asked.samples:,} samples, {size}; {asked.clients} clients, one process",
        caption=f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors",
    )
    secret = secrets.token_urlsafe(32)
    port = (await asyncio.to_thread(stack.start_api, secret)).port
    for role, query in (("owner", OWNERS), ("driver", DRIVERS)):
        people = [row[0] for row in await connection.fetch(query, asked.clients)]
        client = Client(port)
        for request in await requests_of(client, role, await tokens_of(connection, port, secret, people)):
            figures = await measure(connection, port, request, asked.clients, asked.seconds)
            rate = len(figures.milliseconds) / figures.seconds
            latencies = (f"{figures.percentile(percent):.1f}" for percent in (50, 95, 99))
            table.add_row(request.name, role, f"{rate:.0f}", *latencies, str(figures.scans))
        client.close()
    await connection.close()
    return table


def main() -> int:
    """The entry of the process; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.rest", description="Measures lists over many sessions.")
    parser.add_argument("--sessions", type=int, default=100_000, help="transactions (100000)")
    parser.add_argument("--samples", type=int, default=2_000_000, help="meter values (2000000)")
    parser.add_argument("--clients", type=int, default=20, help="at once (20)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each request (3)")
    asked = parser.parse_args()
    console = Console(stderr=True)
    folder = Path(tempfile.mkdtemp(prefix="voltuj-bench-"))
    folder.chmod(0o711)
    stack = Stack(folder)
    try:
        stack.start_servers()
        Console(width=None if sys.stdout.isatty() else 120).print(asyncio.run(run(stack, asked, console)))
    except ServerError as error:
        console.print(str(error))
        return 1
    finally:
        stack.close()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
