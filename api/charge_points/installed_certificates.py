"""The root certificates at a charge point, as it last listed them (WP M03, M04). Effects of commands only."""

from typing import Final

import asyncpg

from api.charge_points.ended import Ended

FORGET: Final = "delete from installed_certificates where charge_point_id = $1 and certificate_type = $2"
LISTED: Final = """
insert into installed_certificates (charge_point_id, certificate_type, hash_algorithm, issuer_name_hash,
    issuer_key_hash, serial_number, seen_at)
values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing
"""
DELETED: Final = """
delete from installed_certificates
where charge_point_id = $1 and issuer_name_hash = $2 and issuer_key_hash = $3 and serial_number = $4
"""


async def listed(connection: asyncpg.Connection, ended: Ended) -> None:
    """GetInstalledCertificateIds: NotFound is an empty list."""
    if not ended.accepted and ended.response.get("status") != "NotFound":
        return
    kind = ended.payload["certificateType"]
    await connection.execute(FORGET, ended.charge_point_id, kind)
    for each in ended.response.get("certificateHashData", []):
        hashes = (each["hashAlgorithm"], each["issuerNameHash"], each["issuerKeyHash"], each["serialNumber"])
        await connection.execute(LISTED, ended.charge_point_id, kind, *hashes, ended.at)


async def deleted(connection: asyncpg.Connection, ended: Ended) -> None:
    """DeleteCertificate: NotFound means that it is not there either."""
    if ended.accepted or ended.response.get("status") == "NotFound":
        each = ended.payload["certificateHashData"]
        hashes = (each["issuerNameHash"], each["issuerKeyHash"], each["serialNumber"])
        await connection.execute(DELETED, ended.charge_point_id, *hashes)
