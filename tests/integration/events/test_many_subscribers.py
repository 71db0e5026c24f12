"""One event to many streams of one process, over real sockets, each hearing of it once."""

import asyncio
import time
import uuid
from datetime import UTC, datetime, timedelta

from api.identity.tokens import AccessClaims, AccessTokens
from tests.harness.stack import JWT_SECRET
from tests.integration.events.conftest import Site

STREAMS = 500
OF_ONE_USER = 20


async def log_in_guests(site: Site, charge_point_id: str, count: int) -> list[str]:
    """Tokens of people who share a charge point."""
    tokens = AccessTokens(JWT_SECRET, f"http://127.0.0.1:{site.api.port}", timedelta(minutes=15))
    rows = await site.sql.fetch(
        """with person as (
               insert into users (email, password_hash) select 'guest' || n || '@example.org', ''
               from generate_series(1, $1) n returning id),
           shared as (insert into grants (user_id, charge_point_id) select id, $2 from person)
           insert into sessions (user_id) select id from person returning id, user_id""",
        count, uuid.UUID(charge_point_id),
    )  # fmt: skip
    return [tokens.issue(AccessClaims(row["user_id"], row["id"]), datetime.now(UTC)) for row in rows]


async def open_stream(port: int, token: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A stream that has said `ready`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    await asyncio.wait_for(reader.readuntil(b"event: ready\n"), 120)
    return reader, writer


async def heard(reader: asyncio.StreamReader) -> tuple[float, int]:
    """When the first event came, and how many came until the one that ends the count."""
    count, first_at = 0, 0.0
    while True:
        line = await asyncio.wait_for(reader.readline(), 60)
        if line.startswith(b"event: connector.status"):
            count, first_at = count + 1, first_at or time.perf_counter()
        elif b"Finishing" in line or not line:
            return first_at, count


async def fan_out(site: Site, streams: int) -> float:
    """Seconds from the commit of one event to the last of so many streams."""
    owner = await site.person("owner")
    wallbox = await owner.wallbox()
    people = await log_in_guests(site, wallbox["id"], streams // OF_ONE_USER)
    opened = []
    for token in people:
        opened += await asyncio.gather(*(open_stream(site.api.port, token) for _ in range(OF_ONE_USER)))
    reading = [asyncio.create_task(heard(reader)) for reader, _ in opened]
    began = time.perf_counter()
    await site.status(wallbox["id"], "Charging")
    await site.status(wallbox["id"], "Finishing")
    results = await asyncio.gather(*reading)
    for _, writer in opened:
        writer.close()
    assert [count for _, count in results] == [2] * streams
    return max(at for at, _ in results) - began


async def test_every_stream_hears_of_an_event_once(site: Site) -> None:
    await fan_out(site, STREAMS)
