"""Certification cases of Security: certificates of the charge point, and roots that are installed in it."""

from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from ocpp.v16 import call

from tests.conformance import pki
from tests.conformance.case import Case
from tests.conformance.test_remote import ACCEPTED, REJECTED
from tests.harness.stack import eventually
from tests.harness.wallbox import now_text


async def sign_request(case: Case, csr: str, answer: dict[str, Any]) -> str:
    """The central system asks for a request (A02), gets it, and sends the signed chain; gives the chain."""
    await case.send("ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"}, ACCEPTED)
    case.cp.will_answer("CertificateSigned", answer)
    accepted = await case.cp.call(call.SignCertificate(csr=csr))
    assert accepted.status == "Accepted"
    signed = await case.cp.received("CertificateSigned")
    return str(signed["certificateChain"])


async def renew_certificate(case: Case, key: pki.Key | None = None, name: str = "") -> tuple[pki.Key, str]:
    """A new certificate for the charge point's new key, checked as a charge point would; key and chain in PEM."""
    key, name = key or pki.new_key(), name or case.cp.identity
    chain = await sign_request(case, pki.signing_request(key, name), ACCEPTED)
    leaf, *above = x509.load_pem_x509_certificates(chain.encode())
    assert leaf.public_key() == key.public_key()
    assert [name.value for name in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [name]
    assert leaf.not_valid_before_utc <= datetime.now(UTC) < leaf.not_valid_after_utc
    issuer = above[0]
    leaf.verify_directly_issued_by(issuer)
    assert leaf.signature_algorithm_oid != x509.SignatureAlgorithmOID.RSASSA_PSS
    authority_key = issuer.public_key()
    if isinstance(authority_key, rsa.RSAPublicKey):
        assert authority_key.key_size >= 2048
    else:
        assert isinstance(authority_key, ec.EllipticCurvePublicKey)
        assert authority_key.curve.name == "secp256r1"
    return key, chain


async def certificate_is(case: Case, status: str) -> None:
    """Waits until the API shows the newest certificate so."""

    async def shown() -> bool:
        issued = (await case.owner.get(f"{case.path}/certificates"))["issued"]
        return bool(issued and issued[0]["status"] == status)

    await eventually(shown, f"the certificate to be shown as {status}")


async def security_event(case: Case, kind: str) -> None:
    """The charge point reports it; the API shows it (A04)."""
    await case.cp.call(call.SecurityEventNotification(type=kind, timestamp=now_text(), tech_info="seen by the test"))
    items = (await case.owner.get(f"{case.path}/security-events"))["items"]
    assert [(item["type"], item["tech_info"]) for item in items] == [(kind, "seen by the test")]


async def test_tc_074_new_certificate(booted: Case) -> None:
    """WP A02: asked for it, the charge point sends a signing request; our CA signs it, for its identity or its serial
    number only, with ECDSA P-256 as with RSA of 2048 bits, and sends the chain."""
    await booted.cp.boot(charge_point_serial_number="SN-0042")
    await renew_certificate(booted)
    await certificate_is(booted, "accepted")
    await renew_certificate(booted, rsa.generate_private_key(65537, 2048), "SN-0042")
    await certificate_is(booted, "accepted")
    weak = pki.signing_request(rsa.generate_private_key(65537, 1024), booted.cp.identity)  # noqa: S505 - is refused
    assert (await booted.cp.call(call.SignCertificate(csr=weak))).status == "Rejected"
    foreign = pki.signing_request(pki.new_key(), "SOMEBODY-ELSE")
    assert (await booted.cp.call(call.SignCertificate(csr=foreign))).status == "Rejected"


async def installed(case: Case) -> list[str]:
    """Serial numbers of the roots in the charge point, as the API shows them."""
    roots = (await case.owner.get(f"{case.path}/certificates"))["installed"]
    return [root["serial_number"] for root in roots]


async def install(case: Case, kind: str) -> dict[str, str]:
    """InstallCertificate, and what the charge point then lists (A05); the hash data of the root."""
    root = pki.Authority("A new root").certificate
    listed = pki.hash_data(root)
    await case.send("InstallCertificate", {"certificate": pki.pem(root), "certificateType": kind}, ACCEPTED)
    answer = {"certificateHashData": [listed], "status": "Accepted"}
    await case.send("GetInstalledCertificateIds", {"certificateType": kind}, answer)
    assert await installed(case) == [listed["serialNumber"]]
    return listed


async def test_tc_075_1_install_a_manufacturer_root(booted: Case) -> None:
    """WP A05: a root for the signatures of firmware."""
    await install(booted, "ManufacturerRootCertificate")


async def test_tc_075_2_install_a_central_system_root(booted: Case) -> None:
    """WP A05: a root for the certificate of the central system."""
    await install(booted, "CentralSystemRootCertificate")


async def test_tc_076_delete_a_certificate(booted: Case) -> None:
    """WP A06: a root is deleted by the hash data that the charge point listed; then it is not found any more."""
    kind = "ManufacturerRootCertificate"
    listed = await install(booted, kind)
    await booted.send("DeleteCertificate", {"certificateHashData": listed}, ACCEPTED)
    gone = {"status": "NotFound"}
    await booted.send("GetInstalledCertificateIds", {"certificateType": kind}, gone, status="rejected")
    assert await installed(booted) == []
    await booted.send("DeleteCertificate", {"certificateHashData": listed}, gone, status="rejected")


async def test_tc_077_invalid_charge_point_certificate(booted: Case) -> None:
    """WP A02, A04: the charge point finds the certificate that we sent invalid, says so and reports the event."""
    await sign_request(booted, pki.signing_request(pki.new_key(), booted.cp.identity), REJECTED)
    await security_event(booted, "InvalidChargePointCertificate")
    await certificate_is(booted, "rejected")


async def test_tc_078_invalid_central_system_certificate(booted: Case) -> None:
    """WP A05, A04: the charge point does not take the root, says so and reports the event."""
    payload = {
        "certificate": pki.pem(pki.Authority("A bad root").certificate),
        "certificateType": "CentralSystemRootCertificate",
    }
    await booted.send("InstallCertificate", payload, REJECTED, status="rejected")
    await security_event(booted, "InvalidCentralSystemCertificate")
    assert await installed(booted) == []
