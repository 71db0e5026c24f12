"""Refused handshakes: remembered for operators and owners, and never more than fits, whoever knocks."""

import time
from datetime import UTC, datetime
from typing import Any

import asyncpg

from api.charge_points.connecting import connect_all
from api.charge_points.knocking import MOST_FROM_ONE_ADDRESS, MOST_KNOCKS, MOST_REFUSALS
from tests.integration.listener.gateway import KEY_DIGEST, make_charge_point
from wire.messages import Connect


def connect(identity: str, *, address: str = "203.0.113.9", digest: bytes = b"wrong", **changes: Any) -> Connect:
    now = time.time()
    return Connect("c", "g", identity, [digest], True, address, True, now, now + 8, "r", **changes)


async def do(connection: asyncpg.Connection, *connects: Connect) -> list[str]:
    async with connection.transaction():
        return [each.status for each in await connect_all(connection, connects, datetime.now(UTC))]


async def knocks(connection: asyncpg.Connection) -> dict[str, int]:
    rows = await connection.fetch("select identity, count from knocks order by last_at desc, id desc")
    return {row["identity"]: row["count"] for row in rows}


async def test_known_and_unknown(connection: asyncpg.Connection) -> None:
    await make_charge_point(connection)
    unknown, wrong, good = connect("EVB-1"), connect("WALLBOX"), connect("WALLBOX", digest=KEY_DIGEST)
    for _ in range(2):
        verdicts = await do(connection, unknown, wrong, good, unknown)
        assert verdicts == ["unknown_identity", "wrong_key", "accepted", "unknown_identity"]
    assert await knocks(connection) == {"EVB-1": 4}
    rows = await connection.fetch("select reason, remote_address, count from refused_handshakes")
    assert [tuple(row) for row in rows] == [("wrong_key", "203.0.113.9", 2)]


async def test_one_who_tries_names_pushes_out_only_their_own(connection: asyncpg.Connection) -> None:
    await do(connection, connect("HONEST", address="198.51.100.1"))
    for batch in range(5):
        await do(connection, *(connect(f"EVIL-{batch}-{number}") for number in range(50)))
    kept = await knocks(connection)
    assert "HONEST" in kept
    assert len(kept) == MOST_FROM_ONE_ADDRESS + 1


async def test_many_who_knock_are_bounded_in_all(connection: asyncpg.Connection) -> None:
    addresses = [f"10.0.{number // 250}.{number % 250}" for number in range(MOST_KNOCKS + 100)]
    await do(connection, *(connect(f"EVB-{address}", address=address) for address in addresses))
    await do(connection, connect("LAST", address="192.0.2.1"))
    kept = await knocks(connection)
    assert len(kept) == MOST_KNOCKS
    assert next(iter(kept)) == "LAST"


async def test_refusals_of_one_charge_point_are_bounded(connection: asyncpg.Connection) -> None:
    await make_charge_point(connection)
    await make_charge_point(connection, "OTHER")
    await do(connection, connect("OTHER"))
    for number in range(MOST_REFUSALS + 5):
        await do(connection, connect("WALLBOX", address=f"10.0.0.{number}"))
    rows = await connection.fetch(
        "select remote_address from refused_handshakes r join charge_points c on c.id = r.charge_point_id "
        "where identity = 'WALLBOX' order by last_at desc"
    )
    assert len(rows) == MOST_REFUSALS
    assert rows[0]["remote_address"] == f"10.0.0.{MOST_REFUSALS + 4}"
    assert await connection.fetchval("select count(*) from refused_handshakes") == MOST_REFUSALS + 1
