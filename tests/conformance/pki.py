"""Keys and certificates as a charge point, a manufacturer and the operator of a proxy have them. No sockets here."""

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def pem(thing: x509.Certificate | x509.CertificateSigningRequest) -> str:
    """As it travels in OCPP."""
    return thing.public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key: Key) -> bytes:
    """For an SSL context."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def new_key() -> ec.EllipticCurvePrivateKey:
    """WP, A00: ECDSA with P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def signing_request(key: Key, common_name: str) -> str:
    """A certificate signing request in PEM."""
    request = x509.CertificateSigningRequestBuilder().subject_name(_name(common_name))
    return pem(request.sign(key, hashes.SHA256()))


class Authority:
    """A root of somebody's own."""

    def __init__(self, common_name: str) -> None:
        self.key = new_key()
        self.certificate = self._build(common_name, common_name, self.key.public_key(), is_ca=True)

    def issue(self, common_name: str, public_key: Any, *, address: str = "127.0.0.1") -> x509.Certificate:
        """A certificate below it, valid for `address`."""
        return self._build(common_name, self._common_name(), public_key, is_ca=False, address=address)

    def _common_name(self) -> str:
        [attribute] = self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(attribute.value)

    def _build(
        self, subject: str, issuer: str, public_key: Any, *, is_ca: bool, address: str | None = None
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name(issuer))
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if address is not None:
            names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
            builder = builder.add_extension(names, critical=False)
        if is_ca:
            usage = x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                crl_sign=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            )
            builder = builder.add_extension(usage, critical=True)
        return builder.sign(self.key, hashes.SHA256())


def hash_data(certificate: x509.Certificate) -> dict[str, str]:
    """CertificateHashData of a root, as its charge point would list it."""
    name, key = hashes.Hash(hashes.SHA256()), hashes.Hash(hashes.SHA256())
    name.update(certificate.issuer.public_bytes())
    key.update(
        certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": name.finalize().hex(),
        "issuerKeyHash": key.finalize().hex(),
        "serialNumber": f"{certificate.serial_number:x}",
    }


def proxy_headers(certificate: x509.Certificate) -> dict[str, str]:
    """What our proxy tells the gateway of a client certificate that it verified."""
    [name] = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-For": "203.0.113.7",
        "X-Client-Verify": "SUCCESS",
        "X-Client-CN": str(name.value),
        "X-Client-Serial": f"{certificate.serial_number:X}",
        "X-Client-Certificate": quote(pem(certificate)),
    }


def load_chain(context: ssl.SSLContext, folder: Path, chain: str, key: Key) -> None:
    """Gives the context its certificate; `ssl` reads files only."""
    certificate_file, key_file = folder / f"{id(context)}.crt", folder / f"{id(context)}.key"
    certificate_file.write_text(chain)
    key_file.write_bytes(key_pem(key))
    context.load_cert_chain(certificate_file, key_file)


def client_context(trusted: str) -> ssl.SSLContext:
    """A charge point that trusts one root and takes TLS 1.2 or newer (WP, A00)."""
    context = ssl.create_default_context(cadata=trusted)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
