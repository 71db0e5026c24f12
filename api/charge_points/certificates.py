"""Certificates of charge points (WP A02): from SignCertificate to the answer to CertificateSigned.

The request is judged and stored when it arrives, signed by a chore, and sent as a command like any other.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg
import msgspec
import orjson

from api.charge_points.answers import Answer, encode_payload
from api.charge_points.certificate_authority import (
    Authority,
    RequestRefused,
    dump_key,
    load_authority,
    make_authority,
    read_request,
    sign,
)
from api.charge_points.ended import Ended
from wire.messages import ChargePointCall

DEADLINE: Final = timedelta(seconds=60)
MOST_AT_ONCE: Final = 20

NAMES: Final = """
select identity, boot ->> 'chargePointSerialNumber' as serial, boot ->> 'chargeBoxSerialNumber' as box
from charge_points where id = $1
"""
ADD: Final = """
insert into certificates (charge_point_id, csr, csr_digest, status, reason) values ($1, $2, $3, $4, $5)
on conflict do nothing
"""
REQUESTED: Final = """
select r.id, r.csr, r.charge_point_id, c.connection_epoch from certificates r
join charge_points c on c.id = r.charge_point_id
where r.status = 'requested' order by r.created_at limit $1 for update of r skip locked
"""
COMMAND: Final = """
insert into commands (charge_point_id, action, payload, epoch, deadline_at, created_at)
values ($1, 'CertificateSigned', $2::text::jsonb, $3, $4, $5) returning id
"""
SENT: Final = """
update certificates set status = 'sent', command_id = $2, certificate = $3, fingerprint = $4, serial_number = $5,
    not_after = $6
where id = $1
"""
ANSWERED: Final = "update certificates set status = $2, reason = $3 where command_id = $1 and status = 'sent'"
AUTHORITY: Final = "select private_key, certificate from certificate_authority"
ADD_AUTHORITY: Final = """
insert into certificate_authority (id, private_key, certificate, created_at) values (1, $1, $2, $3)
on conflict do nothing
"""


class SignCertificateRequest(msgspec.Struct, rename="camel"):
    """SignCertificate.req."""

    csr: str


_decoder = msgspec.json.Decoder(SignCertificateRequest, strict=False)


async def sign_certificate(connection: asyncpg.Connection, call: ChargePointCall, now: datetime) -> Answer:
    """Accepted where the request will be signed; the certificate follows in a CertificateSigned."""
    csr = _decoder.decode(call.payload).csr
    names = [name for name in await connection.fetchrow(NAMES, call.charge_point_id) if name]
    digest = hashlib.sha256(csr.encode()).digest()
    try:
        read_request(csr, names)
        status, reason = "requested", None
    except RequestRefused as refused:
        status, reason = "refused", str(refused)
    await connection.execute(ADD, call.charge_point_id, csr, digest, status, reason)
    answer = "Rejected" if reason else "Accepted"
    return Answer(encode_payload({"status": answer}), about={"certificate_request": status, "reason": reason})


async def ensure_authority(connection: asyncpg.Connection, password: str, now: datetime) -> Authority:
    """The authority of this installation, made where there is none.

    Raises:
        ValueError, TypeError: CA_PASSWORD is not the one with which it was made.
    """
    row = await connection.fetchrow(AUTHORITY)
    if row is None:
        made = make_authority(now)
        await connection.execute(ADD_AUTHORITY, dump_key(made, password), made.certificate_pem, now)
        row = await connection.fetchrow(AUTHORITY)
    return load_authority(row["private_key"], row["certificate"], password)


async def sign_requested(connection: asyncpg.Connection, password: str, now: datetime) -> int:
    """Signs what waits and makes the commands that carry the certificates; the sweeper sends them."""
    rows = await connection.fetch(REQUESTED, MOST_AT_ONCE)
    if rows:
        authority = await ensure_authority(connection, password, now)
        for row in rows:
            await _sign(connection, authority, row, now)
    return len(rows)


async def _sign(connection: asyncpg.Connection, authority: Authority, row: Mapping[str, Any], now: datetime) -> None:
    request = read_request(row["csr"], _AnyName())
    signed = sign(authority, request, now)
    payload = orjson.dumps({"certificateChain": signed.chain}).decode()
    command_id = await connection.fetchval(
        COMMAND, row["charge_point_id"], payload, row["connection_epoch"], now + DEADLINE, now
    )
    await connection.execute(
        SENT, row["id"], command_id, signed.chain, signed.fingerprint, signed.serial_number, signed.not_after
    )


class _AnyName(frozenset[str]):
    """The name was checked when the request arrived."""

    def __contains__(self, name: object) -> bool:
        return True


async def certificate_answered(connection: asyncpg.Connection, ended: Ended) -> None:
    """The charge point took its certificate, or not; where nobody knows, it must ask again."""
    status = {"accepted": "accepted", "rejected": "rejected"}.get(ended.status, "failed")
    reason = None if status == "accepted" else str(ended.response.get("status", ended.status))
    await connection.execute(ANSWERED, ended.id, status, reason)
