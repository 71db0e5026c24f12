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

OPEN_PROFILE, SECURE_PROFILE, CERTIFICATE_PROFILE = 0, 2, 3
UNKNOWN_DIGEST: Final = bytes(32)
"""Compared for an identity that does not exist, so that the time of the answer does not tell."""

FIND: Final = """
select c.id, c.identity, c.key_digest, c.next_key_digest, c.security_profile, c.next_security_profile, c.quirks,
    c.registration, c.heartbeat_interval_s,
    array(select fingerprint from certificates t
        where 3 in (c.security_profile, c.next_security_profile) and t.charge_point_id = c.id and t.status = 'accepted'
            and t.not_after > now()) as fingerprints
from charge_points c where c.identity = any($1::text[]) and c.deleted_at is null
"""
TOOK_NEW_KEY: Final = """
update charge_points set key_digest = next_key_digest, key_changed_at = $2, next_key_digest = null
where id = any($1::uuid[]) and next_key_digest is not null
"""
ROSE: Final = """
update charge_points set security_profile = next_security_profile, next_security_profile = null
where id = any($1::uuid[]) and next_security_profile is not null
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

Verdict = Literal["accepted", "unknown_identity", "wrong_key", "no_subprotocol", "insecure"]


def verdict(connect: Connect, charge_point: Mapping[str, Any] | None) -> Verdict:
    """Whether this handshake is let in, given the row of its identity."""
    has_key = _has_key(connect, charge_point)
    if charge_point is None:
        return "unknown_identity"
    refusal = _refusal(connect, charge_point, charge_point["security_profile"], has_key=has_key)
    if refusal is not None and not _rises(connect, charge_point, has_key=has_key):
        return refusal
    if not connect.offered_subprotocol and NO_SUBPROTOCOL not in charge_point["quirks"]:
        return "no_subprotocol"
    return "accepted"


def _has_key(connect: Connect, charge_point: Mapping[str, Any] | None) -> bool:
    expected = charge_point["key_digest"] if charge_point is not None else UNKNOWN_DIGEST
    following = (charge_point["next_key_digest"] if charge_point is not None else None) or expected
    return _offers(connect, expected) | _offers(connect, following)


def _offers(connect: Connect, digest: bytes) -> bool:
    return sum(hmac.compare_digest(offered, digest) for offered in connect.key_digests) > 0


def _rises(connect: Connect, charge_point: Mapping[str, Any], *, has_key: bool) -> bool:
    """Whether it comes with the higher profile that it accepted (WP A05)."""
    following = charge_point["next_security_profile"]
    return following is not None and _refusal(connect, charge_point, following, has_key=has_key) is None


def _refusal(
    connect: Connect, charge_point: Mapping[str, Any], profile: int, *, has_key: bool
) -> Literal["insecure", "wrong_key"] | None:
    """WP 2.2: 0 is open, 1 needs the key, 2 the key over TLS, 3 a client certificate over TLS."""
    if profile >= SECURE_PROFILE and not connect.secure:
        return "insecure"
    if profile == CERTIFICATE_PROFILE:
        known = connect.client_certificate in charge_point["fingerprints"]
        return None if connect.client_certificate and known else "wrong_key"
    return None if has_key or profile == OPEN_PROFILE else "wrong_key"


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
    accepted = [
        (connect, by_identity[connect.identity])
        for connect, outcome in zip(connects, outcomes, strict=True)
        if outcome.status == "accepted"
    ]
    await _note_new_keys(connection, accepted, now)
    await _note_rises(connection, accepted)
    await remember_outcomes(connection, connects, outcomes, by_identity, now)
    seen = [
        QuirksSeen(str(by_identity[connect.identity]["id"]), 0, now.timestamp(), {NO_SUBPROTOCOL: 1})
        for connect, outcome in zip(connects, outcomes, strict=True)
        if outcome.status == "no_subprotocol"
    ]
    await note_seen(connection, seen)
    return outcomes


async def _note_new_keys(
    connection: asyncpg.Connection, accepted: Sequence[tuple[Connect, Mapping[str, Any]]], now: datetime
) -> None:
    """A charge point that uses the key that it was told has taken it: the old one is dead."""
    took = [
        row["id"]
        for connect, row in accepted
        if (following := row["next_key_digest"]) is not None and _offers(connect, following)
    ]
    if took:
        await connection.execute(TOOK_NEW_KEY, took, now)


async def _note_rises(connection: asyncpg.Connection, accepted: Sequence[tuple[Connect, Mapping[str, Any]]]) -> None:
    """Who came with the higher profile that it accepted does not come back with a lower one (WP A05)."""
    rose = [row["id"] for connect, row in accepted if _rises(connect, row, has_key=_has_key(connect, row))]
    if rose:
        await connection.execute(ROSE, rose)


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
