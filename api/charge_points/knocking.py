"""Handshakes that were refused: unknown identities for operators, and why an owner's wallbox does not come in.

Anyone can knock, so both are bounded: rows in all, rows from one address, rows of one charge point.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg

from wire.messages import Connect, ConnectOutcome, HandshakeRefused

MOST_KNOCKS: Final = 1000
MOST_FROM_ONE_ADDRESS: Final = 20
"""So that one who tries names at random pushes out none but their own."""
MOST_REFUSALS: Final = 10
"""Rows of one charge point: each is a reason and an address, with a count."""
LOCK: Final = "select pg_advisory_xact_lock(hashtextextended('knocks', 0))"
"""Handshakes that fail may wait for each other; the rows are few, and their order does not matter then."""

FIND: Final = "select id, identity from charge_points where identity = any($1::text[]) and deleted_at is null"
KNOCK: Final = """
insert into knocks as known (identity, remote_address, count, first_at, last_at)
select * from unnest($1::text[], $2::text[], $3::bigint[]) as knock (identity, remote_address, count), (values
    ($4::timestamptz, $4::timestamptz)) as seen (first_at, last_at)
on conflict (identity) do update
set count = known.count + excluded.count, last_at = excluded.last_at, remote_address = excluded.remote_address
"""
FORGET_KNOCKS: Final = """
delete from knocks where id in (
    select id from (
        select id, row_number() over (order by last_at desc, id desc) as place,
            row_number() over (partition by remote_address order by last_at desc, id desc) as place_of_address
        from knocks
    ) as ranked
    where place > $1 or place_of_address > $2
)
"""
REFUSAL: Final = """
insert into refused_handshakes as known (charge_point_id, reason, remote_address, count, first_at, last_at)
select * from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[])
    as refusal (charge_point_id, reason, remote_address, count), (values
    ($5::timestamptz, $5::timestamptz)) as seen (first_at, last_at)
on conflict (charge_point_id, reason, remote_address) do update
set count = known.count + excluded.count, last_at = excluded.last_at
"""
FORGET_REFUSALS: Final = """
delete from refused_handshakes r using (
    select charge_point_id, reason, remote_address,
        row_number() over (partition by charge_point_id order by last_at desc, reason, remote_address) as place
    from refused_handshakes where charge_point_id = any($1::uuid[])
) as ranked
where place > $2 and (r.charge_point_id, r.reason, r.remote_address)
    = (ranked.charge_point_id, ranked.reason, ranked.remote_address)
"""


async def remember_outcomes(
    connection: asyncpg.Connection,
    connects: Sequence[Connect],
    outcomes: Sequence[ConnectOutcome],
    charge_points: Mapping[str, Any],
    now: datetime,
) -> None:
    """Of a batch of handshakes, those that were refused; `charge_points` are the rows of known identities."""
    refused = [
        HandshakeRefused(connect.identity, outcome.status, connect.remote_address, connect.received_at)
        for connect, outcome in zip(connects, outcomes, strict=True)
        if outcome.status != "accepted"
    ]
    await _remember(connection, refused, {name: str(row["id"]) for name, row in charge_points.items()}, now)


async def remember_refusals(connection: asyncpg.Connection, notes: Sequence[HandshakeRefused]) -> None:
    """Handshakes that gateways refused by themselves."""
    if notes:
        rows = await connection.fetch(FIND, [note.identity for note in notes])
        now = datetime.fromtimestamp(max(note.at for note in notes), UTC)
        await _remember(connection, notes, {row["identity"]: str(row["id"]) for row in rows}, now)


async def _remember(
    connection: asyncpg.Connection, refused: Sequence[HandshakeRefused], known: Mapping[str, str], now: datetime
) -> None:
    if not refused:
        return
    await connection.execute(LOCK)
    knocks = [note for note in refused if note.identity not in known]
    if knocks:
        counts = Counter(note.identity for note in knocks)
        addresses = {note.identity: note.remote_address for note in knocks}
        await connection.execute(KNOCK, list(addresses), list(addresses.values()), [counts[n] for n in addresses], now)
        await connection.execute(FORGET_KNOCKS, MOST_KNOCKS, MOST_FROM_ONE_ADDRESS)
    refusals = Counter((known[n.identity], n.reason, n.remote_address) for n in refused if n.identity in known)
    if refusals:
        ids, reasons, addresses_ = zip(*refusals, strict=True)
        await connection.execute(REFUSAL, ids, reasons, addresses_, list(refusals.values()), now)
        await connection.execute(FORGET_REFUSALS, list(set(ids)), MOST_REFUSALS)
