"""Who may connect: a batch of handshakes against identities and key digests, and the end of connections.

Every accepted connection draws an epoch from a PostgreSQL sequence, so that the newest one wins (DESIGN, Epochs).
"""

import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

import asyncpg

from api.charge_points.knocking import remember_outcomes
from api.charge_points.sightings import note_seen
from wire.messages import Connect, ConnectOutcome, Disconnected, QuirksSeen
from wire.quirks import NO_SUBPROTOCOL

UNKNOWN_DIGEST: Final = bytes(32)
"""Compared for an identity that does not exist, so that the time of the answer does not tell."""

FIND: Final = """
select id, identity, key_digest, quirks, registration, heartbeat_interval_s
from charge_points where identity = any($1::text[]) and deleted_at is null
"""
DRAW: Final = "select nextval('connection_epochs') from generate_series(1, $1::integer)"
CONNECTED: Final = """
update charge_points c set connection_epoch = new.epoch, connected_at = $3
from unnest($1::uuid[], $2::bigint[]) as new (id, epoch)
where c.id = new.id and c.connection_epoch < new.epoch
"""
DISCONNECTED: Final = """
update charge_points c set disconnected_at = ended.at
from unnest($1::uuid[], $2::bigint[], $3::timestamptz[]) as ended (id, epoch, at)
where c.id = ended.id and c.connection_epoch = ended.epoch
"""

Verdict = Literal["accepted", "unknown_identity", "wrong_key", "no_subprotocol"]


def verdict(connect: Connect, charge_point: Mapping[str, Any] | None) -> Verdict:
    """Whether this handshake is let in, given the row of its identity."""
    expected = charge_point["key_digest"] if charge_point is not None else UNKNOWN_DIGEST
    matches = [hmac.compare_digest(digest, expected) for digest in connect.key_digests]
    if charge_point is None:
        return "unknown_identity"
    if not any(matches):
        return "wrong_key"
    if not connect.offered_subprotocol and NO_SUBPROTOCOL not in charge_point["quirks"]:
        return "no_subprotocol"
    return "accepted"


async def connect_all(
    connection: asyncpg.Connection, connects: Sequence[Connect], now: datetime
) -> list[ConnectOutcome]:
    """One outcome for each handshake, in order; those let in have their epoch written down."""
    rows = await connection.fetch(FIND, [connect.identity for connect in connects])
    by_identity = {row["identity"]: row for row in rows}
    verdicts = [verdict(connect, by_identity.get(connect.identity)) for connect in connects]
    epochs = await _draw(connection, verdicts.count("accepted"))
    outcomes = [
        _accepted(connect, by_identity[connect.identity], epochs.pop(0))
        if status == "accepted"
        else ConnectOutcome(connect.id, status)
        for connect, status in zip(connects, verdicts, strict=True)
    ]
    await _write_epochs(connection, outcomes, now)
    await remember_outcomes(connection, connects, outcomes, by_identity, now)
    seen = [
        QuirksSeen(str(by_identity[connect.identity]["id"]), 0, now.timestamp(), {NO_SUBPROTOCOL: 1})
        for connect, outcome in zip(connects, outcomes, strict=True)
        if outcome.status == "no_subprotocol"
    ]
    await note_seen(connection, seen)
    return outcomes


async def _draw(connection: asyncpg.Connection, count: int) -> list[int]:
    return [row[0] for row in await connection.fetch(DRAW, count)] if count else []


def _accepted(connect: Connect, row: Mapping[str, Any], epoch: int) -> ConnectOutcome:
    return ConnectOutcome(
        connect.id,
        "accepted",
        charge_point_id=str(row["id"]),
        epoch=epoch,
        registration=row["registration"] or "",
        heartbeat_interval_s=row["heartbeat_interval_s"],
        quirks=row["quirks"],
    )


async def _write_epochs(connection: asyncpg.Connection, outcomes: Sequence[ConnectOutcome], now: datetime) -> None:
    newest = {outcome.charge_point_id: outcome.epoch for outcome in outcomes if outcome.status == "accepted"}
    if newest:
        await connection.execute(CONNECTED, list(newest), list(newest.values()), now)


async def disconnect_all(connection: asyncpg.Connection, notes: Sequence[Disconnected]) -> None:
    """Writes down when connections ended; the end of an older connection never touches a newer one."""
    await connection.execute(
        DISCONNECTED,
        [note.charge_point_id for note in notes],
        [note.epoch for note in notes],
        [datetime.fromtimestamp(note.at, UTC) for note in notes],
    )
