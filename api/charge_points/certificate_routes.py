"""HTTP of certificates: the authority of this installation, and the certificates of each charge point."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row, select

from api.charge_points.certificates import ensure_authority
from api.charge_points.command_routes import SENDING, Command, WaitSeconds
from api.charge_points.sending import CurrentSender
from api.database import raw
from api.errors import NotAllowed, NotFound
from api.identity.caller import CurrentCaller
from api.problems import problem_docs
from api.request import Body, CurrentSettings, Now, Transaction
from api.schema import certificates, installed_certificates
from api.sharing.access import find_controlled

router = APIRouter(prefix="/api/v1", tags=["security"])

SHOWN = 50
AUTHORITY_EXAMPLE: dict[str, Any] = {"certificate": "-----BEGIN CERTIFICATE-----\n..."}
ISSUED_EXAMPLE: dict[str, Any] = {
    "id": "5e0f7b9a-0e4e-4f4a-8f43-6a4f1a2d7c10",
    "status": "accepted",
    "reason": None,
    "serial_number": "2f0c9a4e3b774c0f",
    "fingerprint": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "not_after": "2027-05-04T09:00:00Z",
    "command_id": "f6b1f9d3-0b5e-4d43-9b6c-2a8f9d0c7e54",
    "created_at": "2026-05-04T09:00:00Z",
}
INSTALLED_EXAMPLE: dict[str, Any] = {
    "certificate_type": "CentralSystemRootCertificate",
    "hash_algorithm": "SHA256",
    "issuer_name_hash": "aa",
    "issuer_key_hash": "bb",
    "serial_number": "01",
    "seen_at": "2026-05-04T09:00:00Z",
}


class CertificateAuthority(BaseModel):
    """Who signs the certificates of charge points."""

    model_config = ConfigDict(json_schema_extra={"example": AUTHORITY_EXAMPLE})

    certificate: str = Field(description="PEM; the proxy checks client certificates against it")


class IssuedCertificate(BaseModel):
    """What became of a certificate signing request."""

    model_config = ConfigDict(json_schema_extra={"example": ISSUED_EXAMPLE})

    id: UUID
    status: str = Field(description="`requested`, `refused` by us; `sent`, `accepted`, `rejected`, or `failed`")
    reason: str | None
    serial_number: str | None
    fingerprint: str | None = Field(description="SHA-256 of the DER form")
    not_after: datetime | None
    command_id: UUID | None
    created_at: datetime


class InstalledCertificate(BaseModel):
    """A root certificate that the charge point listed."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": INSTALLED_EXAMPLE})

    certificate_type: str
    hash_algorithm: str
    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str
    seen_at: datetime


class Certificates(BaseModel):
    """The certificates of a charge point."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"issued": [ISSUED_EXAMPLE], "installed": [INSTALLED_EXAMPLE]}}
    )

    issued: list[IssuedCertificate] = Field(description="its own, newest first")
    installed: list[InstalledCertificate] = Field(description="roots, as of its last GetInstalledCertificateIds")


class Renewal(Body):
    """How long to wait."""

    model_config = ConfigDict(json_schema_extra={"example": {"wait_s": 30}})

    wait_s: WaitSeconds = 30


@router.get("/certificate-authority", summary="Read the certificate authority", responses=problem_docs())
async def read_certificate_authority(
    caller: CurrentCaller, transaction: Transaction, settings: CurrentSettings, now: Now
) -> CertificateAuthority:
    """The certificate with which those of charge points are signed; made at the first need."""
    driver = await raw(transaction)
    authority = await ensure_authority(driver, settings.ca_password.get_secret_value(), now)
    return CertificateAuthority(certificate=authority.certificate_pem)


@router.get(
    "/charge-points/{charge_point_id}/certificates",
    summary="List certificates",
    responses=problem_docs(NotAllowed, NotFound),
)
async def list_certificates(
    *, charge_point_id: UUID, caller: CurrentCaller, transaction: Transaction, now: Now
) -> Certificates:
    """What the charge point asked us to sign and what became of it, and the roots that it holds. For the owner."""
    await find_controlled(transaction, caller, charge_point_id, now)
    issued = select(certificates).where(certificates.c.charge_point_id == charge_point_id)
    installed = select(installed_certificates).where(installed_certificates.c.charge_point_id == charge_point_id)
    newest = await transaction.execute(issued.order_by(certificates.c.created_at.desc()).limit(SHOWN))
    return Certificates(
        issued=[_issued(row) for row in newest],
        installed=[InstalledCertificate.model_validate(row) for row in await transaction.execute(installed)],
    )


def _issued(row: Row[Any]) -> IssuedCertificate:
    fields = {name: row._mapping[name] for name in IssuedCertificate.model_fields}
    return IssuedCertificate(**{**fields, "fingerprint": row.fingerprint.hex() if row.fingerprint else None})


@router.post(
    "/charge-points/{charge_point_id}/certificates/renew",
    status_code=201,
    summary="Renew the certificate",
    responses=SENDING,
)
async def renew_certificate(charge_point_id: UUID, sender: CurrentSender, body: Renewal | None = None) -> Command:
    """For the owner: asks the charge point for a new signing request (ExtendedTriggerMessage); the rest follows."""
    payload = {"requestedMessage": "SignChargePointCertificate"}
    wait_s = (body or Renewal()).wait_s
    return Command.model_validate(await sender.send_call(charge_point_id, "ExtendedTriggerMessage", payload, wait_s))
