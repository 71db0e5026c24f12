"""Files at their edges: limits, links that are not ours, and jobs whose command never leaves."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from standalone.databases import DatabaseUrls
from tests.integration.http.gateway import Gateway
from tests.integration.http.site import Person, Site, make_settings, open_site

MIB = 1024 * 1024
LATER = "2999-01-01T00:00:00Z"


@pytest.fixture
async def site(database: DatabaseUrls, redis_url: str, redis_prefix: str, tmp_path: Path) -> AsyncIterator[Site]:
    """Takes files of at most 1 MiB."""
    settings = make_settings(database, redis_url, redis_prefix, files_dir=tmp_path / "files", largest_file_mib=1)
    async with open_site(database, settings) as opened:
        yield opened


async def upload_link(site: Site, owner: Person, gateway: Gateway, box: dict[str, Any]) -> str:
    await owner.post(f"/charge-points/{box['id']}/diagnostics")
    location: str = orjson.loads((await gateway.next_command()).payload)["location"]
    assert location.startswith(site.settings.public_api_url)
    return location.removeprefix(site.settings.public_api_url)


def content_of(site: Site) -> list[Path]:
    return sorted(site.settings.files_dir.glob("*"))


async def test_an_image_above_the_limit_leaves_nothing(site: Site, owner: Person) -> None:
    async def unannounced() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield bytes(65536)

    await owner.send("POST", "/firmware?name=a", 413, content=bytes(3 * MIB))
    await owner.send("POST", "/firmware?name=a", 413, content=bytes(MIB + 1))
    await owner.send("POST", "/firmware?name=a", 413, content=unannounced())
    await owner.send("POST", "/firmware?name=a", 400, content=b"")
    await owner.send("POST", "/firmware", 422, content=b"x")
    assert content_of(site) == []
    made = await owner.send("POST", "/firmware?name=../../etc/passwd", 201, content=bytes(MIB))
    assert (made["name"], made["size_bytes"]) == ("passwd", MIB)
    assert [path.name for path in content_of(site)] == [made["id"]]
    await owner.send("DELETE", f"/firmware/{made['id']}", 204)
    assert content_of(site) == []


async def test_an_upload_above_the_limit_may_be_tried_again(
    site: Site, owner: Person, gateway: Gateway, box: dict[str, Any]
) -> None:
    link, wallbox = await upload_link(site, owner, gateway, box), site.client(base="http://voltuj.test")
    assert (await wallbox.put(link + "a", content=bytes(MIB + 1))).status_code == 413
    assert content_of(site) == []
    assert (await wallbox.put(link, content=b"small")).status_code == 201
    [job] = (await owner.get(f"/charge-points/{box['id']}/jobs"))["items"]
    assert job["size_bytes"] == 5
    assert job["file_name"].startswith("GetDiagnostics-")
    broken = await upload_link(site, owner, gateway, box)
    answer = await wallbox.post(broken, content=b"--x", headers={"content-type": "multipart/form-data"})
    assert answer.status_code == 400


async def test_only_our_links_open(site: Site, owner: Person, gateway: Gateway, box: dict[str, Any]) -> None:
    link, wallbox = await upload_link(site, owner, gateway, box), site.client(base="http://voltuj.test")
    token = link.split("/")[3]
    for path in (f"/files/upload/{token[:-4]}AAAA/x", "/files/upload/x/x", f"/files/upload/{token.lower()}/x"):
        assert (await wallbox.put(path, content=b"x")).status_code == 404
    assert (await wallbox.get(f"/files/download/{token}/x")).status_code == 404
    assert (await wallbox.get(link)).status_code == 405
    await site.execute("delete from charge_point_jobs")
    assert (await wallbox.put(link, content=b"x")).status_code == 404
    assert content_of(site) == []


async def test_what_never_left_has_failed(site: Site, owner: Person) -> None:
    created = await owner.charge_point()
    path = f"/charge-points/{created['id']}"
    assert (await owner.post(f"{path}/diagnostics"))["status"] == "offline"
    assert (await owner.get(f"{path}/jobs"))["items"][0]["status"] == "Failed"
    await owner.post(f"{path}/reservations", {"id_tag": "TAG", "expires_at": LATER})
    assert (await owner.get(f"{path}/reservations"))["items"][0]["status"] == "failed"
    refused = await owner.post(f"{path}/key", {"mode": "live"}, 409)
    assert refused["detail"] == "The charge point is not connected."
    assert await site.value("select next_key_digest from charge_points") is None


async def test_a_gateway_that_is_gone_fails_the_job_too(site: Site, owner: Person, gateway: Gateway) -> None:
    created = await owner.charge_point()
    await site.accept(created["id"])
    gateway.gateway_id = "died"
    await gateway.connect(created["id"])
    path = f"/charge-points/{created['id']}"
    assert (await owner.post(f"{path}/diagnostics"))["status"] == "offline"
    assert (await owner.get(f"{path}/jobs"))["items"][0]["status"] == "Failed"
    assert (await owner.post(f"{path}/key", {"mode": "live"}))["key"] is None
    assert await site.value("select next_key_digest from charge_points") is None


async def test_a_firmware_image_is_its_owners(
    site: Site, owner: Person, stranger: Person, gateway: Gateway, box: dict[str, Any]
) -> None:
    image = await stranger.send("POST", "/firmware?name=a", 201, content=b"x")
    await owner.post(f"/charge-points/{box['id']}/firmware-updates", {"firmware_id": image["id"]}, 404)
    assert (await owner.get("/firmware"))["items"] == []
    assert gateway.commands.empty()


async def test_a_reservation_id_is_used_once(owner: Person, gateway: Gateway, box: dict[str, Any]) -> None:
    payload = {"connectorId": 1, "expiryDate": LATER, "idTag": "TAG", "reservationId": 5}
    path = f"/charge-points/{box['id']}"
    await owner.post(f"{path}/commands", {"action": "ReserveNow", "payload": payload})
    await owner.post(f"{path}/commands", {"action": "ReserveNow", "payload": payload}, 409)
    command = await owner.post(f"{path}/reservations", {"id_tag": "TAG", "expires_at": LATER})
    assert command["payload"]["reservationId"] == 6


async def test_a_security_profile_only_rises(site: Site, owner: Person, gateway: Gateway, box: dict[str, Any]) -> None:
    path = f"/charge-points/{box['id']}/commands"
    for value, status in (("0", 422), ("x", 422), ("1", 409), ("3", 409), ("2", 201)):
        payload = {"key": "securityPROFILE", "value": value}
        await owner.post(path, {"action": "ChangeConfiguration", "payload": payload}, status)
    operator = await site.person("operator", operator=True)
    changed = await operator.send("PUT", f"/charge-points/{box['id']}/security-profile", json={"security_profile": 0})
    assert changed == {"security_profile": 0}
    assert (await gateway.next_change()).close
