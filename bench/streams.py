"""`python -m bench.streams` (`make bench-streams`): one event to thousands of event streams of one HTTP process.

Prints how long after its commit the streams have an event, and what that costs. Each stream must hear of each once.
"""

import argparse
import asyncio
import secrets
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, cast
from uuid import UUID

import asyncpg
import uvloop

from api.identity.tokens import AccessClaims, AccessTokens
from bench.program import conditions, conduct, show
from bench.scenarios import most_open_files
from bench.stack import API_URL, BenchError, Stack, Target
from bench.usage import cpu_s, memory_kib

OF_ONE_USER: Final = 20
AT_ONCE: Final = 100
"""Streams that are being opened."""
GOAL_STREAMS: Final = 5000
GOAL_S: Final = 1.0
PATIENCE_S: Final = 60.0
STATUSES: Final = ("Charging", "Available")
PEOPLE: Final = """
with owner as (insert into users (email, password_hash) values ('owner@bench', '!') returning id),
    box as (insert into charge_points (owner_id, identity, key_digest, registration)
        select id, 'STREAMED', '', 'Accepted' from owner returning id),
    person as (insert into users (email, password_hash)
        select 'guest' || n || '@bench', '!' from generate_series(1, $1::integer) n returning id),
    shared as (insert into grants (user_id, charge_point_id, valid_from)
        select person.id, box.id, now() from person cross join box)
insert into sessions (user_id) select id from person returning id, user_id
"""
STATUS: Final = """
insert into connectors (charge_point_id, connector_id, status, error_code, status_at, received_at, epoch, sequence)
select id, 1, $1, 'NoError', now(), now(), 1, 1 from charge_points where identity = 'STREAMED'
on conflict (charge_point_id, connector_id) do update set status = $1
"""
HEAD: Final = ("streams", "events", "first ms", "half ms", "all ms", "worst ms", "CPU us a stream and event",
               "KiB a stream", "opened a second")  # fmt: skip


class Crowd:
    """What all streams heard: how many are open, and when each heard of the event of this round."""

    def __init__(self) -> None:
        self.open = 0
        self.heard_at: list[float] = []
        self.changed = asyncio.Event()

    async def until(self, count: int, *, heard: bool) -> None:
        """Waits for so many.

        Raises:
            BenchError: they did not come.
        """
        try:
            async with asyncio.timeout(PATIENCE_S):
                while (len(self.heard_at) if heard else self.open) < count:
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            raise BenchError(f"{count} streams were to hear of it; {len(self.heard_at)} of {self.open} did") from None


class Stream(asyncio.Protocol):
    """One client: counts `ready` and the event, line by line."""

    def __init__(self, crowd: Crowd, token: str) -> None:
        self._crowd = crowd
        self._token = token
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks."""
        head = f"GET /api/v1/events HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {self._token}\r\n\r\n"
        cast(asyncio.WriteTransport, transport).write(head.encode())

    def data_received(self, data: bytes) -> None:
        """Part of the answer."""
        now = time.perf_counter()
        *lines, self._rest = (self._rest + data).split(b"\n")
        if b"event: ready" in lines:
            self._crowd.open += 1
        self._crowd.heard_at += [now] * lines.count(b"event: connector.status")
        self._crowd.changed.set()


@dataclass(frozen=True, slots=True)
class Figures:
    """Seconds from the commit to the first, the middle and the last stream, a tuple an event; and the cost."""

    streams: int
    events: list[tuple[float, float, float]]
    cpu_us: float
    kib_each: float
    opened_per_s: float

    @property
    def all_s(self) -> tuple[float, float]:
        """Seconds until all streams have an event: the median, and the worst."""
        ordered = sorted(last for _, _, last in self.events)
        return ordered[len(ordered) // 2], ordered[-1]

    def row(self) -> list[str]:
        """As `HEAD` names it; medians, and the worst."""
        medians = [sorted(column)[len(self.events) // 2] for column in zip(*self.events, strict=True)]
        times = (*medians, self.all_s[1])
        return [
            *(f"{self.streams:,}", str(len(self.events)), *(f"{each * 1000:,.0f}" for each in times)),
            *(f"{self.cpu_us:.0f}", f"{self.kib_each:.0f}", f"{self.opened_per_s:.0f}"),
        ]


async def measure(stack: Stack, streams: int, events: int) -> Figures:
    """Opens the streams, then lets one event after the other happen."""
    connection = await stack.connect()
    secret = secrets.token_urlsafe(32)
    stack.start_listener()
    api = stack.start_api(secret)
    pid, memory_before = api.processes["api"], memory_kib(api.processes["api"])
    crowd, began = Crowd(), time.perf_counter()
    transports = await _open(crowd, api, await _tokens(connection, secret, streams), streams)
    opened_per_s = streams / (time.perf_counter() - began)
    memory = memory_kib(pid) - memory_before
    await _happen(connection, crowd, streams, STATUSES[1])
    cpu_before = cpu_s(pid)
    took = [await _happen(connection, crowd, streams, STATUSES[number % 2]) for number in range(events)]
    cpu_us = (cpu_s(pid) - cpu_before) / events / streams * 1e6
    for transport in transports:
        transport.close()
    await connection.close()
    return Figures(streams, took, cpu_us, memory / streams, opened_per_s)


async def _tokens(connection: asyncpg.Connection, secret: str, streams: int) -> list[str]:
    issuer = AccessTokens(secret, API_URL, timedelta(hours=1))
    rows = await connection.fetch(PEOPLE, -(-streams // OF_ONE_USER))
    user_ids: list[tuple[UUID, UUID]] = [(row["user_id"], row["id"]) for row in rows]
    return [issuer.issue(AccessClaims(*each), datetime.now(UTC)) for each in user_ids]


async def _open(crowd: Crowd, api: Target, tokens: list[str], streams: int) -> list[asyncio.BaseTransport]:
    loop = asyncio.get_running_loop()
    transports: list[asyncio.BaseTransport] = []
    for number in range(streams):
        token = tokens[number // OF_ONE_USER]
        transport, _ = await loop.create_connection(lambda token=token: Stream(crowd, token), "127.0.0.1", api.port)  # type: ignore[misc]
        transports.append(transport)
        if number >= AT_ONCE:
            await crowd.until(number - AT_ONCE, heard=False)
    await crowd.until(streams, heard=False)
    return transports


async def _happen(
    connection: asyncpg.Connection, crowd: Crowd, streams: int, status: str
) -> tuple[float, float, float]:
    """Seconds from the commit of an event until the first, half and all of the streams have it, each once."""
    crowd.heard_at = []
    await connection.execute(STATUS, status)
    committed = time.perf_counter()
    await crowd.until(streams, heard=True)
    if len(crowd.heard_at) != streams:
        raise BenchError("a stream heard of an event twice")
    at = [each - committed for each in crowd.heard_at]
    return at[0], at[len(at) // 2], at[-1]


def measure_all(asked: argparse.Namespace, folder: Path) -> None:
    """Measures and shows."""
    notes = [
        f"{conditions()};",
        "  one HTTP process, one listener, PostgreSQL, Redis and the reader of all streams on them. Events are "
        "numbered every 0.1 s: `first` has that.",
    ]
    with closing(Stack(folder)) as stack:
        stack.start_servers()
        figures = uvloop.run(measure(stack, asked.streams, asked.events))
    median, worst = figures.all_s
    met = "met" if worst <= GOAL_S and figures.streams >= GOAL_STREAMS else "**not met**"
    said = f"{median:.2f} s in the median of {len(figures.events)}, {worst:.2f} s at worst"
    goal = f"7. an event in all of {figures.streams:,} streams of one HTTP process: at most 1 s"
    tables = [(HEAD, [figures.row()]), (("goal", "measured", "verdict"), [[goal, said, met]])]
    show(asked.write, "streams", notes, tables)


def main() -> int:
    """The entry of the process; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.streams", description="Measures the fan-out of events.")
    parser.add_argument("--streams", type=int, default=5000, help="open at once (5000)")
    parser.add_argument("--events", type=int, default=9, help="of which medians are taken (9)")
    parser.add_argument("--write", type=Path, help="the page for the figures, such as docs/performance.md")
    asked = parser.parse_args()
    most_open_files()
    return conduct(partial(measure_all, asked))


if __name__ == "__main__":
    sys.exit(main())
