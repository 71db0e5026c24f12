"""Security profile 3 through Apache: the certificate that the installation's own authority gave, and no key."""

from pathlib import Path

import pytest
from cryptography import x509
from ocpp.v16 import call
from websockets.exceptions import InvalidStatus

from tests.conformance import pki
from tests.conformance.case import Case, Central
from tests.conformance.charge_point import ChargePoint
from tests.conformance.test_remote import ACCEPTED
from tests.conformance.test_security_certificates import certificate_is, renew_certificate
from tests.conformance.test_security_links import is_refused
from tests.deploy.compose import Production
from tests.harness.person import Person
from tests.harness.stack import eventually
from tests.harness.wallbox import Wallbox


@pytest.mark.slow
async def test_a_charge_point_comes_in_by_its_certificate(
    production: Production, owner: Person, tmp_path: Path
) -> None:
    created, other = await owner.wallbox(), await owner.wallbox(name="by its key")
    cp = ChargePoint(production.ocpp_url, created["identity"], created["key"], tls=production.tls)
    case = Case(Central(production.ocpp_url, production.https_port, {}, {}), owner, owner, created["id"], cp)
    await cp.connect()
    assert (await cp.boot()).status == "Accepted"
    key, chain = await renew_certificate(case)
    await certificate_is(case, "accepted")
    production.put("/certificates/clients/ca.pem", pki.pem(x509.load_pem_x509_certificates(chain.encode())[-1]))
    try:
        await case.send("ChangeConfiguration", {"key": "SecurityProfile", "value": "3"}, ACCEPTED)
        await cp.disconnect()
        cp.tls, cp.key = production.tls, None
        pki.load_chain(cp.tls, tmp_path, chain, key)

        async def comes_in() -> bool:
            try:
                await cp.connect()
            except InvalidStatus:
                return False
            return True

        await eventually(comes_in, "Apache to ask for certificates", 60)
        assert (await cp.boot()).status == "Accepted"
        assert (await owner.get(f"{case.path}/security-profile"))["security_profile"] == 3
        await is_refused(ChargePoint(production.ocpp_url, cp.identity, created["key"], tls=production.tls), 401)
        async with Wallbox(production.ocpp_url, other["identity"], other["key"], tls=production.tls) as wallbox:
            assert (await wallbox.boot()).status == "Accepted"
        await cp.call(call.Heartbeat())
        await cp.disconnect()
    finally:
        production.compose("exec", "-T", "apache", "rm", "-rf", "/certificates/clients")
    assert cp.script.problems == []
