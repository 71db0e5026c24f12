"""Webhooks end to end: a receiver of its own, signed deliveries, retries, and what they must never do."""

import hashlib
import hmac
import uuid
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.harness.person import Person
from tests.harness.stack import eventually
from tests.integration.events.conftest import Site
from tests.integration.events.receiver import receiver

LOOPBACK = {"WEBHOOK_LOOPBACK": "true"}


def is_signed(request: dict[str, Any], secret: str) -> bool:
    """As `docs/events.md` tells receivers to check it."""
    fields = dict(part.split("=", 1) for part in request["headers"]["voltuj-signature"].split(","))
    expected = hmac.new(secret.encode(), f"{fields['t']}.{request['body']}".encode(), hashlib.sha256).hexdigest()
    age = datetime.now(UTC).timestamp() - int(fields["t"])
    return hmac.compare_digest(expected, fields["v1"]) and abs(age) < 300


async def deliveries(person: Person, webhook: dict[str, Any]) -> list[dict[str, Any]]:
    """Newest first."""
    found: list[dict[str, Any]] = (await person.get(f"/webhooks/{webhook['id']}/deliveries"))["items"]
    return found


async def until_delivery(person: Person, webhook: dict[str, Any], **wanted: Any) -> dict[str, Any]:
    """Waits until one of the webhook's deliveries is as wanted."""

    async def there() -> dict[str, Any] | None:
        found = await deliveries(person, webhook)
        return next((each for each in found if {k: each[k] for k in wanted} == wanted), None)

    result: dict[str, Any] = await eventually(there, f"a delivery with {wanted}", 30)
    return result


@pytest.mark.parametrize("site", [LOOPBACK], indirect=True)
async def test_a_webhook_from_its_first_ping_to_its_end(site: Site, tmp_path: Path) -> None:
    owner = await site.person("owner")
    wallbox = await owner.wallbox()
    async with receiver(tmp_path) as its:
        body = {"url": its.url, "types": ["connector.status"]}
        answer = await owner.http.post("/webhooks", json=body, headers={"Idempotency-Key": "one"})
        webhook = answer.json()
        again = await owner.http.post("/webhooks", json=body, headers={"Idempotency-Key": "one"})
        assert (again.json()["id"], again.json()["secret"]) == (webhook["id"], None)
        assert "secret" not in await owner.get(f"/webhooks/{webhook['id']}")

        await owner.post(f"/webhooks/{webhook['id']}/ping", {})
        [ping] = await its.until(1)
        assert (ping["line"], ping["event"]["type"]) == ("POST /hook?a=1 HTTP/1.1", "webhook.ping")
        assert is_signed(ping, webhook["secret"])
        assert not is_signed(ping | {"body": ping["body"] + " "}, webhook["secret"])

        its.answer("503")
        await site.transaction(wallbox["id"])
        await site.status(wallbox["id"], "Charging")
        waiting = await until_delivery(owner, webhook, status="pending", response_status=503)
        assert waiting["error"] == "answered 503"
        its.answer("302")
        await site.execute("update webhook_deliveries set next_at = now() where status = 'pending'")
        await until_delivery(owner, webhook, status="pending", response_status=302)
        its.answer("204")
        await site.execute("update webhook_deliveries set next_at = now() where status = 'pending'")
        done = await until_delivery(owner, webhook, id=waiting["id"], status="delivered")
        assert (done["attempts"], done["response_status"], done["error"]) == (3, 204, None)
        tried = its.received()[1:]
        assert {each["line"] for each in tried} == {"POST /hook?a=1 HTTP/1.1"}, "a redirect is not followed"
        assert {each["event"]["id"] for each in tried} == {done["event_id"]}
        assert {each["event"]["type"] for each in tried} == {"connector.status"}

        its.answer("500")
        await site.status(wallbox["id"], "Faulted")
        await until_delivery(owner, webhook, status="pending", response_status=500)
        await site.execute("update webhook_deliveries set next_at = now(), give_up_at = now() where status = 'pending'")
        failed = await until_delivery(owner, webhook, status="failed")
        shown = await owner.get(f"/webhooks/{webhook['id']}")
        assert shown["disabled_at"] is not None
        assert shown["disabled_reason"] == "An event was not accepted for a day; last: answered 500"
        again_path = f"/webhooks/{webhook['id']}/deliveries/{failed['id']}/redeliver"
        assert (await owner.http.post(again_path)).status_code == 409
        its.answer("204")
        enabled = await owner.http.patch(f"/webhooks/{webhook['id']}", json={"enabled": True})
        assert enabled.json()["disabled_at"] is None
        await owner.post(again_path, {})
        await until_delivery(owner, webhook, id=failed["id"], status="delivered")
        assert its.received()[-1]["event"]["id"] == failed["event_id"]
        assert (await owner.http.delete(f"/webhooks/{webhook['id']}")).status_code == 204
        assert await site.sql.fetchval("select count(*) from webhook_deliveries") == 0


async def until_all_are_handed_on(site: Site) -> None:
    """Who may see an event is asked when it gets its number."""

    async def numbered() -> bool:
        waiting: int = await site.sql.fetchval("select count(*) from events where position is null")
        return waiting == 0

    await eventually(numbered, "every event to have a number")


@pytest.mark.parametrize("site", [LOOPBACK], indirect=True)
async def test_what_a_guest_may_not_see_any_more_is_not_posted(site: Site, tmp_path: Path) -> None:
    owner, guest, stranger = [await site.person(name) for name in ("owner", "guest", "stranger")]
    wallbox = await owner.wallbox()
    grants = f"/charge-points/{wallbox['id']}/grants"
    grant = await owner.post(grants, {"email": guest.email})
    async with receiver(tmp_path, answer="503") as its, receiver(tmp_path) as strangers:
        webhook = await guest.post("/webhooks", {"url": its.url})
        await stranger.post("/webhooks", {"url": strangers.url, "charge_point_ids": [wallbox["id"]]})
        await site.status(wallbox["id"], "Charging")
        waiting = await until_delivery(guest, webhook, type="connector.status", response_status=503)
        await owner.http.delete(f"{grants}/{grant['id']}")
        await until_delivery(guest, webhook, type="grant.revoked", response_status=503)
        its.answer("204")
        await site.execute("update webhook_deliveries set next_at = now() where status = 'pending'")
        await until_delivery(guest, webhook, id=waiting["id"], status="withdrawn")
        await until_delivery(guest, webhook, type="grant.revoked", status="delivered")
        await site.status(wallbox["id"], "Available")
        await until_all_are_handed_on(site)
        await owner.post(grants, {"email": guest.email})
        await until_delivery(guest, webhook, type="grant.created", status="delivered")
        statuses = [each for each in await deliveries(guest, webhook) if each["type"] == "connector.status"]
        assert [each["id"] for each in statuses] == [waiting["id"]]
        assert strangers.received() == []


@pytest.mark.parametrize("site", [LOOPBACK], indirect=True)
async def test_two_listeners_deliver_once_and_one_that_dies_is_followed(site: Site, tmp_path: Path) -> None:
    owner = await site.person("owner")
    wallbox = await owner.wallbox()
    second = await site.stack.listener(**LOOPBACK)
    async with receiver(tmp_path) as its:
        webhook = await owner.post("/webhooks", {"url": its.url, "types": ["security.event"]})
        await site.execute(
            """insert into security_events (charge_point_id, type, at, tech_info, is_critical, received_at)
               select $1, 'ResetOrReboot', now(), n::text, true, now() from generate_series(1, 60) n""",
            uuid.UUID(wallbox["id"]),
        )

        async def all_delivered() -> bool:
            counted = "select count(*) from webhook_deliveries where status = 'delivered'"
            return bool(await site.sql.fetchval(counted) == 60)

        await eventually(all_delivered, "every delivery", 60)
        assert sorted(int(each["event"]["data"]["tech_info"]) for each in its.received()) == list(range(1, 61))
        its.answer("silent")
        await owner.post(f"/webhooks/{webhook['id']}/ping", {})
        await its.until(61)
        for listener in (site.listener, second):
            listener.kill()
        its.answer("204")
        await site.execute("update webhook_deliveries set next_at = now() where status = 'pending'")
        await site.stack.listener(**LOOPBACK)
        *_, first, repeated = await its.until(62)
        assert first["event"]["id"] == repeated["event"]["id"]
        await until_delivery(owner, webhook, type="webhook.ping", status="delivered")


@pytest.mark.parametrize("site", [LOOPBACK], indirect=True)
async def test_a_receiver_that_does_not_answer_harms_no_other(site: Site, tmp_path: Path) -> None:
    owner = await site.person("owner")
    wallbox = await owner.wallbox()
    async with receiver(tmp_path, "127.0.0.2", answer="silent") as slow, receiver(tmp_path) as quick:
        for url in (slow.url, slow.url, quick.url):
            await owner.post("/webhooks", {"url": url, "types": ["security.event"]})
        await site.execute(
            """insert into security_events (charge_point_id, type, at, tech_info, is_critical, received_at)
               select $1, 'ResetOrReboot', now(), n::text, true, now() from generate_series(1, 40) n""",
            uuid.UUID(wallbox["id"]),
        )
        await quick.until(40)
        assert len(slow.received()) <= 8


async def test_nothing_is_posted_into_the_networks_around(site: Site, tmp_path: Path) -> None:
    """`localhost` stands for a public name that is pointed at an inner address later: it is resolved each time."""
    owner = await site.person("owner")
    wallbox = await owner.wallbox()
    user_id = uuid.UUID((await owner.get("/me"))["id"])
    async with receiver(tmp_path) as its:
        for url in (its.url, "http://example.org/", "https://example.org:22/", "https://a:b@example.org/", "ftp://x/"):
            refused = await owner.http.post("/webhooks", json={"url": url})
            assert refused.status_code == 422, url
            assert refused.json()["errors"][0]["field"] == "body.url"
        add = "insert into webhooks (user_id, url, host, secret) values ($1, $2, 'x', 's') returning id"
        inner = ("https://localhost/", "https://127.0.0.1:8443/", "https://10.0.0.1/", "https://[::1]/", its.url)
        ids = [await site.sql.fetchval(add, user_id, url) for url in inner]
        await site.status(wallbox["id"])
        for webhook_id in ids:
            tried = await until_delivery(owner, {"id": webhook_id}, status="pending", attempts=1, response_status=None)

            async def refused_it(webhook_id: uuid.UUID = webhook_id) -> bool:
                [found] = await deliveries(owner, {"id": webhook_id})
                return str(found["error"]).startswith("refused: ")

            assert tried["type"] == "connector.status"
            await eventually(refused_it, "the refusal")
        assert its.received() == []


def certificate(path: Path, host: str) -> Path:
    """A certificate for `host` that signs itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "receiver")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    unencrypted = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, unencrypted)
    path.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    return path


async def test_a_certificate_must_be_trusted_and_of_that_host(site: Site, tmp_path: Path) -> None:
    good, other = certificate(tmp_path / "good.pem", "127.0.0.1"), certificate(tmp_path / "other.pem", "127.0.0.9")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(good.read_bytes() + other.read_bytes())
    site.listener.stop()
    await site.stack.listener(**LOOPBACK, SSL_CERT_FILE=str(trusted))
    owner = await site.person("owner")
    wallbox = await owner.wallbox()
    async with receiver(tmp_path, certificate=good) as its, receiver(tmp_path, certificate=other) as impostor:
        user_id = uuid.UUID((await owner.get("/me"))["id"])
        add = "insert into webhooks (user_id, url, host, secret) values ($1, $2, $2, 's') returning id"
        for url in (its.url, impostor.url):
            await site.sql.fetchval(add, user_id, url)
        await site.status(wallbox["id"])
        await its.until(1)

        async def mismatch() -> bool:
            return bool(
                await site.sql.fetchval("select true from webhook_deliveries where error like '%CERTIFICATE_VERIFY%'")
            )

        await eventually(mismatch, "the refusal of the impostor")
        assert impostor.received() == []
