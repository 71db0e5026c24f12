"""Which certificate signing requests are signed (WP 2.6), and what comes out."""

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from api.charge_points.certificate_authority import (
    RequestRefused,
    dump_key,
    load_authority,
    make_authority,
    read_request,
    sign,
)

NOW = datetime(2026, 5, 4, 9, tzinfo=UTC)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def request(key: Key, name: str = "CP1", algorithm: hashes.HashAlgorithm | None = None, *, pss: bool = False) -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    digest = algorithm or hashes.SHA256()
    scheme = padding.PSS(padding.MGF1(hashes.SHA256()), 32) if pss else None
    assert isinstance(digest, hashes.SHA256 | hashes.SHA384)
    return builder.sign(key, digest, rsa_padding=scheme).public_bytes(serialization.Encoding.PEM).decode()


P256 = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize("key", [P256, RSA])
@pytest.mark.parametrize("password", ["", "correct horse"])
def test_a_certificate_says_who_it_is_and_is_signed_by_the_authority(key: Key, password: str) -> None:
    made = make_authority(NOW)
    stored = dump_key(made, password)
    assert ("ENCRYPTED" in stored) == bool(password)
    authority = load_authority(stored, made.certificate_pem, password)
    signed = sign(authority, read_request(request(key), {"CP1"}), NOW)
    certificate, root = x509.load_pem_x509_certificates(signed.chain.encode())
    certificate.verify_directly_issued_by(root)
    assert certificate.subject.rfc4514_string() == "CN=CP1"
    assert certificate.public_key() == key.public_key()
    assert certificate.fingerprint(hashes.SHA256()) == signed.fingerprint
    assert certificate.not_valid_after_utc == signed.not_after
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert len(signed.chain) < 10000


def test_another_password_does_not_open_the_authority() -> None:
    made = make_authority(NOW)
    with pytest.raises((ValueError, TypeError)):
        load_authority(dump_key(made, "right"), made.certificate_pem, "wrong")


def test_der_in_base64_is_read_too() -> None:
    pem = request(P256)
    der = "".join(pem.splitlines()[1:-1])
    assert read_request(der, {"CP1"}).subject.rfc4514_string() == "CN=CP1"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (request(P256, "CP2"), "common name"),
        (request(rsa.generate_private_key(65537, 1024)), "2048"),  # noqa: S505 - it is what must be refused
        (request(RSA, pss=True), "PSS"),
        (request(RSA, algorithm=hashes.SHA384()), "SHA-256"),
        (request(ec.generate_private_key(ec.SECP384R1())), "P-256"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----", "PKCS"),
        ("", "PKCS"),
        ("no request", "PKCS"),
    ],
)
def test_what_is_refused(text: str, reason: str) -> None:
    with pytest.raises(RequestRefused, match=reason):
        read_request(text, {"CP1"})


def test_a_request_that_was_changed_is_refused() -> None:
    der = bytearray(x509.load_pem_x509_csr(request(P256).encode()).public_bytes(serialization.Encoding.DER))
    der[der.index(b"CP1")] = ord("D")
    changed = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM).decode()
    with pytest.raises(RequestRefused, match="signature"):
        read_request(changed, {"DP1"})
