"""The certificate authority of this installation: which requests it signs, and how. Pure but for randomness; no I/O.

WP 2.6: RSA keys of at least 2048 bits with SHA256withRSA (not PSS), or ECDSA on P-256; the common name says which
charge point it is.
"""

import base64
import binascii
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS: Final = 20 * 365
CERTIFICATE_DAYS: Final = 365
CLOCK_DIFFERENCE: Final = timedelta(hours=1)
"""A charge point whose clock is behind must not find its certificate not valid yet."""
SMALLEST_RSA_BITS: Final = 2048
AUTHORITY_NAME: Final = "Voltuj charge point authority"


class RequestRefused(Exception):  # noqa: N818 - it is what the charge point is told, not what broke
    """A certificate signing request that is not signed; the message says why."""


@dataclass(frozen=True, slots=True)
class Authority:
    """The key that signs and its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def certificate_pem(self) -> str:
        """For whoever checks client certificates."""
        return _pem(self.certificate)


@dataclass(frozen=True, slots=True)
class Signed:
    """A certificate for a charge point; `chain` is PEM, the certificate first and then the authority's."""

    chain: str
    fingerprint: bytes
    serial_number: str
    not_after: datetime


def make_authority(now: datetime) -> Authority:
    """A new authority with a key on P-256."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, AUTHORITY_NAME)])
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - CLOCK_DIFFERENCE)
        .not_valid_after(now + timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(key, certificate)


def dump_key(authority: Authority, password: str) -> str:
    """Its key as PEM, encrypted where there is a password."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password.encode())
    pem = authority.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    return pem.decode()


def load_authority(key_pem: str, certificate_pem: str, password: str) -> Authority:
    """An authority from what was stored.

    Raises:
        ValueError, TypeError: the password is not the one with which it was stored.
    """
    secret = password.encode() if password else None
    key = serialization.load_pem_private_key(key_pem.encode(), secret)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority has a key on P-256")
    return Authority(key, x509.load_pem_x509_certificate(certificate_pem.encode()))


def read_request(text: str, names: Collection[str]) -> x509.CertificateSigningRequest:
    """A signing request that we would sign; its common name must be one of `names`.

    Raises:
        RequestRefused: it is not one.
    """
    request = _parse(text)
    try:
        if not request.is_signature_valid:
            raise RequestRefused("the signature of the request is wrong")
    except (UnsupportedAlgorithm, InvalidSignature) as error:
        raise RequestRefused("the signature algorithm is not supported") from error
    _check_key(request)
    common_names = [str(each.value) for each in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if len(common_names) != 1 or common_names[0] not in names:
        raise RequestRefused("the common name is not the identity or serial number of this charge point")
    return request


def _parse(text: str) -> x509.CertificateSigningRequest:
    """PEM, as the whitepaper says, or the base64 of the DER form."""
    try:
        if "-----BEGIN" in text:
            return x509.load_pem_x509_csr(text.encode())
        return x509.load_der_x509_csr(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error, UnsupportedAlgorithm) as error:
        raise RequestRefused("not a PKCS #10 certificate signing request") from error


def _check_key(request: x509.CertificateSigningRequest) -> None:
    try:
        key = request.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise RequestRefused("a key of this kind is not supported") from error
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < SMALLEST_RSA_BITS:
            raise RequestRefused(f"an RSA key needs at least {SMALLEST_RSA_BITS} bits")
        if not isinstance(request.signature_algorithm_parameters, padding.PKCS1v15):
            raise RequestRefused("an RSA request is signed by SHA256withRSA, not by RSASSA-PSS")
    elif not (isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)):
        raise RequestRefused("the key must be RSA, or ECDSA on P-256")
    if not isinstance(request.signature_hash_algorithm, hashes.SHA256):
        raise RequestRefused("the request must be signed with SHA-256")


def sign(authority: Authority, request: x509.CertificateSigningRequest, now: datetime) -> Signed:
    """A certificate for the client side of TLS with the subject and key of the request, and nothing else of it."""
    serial_number = x509.random_serial_number()
    not_after = now + timedelta(days=CERTIFICATE_DAYS)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    certificate = (
        x509.CertificateBuilder(authority.certificate.subject, request.subject, request.public_key(), serial_number)
        .not_valid_before(now - CLOCK_DIFFERENCE)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(issuer, critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    chain = _pem(certificate) + authority.certificate_pem
    return Signed(chain, certificate.fingerprint(hashes.SHA256()), f"{serial_number:x}", not_after)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
